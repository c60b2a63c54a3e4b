"""Files that are whole or absent, whatever dies in between."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Callable

from . import moments

RESERVE = 1 << 20  # bytes; units, manifest and ledger of the way back need a few thousand
POLL = 0.2  # seconds between two attempts to get a lock
ROOT = 0
KINDS = {dict: "a JSON object", list: "a JSON array", int: "a number"}
Owner = tuple[int, int]
"""The numbers of a user and a group."""


class HeldError(Exception):
    """A lock was not free in time; the text is what its holder says of itself."""


def write(path: Path, content: str, mode: int = 0o600, owner: Owner | None = None) -> bool:
    """Make the file hold exactly this, at once; True when it did not before.

    It is `owner`'s, or whose program this is: root's.
    """
    if same(path, content, mode, owner):
        return False
    data = content.encode("utf-8", "surrogateescape")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.time_ns()}")
    try:
        with open(temporary, "xb", opener=_private) as file:
            os.fchown(file.fileno(), *(owner or _mine()))  # first: it takes bits from the mode
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_directory(path.parent)
    return True


def same(path: Path, content: str, mode: int, owner: Owner | None = None) -> bool:
    """The file is there, with this content, mode and owner."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o7777 != mode:
        return False
    if (found.st_uid, found.st_gid) != (owner or _mine()):
        return False
    return path.read_bytes() == content.encode("utf-8", "surrogateescape")


def room(path: Path) -> tuple[int, int]:
    """Bytes that are free where that path is, and bytes in all."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def reserve(path: Path, size: int) -> None:
    """Hold that many bytes of the disk; OSError when it has not as many."""
    with open(path, "ab", opener=_private) as file:
        os.posix_fallocate(file.fileno(), 0, size)


def nameless(directory: Path) -> IO[bytes]:
    """A new file on the directory's disk that goes with this process."""
    with contextlib.suppress(OSError):
        return os.fdopen(os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600), "w+b")
    import tempfile  # slow to load, and only for a disk that knows no such files

    return tempfile.TemporaryFile(dir=directory)


def remove(path: Path) -> bool:
    """Remove the file if it is there, and make that stay; True when it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as problem:
        # some kernels say this first, though there is nothing
        if problem.errno == errno.EROFS and not os.path.lexists(path):
            return False
        raise
    sync_directory(path.parent)
    return True


def remove_tree(path: Path) -> None:
    """Remove a directory if it is there."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError:  # mostly because it is not empty
        import shutil  # which is slow to load, and seldom needed

        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)


def tail(path: Path, size: int) -> str:
    """The text of the file's last bytes."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read(size).decode("utf-8", "replace")


def read_json(path: Path, default: Any = None, kind: type | None = None) -> Any:
    """The file's JSON, or the default where there is no file.

    ValueError names the file that holds none, or not that kind: the default's, where it has one.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except ValueError as problem:
        raise ValueError(f"{path} cannot be read: {problem}") from None
    kind = kind or (None if default is None else type(default))
    if kind and not isinstance(found, kind):
        raise ValueError(f"{path} cannot be read: it should hold {KINDS[kind]}")
    return found


def write_json(path: Path, value: Any) -> bool:
    """Make the file hold this value as JSON, at once; True when it did not before."""
    return write(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def point(link: Path, target: Path) -> bool:
    """Make the link point there, with no moment without it; True when it did not before."""
    if link.is_symlink() and link.readlink() == target:
        return False
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    remove(temporary)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)
    return True


def directory(path: Path, mode: int, owner: Owner | None = None) -> bool:
    """Make the directory exist with that mode and owner (uid, gid); True when something changed.

    ValueError where a link or a file is there, or what is root's and `owner` may have moved there.
    """
    changed = not path.is_dir()
    try:
        path.mkdir(parents=True, exist_ok=True)
        # not through a link that the app may have put there: its target would be given to the app
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            f"{path} should be a directory, and no link; to have it on another disk, mount that "
            "there or bind a directory of it"
        ) from None
    try:
        before = os.fstat(handle)
        if owner is not None and before.st_uid == ROOT != owner[0] and _moved(handle, path, owner):
            raise ValueError(
                f"{path} is not empty, and root's: chown it where its content is the app's, or "
                "else move it away"
            )
        if before.st_mode & 0o7777 != mode:
            os.fchmod(handle, mode)
            changed = True
        if owner is not None and (before.st_uid, before.st_gid) != owner:
            os.fchown(handle, *owner)
            changed = True
    finally:
        os.close(handle)
    return changed


def _moved(handle: int, path: Path, owner: Owner) -> bool:
    """Whether `owner` may have moved the directory there, and would be given what is in it."""
    found, parent = os.fstat(handle), path.parent.stat()
    # a disk was mounted there by root, and has its lost+found
    mounted = found.st_dev != parent.st_dev
    return parent.st_uid == owner[0] and not mounted and bool(os.listdir(handle))


@contextlib.contextmanager
def locked(
    path: Path,
    why: str = "other work",
    waits: Callable[[str], None] = lambda _holder: None,
    limit: float | None = None,
) -> Iterator[None]:
    """Hold the lock; it ends with this process, however that ends.

    `why` is what others are told while they wait, with the time; `waits` is told what the holder
    said, when there is one. HeldError where it is not free within `limit` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(path, "ab", opener=_private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits(holder(path))
            _wait(file.fileno(), path, limit)
        os.ftruncate(file.fileno(), 0)
        with contextlib.suppress(OSError):  # the lock is held all the same
            os.write(file.fileno(), f"{why}, since {moments.stamp()}".encode())
        try:
            yield
        finally:
            os.ftruncate(file.fileno(), 0)


def _wait(handle: int, path: Path, limit: float | None) -> None:
    if limit is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return
    end = time.monotonic() + limit
    while time.monotonic() < end:
        time.sleep(POLL)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
    raise HeldError(holder(path))


def holder(path: Path) -> str:
    """What the holder of a lock said of itself; only to be believed while it is held."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") or "other work"
    except FileNotFoundError:
        return "other work"


def sync_directory(path: Path) -> None:
    """Make renames and removals in the directory stay over a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mine() -> Owner:
    return os.geteuid(), os.getegid()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
