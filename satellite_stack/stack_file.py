"""A stack's file, and how it is changed: in one step, and by one after the other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from satellite_stack.engine import NOWHERE, ConfigError


def project_folder() -> Path:
    """The one that the current folder belongs to; ConfigError where it belongs to none."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder is there no more: no Pulumi.yaml") from None
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file():
            return folder
    raise ConfigError(NOWHERE)


def project_name() -> str:
    """What Pulumi.yaml calls the project."""
    import yaml  # most commands do without

    file = project_folder() / "Pulumi.yaml"
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"{file.name} is no YAML") from None
    return str(found.get("name", "")) if isinstance(found, dict) else ""


def of(stack: str) -> Path:
    """The stack's file; ConfigError where there is none."""
    file = project_folder() / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    if not file.is_file():
        others = ", ".join(named(file.parent))
        there = f"\n  known here: {others}" if others else ""
        raise ConfigError(
            f"{file.name} is not there: pulumi stack init {stack} (where that stack is there, its "
            f"file is in git; if it never had one: touch {file.name}){there}"
        )
    return file


def named(folder: Path) -> list[str]:
    """The names of the stacks that have such a file there."""
    files = sorted(folder.glob("Pulumi.*.yaml"))
    return [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files]


@contextlib.contextmanager
def copied(file: Path) -> Iterator[Path]:
    """A copy of it, to be changed. It goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="satellite-") as folder:
        yield Path(shutil.copyfile(file, Path(folder, file.name)))


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Nobody else of us changes it meanwhile: who wants to waits."""
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def put(file: Path, before: bytes, after: bytes) -> bool:
    """Have it hold that at once, if it is still as it was `before`, else ConfigError.

    Call it `alone`. True where it was changed; the file behind a link is, and stays where it is.
    """
    if after == before:
        return False
    if file.read_bytes() != before:
        raise ConfigError(
            f"{file.name} was changed meanwhile and stays as it is; what was done is not in it"
        )
    real = file.resolve()
    new = real.with_name(f".{real.name}.new")
    shutil.copyfile(real, new)
    shutil.copymode(real, new)
    new.write_bytes(after)
    new.replace(real)
    return True
