"""The installed agent's modules as Python keeps them, compiled: made here, and by no start.

A start that writes them leaves a cut one where the disk is full for a moment, by which each later
start fails (Python before 3.12.8 does not look how much was written). Run as a program, alone: by
the Python that runs the agent, which need not be that of a bootstrap.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

UINT = 0xFFFFFFFF


def wrong(directory: Path) -> list[Path]:
    """The modules below whose compiled form is not there, or none that this Python would take."""
    return [path for path in sorted(directory.rglob("*.py")) if not _whole(path)]


def make(directory: Path) -> list[Path]:
    """Compile those; OSError where there is no room, and then each is whole or as it was."""
    found = wrong(directory)
    for path in found:
        head, code = _head(path), compile(path.read_bytes(), path, "exec", dont_inherit=True)
        kept = Path(cache_from_source(str(path)))
        kept.parent.mkdir(exist_ok=True)
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
        try:
            temporary.write_bytes(head + marshal.dumps(code))
            temporary.replace(kept)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise
    return found


def _whole(path: Path) -> bool:
    try:
        kept = Path(cache_from_source(str(path))).read_bytes()
        marshal.loads(kept[16:])
    except (OSError, EOFError, TypeError, ValueError):
        return False
    return kept[:16] == _head(path)


def _head(path: Path) -> bytes:
    """What Python looks at first: which Python it is for, and of which source it was made."""
    source = path.stat()
    numbers = 0, int(source.st_mtime) & UINT, source.st_size & UINT
    return MAGIC_NUMBER + b"".join(number.to_bytes(4, "little") for number in numbers)


if __name__ == "__main__":
    try:
        if made := make(Path(__file__).parent):
            print(f"{len(made)} modules compiled")
    except OSError as problem:
        sys.exit(str(problem))
