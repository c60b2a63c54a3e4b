"""The Go command, new enough to fetch the toolchain that a module asks for."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.engine.cache import home

INSTALLED = (Path("/usr/local/go"), Path("/usr/lib/go"))  # where installers put it
OLDEST = (1, 21)  # the first that downloads a newer toolchain by itself


@dataclass(frozen=True)
class Go:
    """A Go command and its version, e.g. `1.22.4`."""

    path: Path
    version: str


def find_go(environ: Mapping[str, str]) -> Go | None:
    """The first new enough Go on PATH or where installers put it; None if there is none."""
    for path in _candidates(environ):
        # GOTOOLCHAIN=local: only ask, download nothing
        asked = subprocess.run(
            [path, "env", "GOVERSION"],
            env={**environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "HOME": str(home(environ))},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        match = re.match(r"go((\d+)\.(\d+)\S*)", asked.stdout)
        if match and (int(match[2]), int(match[3])) >= OLDEST:
            return Go(path, match[1])
    return None


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if found := shutil.which("go", path=environ.get("PATH")):
        yield Path(found)
    for folder in INSTALLED:
        if (path := folder / "bin/go").is_file():
            yield path
