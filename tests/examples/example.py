"""The examples that need no Ruby: their files, the settings of their READMEs, and their log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One of them; `put` is its command for a job of so many `SECONDS`."""

    folder: str
    put: str

    def files(self) -> dict[str, str]:
        """Path -> content of what is in its repository."""
        root = EXAMPLES / self.folder
        return {
            str(path.relative_to(root)): path.read_text(encoding="utf-8")
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix != ".pyc"
        }

    def settings(self) -> dict[str, Any]:
        """What its README says, by the key without `satellite:`."""
        found = BLOCK.search((EXAMPLES / self.folder / "README.md").read_text(encoding="utf-8"))
        assert found, f"{self.folder}/README.md should show the settings"
        config = yaml.safe_load(found[1])["config"]
        return {key.removeprefix("satellite:"): value for key, value in config.items()}

    def put_command(self, seconds: float) -> str:
        """The command that adds a job and prints its id."""
        return self.put.replace("SECONDS", str(seconds))


PYTHON = Example("python_app", 'venv/bin/python words.pyz put "two words" --seconds SECONDS')
SHELL = Example("shell_worker", "echo 'sleep SECONDS' | ./put")


@dataclass(frozen=True)
class Event:
    """One line of `log/jobs.log`."""

    what: str
    job: str
    worker: str
    revision: str


def events(log: str) -> list[Event]:
    """The lines of the log, in the order in which they were written."""
    return [Event(*line.split()[:4]) for line in log.splitlines()]


def paths(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of some settings, each with its path as `pulumi config set --path` reads it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, f"{path}[{number}]")
    else:
        yield path, str(value)
