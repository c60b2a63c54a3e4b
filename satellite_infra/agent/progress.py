"""What takes long is told while it lasts, to whoever waits for it at the other end of a connection.

What is over before the first look is not: its end says enough.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from .system import Say

MARK = "== "
"""How a line begins that names what has begun."""
WAITS = "waiting for "
"""How one begins that names who is waited for."""
LOOK = 1.0  # seconds between two looks


@contextlib.contextmanager
def told(now: Callable[[], str], tell: Say) -> Iterator[None]:
    """While this lasts, what is at work `now` is told each time that it is something else."""
    import threading  # slow to load, and the work itself tells nobody so

    ended = threading.Event()

    def watch() -> None:
        before = ""
        while not ended.wait(LOOK):
            at = now()
            if at and at != before:
                tell(f"{MARK}{at}")
                before = at

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def noted(file: Path) -> Callable[[], str]:
    """What that file says once it is written anew; empty as long as it is the one that was there.

    Not a log: what a build prints may look like anything.
    """
    before = _mark(file)

    def now() -> str:
        with contextlib.suppress(OSError):
            if _mark(file) != before:
                return file.read_text(encoding="utf-8")
        return ""

    return now


def _mark(file: Path) -> tuple[int, int] | None:
    """What is another with each file that takes the place of one before."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
