"""What files were when the agent wrote them, so that a change by hand is seen later.

A digest of a secret could be tried against guesses: so a seal is root's alone, as the files are,
and stays on the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from . import sha256, storage


def write(seal: Path, files: Iterable[Path]) -> bool:
    """Write down how those of these files are that are there; True when it is another seal."""
    return storage.write_json(seal, {str(path): _mark(path) for path in files if path.is_file()})


def broken(seal: Path) -> Iterator[tuple[str, str]]:
    """Path, and what became of it, of each file that is not as it was; none without a seal."""
    for name, was in storage.read_json(seal, {}).items():
        path = Path(name)
        if not path.is_file():
            yield name, "is gone"
            continue
        now = _mark(path)
        if now["content"] != was["content"]:
            yield name, "was changed by hand"
        elif now != was:
            yield name, "has another mode or owner"


def _mark(path: Path) -> dict[str, str]:
    found = path.stat()
    return {
        "content": sha256.hexdigest(path.read_bytes()),
        "mode": f"{found.st_mode & 0o7777:o}",
        "owner": f"{found.st_uid}:{found.st_gid}",
    }
