"""Who may log in as the login user: one marked block for each app in its authorized_keys.

Lines outside of all blocks are the owner's and stay, but for keys that this app's block held until
now and that no block holds any more: the key of a person who was removed, or the deployer's former
one, which cloud-init wrote there, must not open the machine.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
from collections.abc import Iterator, Sequence

from .storage import ROOT

NAME = "authorized_keys"
TEMPORARY = f".{NAME}.satellite"
_MARK = re.compile(r"# satellite (?P<app>[a-z][a-z0-9-]*) (?P<edge>begin|end)")
# options before the key may hold spaces and key types, but only in double quotes
_KEY = re.compile(
    r"(?:(?:\"(?:\\.|[^\"\\])*\"|[^\s\"])+[ \t]+)??"
    r"(?:ssh|ecdsa|sk)-\S+[ \t]+(?P<key>AAAA[A-Za-z0-9+/=]+)"
)


def authorize(user: str, app: str, lines: Sequence[str]) -> bool:
    """Make the app's block of that user hold these lines (none: no block); True if it did not.

    LookupError where there is no such user, ValueError where its files are not plain ones.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise LookupError(f"this machine has no user {user} to log in as") from None
    with _directory(entry, make=bool(lines)) as directory:
        if directory is None:
            return False
        before, right = _read(directory, entry)
        after = merged(before, app, lines)
        if after == before and (right or not lines):
            return False
        _replace(directory, entry, after)
        return True


def merged(text: str, app: str, lines: Sequence[str]) -> str:
    """The file's text with the app's block made anew, in its place or at the end."""
    blocks, outside = _parsed(text)
    first: dict[str, str] = {}
    for line in lines:
        first.setdefault(key_of(line) or line, line)
    wanted = list(first.values())
    held = {key_of(line) for name, found in blocks for line in found if name == app}
    declared = {key_of(line) for name, found in blocks for line in found if name != app}
    gone = held - declared - {key_of(line) for line in wanted} - {None}
    own = [f"# satellite {app} begin", *wanted, f"# satellite {app} end"] if wanted else []
    result: list[str] = []
    placed = False
    for part in outside:
        if isinstance(part, str):
            result += [] if key_of(part) in gone else [part]
        elif blocks[part][0] != app:
            name, found = blocks[part]
            result += [f"# satellite {name} begin", *found, f"# satellite {name} end"]
        elif not placed:
            result += own
            placed = True
    result += [] if placed else own
    return "".join(f"{line}\n" for line in result)


def key_of(line: str) -> str | None:
    """The key of an authorized_keys line, in base64, without options and comment."""
    found = _KEY.match(line.strip())
    return found["key"] if found and not line.strip().startswith("#") else None


def _parsed(text: str) -> tuple[list[tuple[str, list[str]]], list[str | int]]:
    """The blocks as (app, lines), and the file in its order: lines, and numbers of blocks.

    A mark without its partner, which only a person can have left, makes no block.
    """
    lines = text.split("\n")
    lines = lines[:-1] if not lines[-1] else lines
    blocks: list[tuple[str, list[str]]] = []
    order: list[str | int] = []
    at = 0
    while at < len(lines):
        mark = _MARK.fullmatch(lines[at])
        end = _end(lines, at, mark["app"]) if mark and mark["edge"] == "begin" else None
        if mark and end:
            order.append(len(blocks))
            blocks.append((mark["app"], lines[at + 1 : end]))
            at = end
        elif not mark:
            order.append(lines[at])
        at += 1
    return blocks, order


def _end(lines: Sequence[str], begin: int, app: str) -> int | None:
    """Where the block that begins there ends; None where another mark comes first."""
    for at in range(begin + 1, len(lines)):
        mark = _MARK.fullmatch(lines[at])
        if mark:
            return at if (mark["app"], mark["edge"]) == (app, "end") else None
    return None


@contextlib.contextmanager
def _directory(entry: pwd.struct_passwd, make: bool) -> Iterator[int | None]:
    """The user's .ssh, open, theirs and closed to others; None where it is not there.

    Everything is done below open directories: the user may turn any path into a link meanwhile.
    """
    home = os.open(entry.pw_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(".ssh", 0o700, dir_fd=home)
        try:
            found = os.open(".ssh", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=home)
        except FileNotFoundError:
            yield None
            return
        except OSError:
            raise ValueError(f"{entry.pw_dir}/.ssh should be a directory, and no link") from None
        try:
            if make and _moved(found, entry):
                raise ValueError(
                    f"{entry.pw_dir}/.ssh is not empty, and root's: chown it where its content is "
                    f"{entry.pw_name}'s, or else move it away"
                )
            _own(found, entry, 0o700)
            yield found
        finally:
            os.close(found)
    finally:
        os.close(home)


def _moved(directory: int, entry: pwd.struct_passwd) -> bool:
    """Whether the user may have moved it there, and would be given what root has in it."""
    roots = os.fstat(directory).st_uid == ROOT != entry.pw_uid
    return roots and bool({*os.listdir(directory)} - {NAME, TEMPORARY})


def _read(directory: int, entry: pwd.struct_passwd) -> tuple[str, bool]:
    """The file's text, empty where there is none; and whether its owner and mode are right."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    path = f"{entry.pw_dir}/.ssh/{NAME}"
    try:
        handle = os.open(NAME, flags, dir_fd=directory)
    except FileNotFoundError:
        return "", False
    except OSError:
        raise ValueError(f"{path} should be a file, and no link") from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise ValueError(f"{path} should be a file, and no link")
    with os.fdopen(handle, "rb") as file:
        right = (about.st_uid, stat.S_IMODE(about.st_mode)) == (entry.pw_uid, 0o600)
        return file.read().decode("utf-8", "surrogateescape"), right


def _replace(directory: int, entry: pwd.struct_passwd, text: str) -> None:
    """Put the file there at once; what a killed run left is removed first."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(TEMPORARY, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(TEMPORARY, flags, 0o600, dir_fd=directory)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        _own(file.fileno(), entry, 0o600)
        file.flush()
        os.fsync(file.fileno())
    os.replace(TEMPORARY, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _own(handle: int, entry: pwd.struct_passwd, mode: int) -> None:
    about = os.fstat(handle)
    if (about.st_uid, about.st_gid) != (entry.pw_uid, entry.pw_gid):
        os.fchown(handle, entry.pw_uid, entry.pw_gid)
    if stat.S_IMODE(about.st_mode) != mode:
        os.fchmod(handle, mode)
