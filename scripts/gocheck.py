"""Usage: python -m scripts.gocheck

Run gofmt and go vet on the stand-in that is a Go program; exit 1 for what they find. Nothing is
looked at where there is no Go, as long as nothing has to be built either.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.engine.build import COMMAND, GO, missing
from lab.engine.errors import EngineError
from lab.engine.go import Go, find_go


def formatted(go: Go) -> bool:
    """Whether gofmt would change nothing; it names the files that it would."""
    asked = [str(go.path), "env", "GOROOT"]
    root = subprocess.run(asked, cwd="/", stdout=subprocess.PIPE, text=True, check=True).stdout
    done = subprocess.run(
        [Path(root.strip()) / "bin/gofmt", "-l", COMMAND.folder],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    return done.returncode == 0 and not done.stdout


def vetted(go: Go, environ: Mapping[str, str]) -> bool:
    """Whether go vet finds nothing; once for each source, as it compiles all that this needs."""
    stamp = COMMAND.target(environ).with_name("vetted")
    if stamp.exists():
        return True
    stamp.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vet-", dir=stamp.parents[2]) as folder:
        env = COMMAND.environment(go, Path(folder), environ)
        done = subprocess.run([go.path, "vet", "."], cwd=COMMAND.folder, env=env, check=False)
    if done.returncode == 0:
        stamp.touch()
    return done.returncode == 0


def main() -> int:
    """Run both, each to its end; return the exit status."""
    go = find_go(os.environ)
    if go is None and not missing(os.environ):
        print(f"{COMMAND.folder}: not checked, as there is no {GO} here and nothing to build")
        return 0
    if go is None:
        raise EngineError(f"there is no {GO} here to check {COMMAND.folder} with")
    results = [formatted(go), vetted(go, os.environ)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EngineError as error:
        sys.exit(f"error: {error}")
