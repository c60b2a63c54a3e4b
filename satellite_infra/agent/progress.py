"""What takes long is told while it lasts, to whoever waits for it at the other end of a connection.

What is over before the first look is not: its end says enough.
"""

from __future__ import annotations

import contextlib
import threading
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
    ended = threading.Event()

    def watch() -> None:
        before = ""
        while not ended.wait(LOOK):
            at = now()
            if at != before:
                tell(f"{MARK}{at}")
                before = at

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


class Phases:
    """The phase that a log has come to, by its own marks; empty before the first."""

    def __init__(self, log: Path):
        self._log, self._place, self._at = log, 0, ""

    def __call__(self) -> str:
        """Read on, as far as whole lines are there."""
        with self._log.open("rb") as file:
            file.seek(self._place)
            new = file.read()
        whole, newline, _ = new.rpartition(b"\n")
        self._place += len(whole) + len(newline)
        for line in whole.decode("utf-8", "replace").splitlines():
            if line.startswith(MARK):
                self._at = line[len(MARK) :]
        return self._at
