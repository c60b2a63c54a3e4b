"""Which workers were started here: a note for each, and what happens to it when the worker ends.

Loaded at each end of a worker: so it loads little itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import backoff, storage
from .layout import Layout
from .system import System

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Note(NamedTuple):
    """One started worker: its name, and what tells its process from any other."""

    name: str
    type: str
    number: int
    release: str
    shape: str  # what must be the same for the worker to be left alone
    pid: int
    started: str  # clock ticks since boot, of /proc/PID/stat
    boot: str
    lane: int = 0
    since: float = 0  # seconds since boot when it became the app's process
    on_kill: str = ""  # how its jobs are given back, in an environment with these variables
    env: Mapping[str, str] = {}

    def alive(self) -> bool:
        """The very process still runs."""
        return self.boot == boot_id() and self.started == process_start(self.pid)


def of(layout: Layout) -> list[Note]:
    """All notes, in the order of their names."""
    if not layout.notes.is_dir():
        return []
    found = (storage.read_json(path) for path in sorted(layout.notes.glob("*.json")))
    return [Note(**note) for note in found if note]


def live(layout: Layout) -> dict[str, Note]:
    """The notes of live workers, by unit."""
    return {layout.worker_unit(n.type, n.number, n.lane): n for n in of(layout) if n.alive()}


def ended(layout: Layout, type_: str, number: int, lane: int, system: System) -> None:
    """Called by systemd after a worker ended: forget a clean end, have other ends reaped."""
    me = (type_, number, lane)
    dead = [n for n in of(layout) if (n.type, n.number, n.lane) == me and not n.alive()]
    clean = (os.environ.get("EXIT_CODE"), os.environ.get("EXIT_STATUS")) == ("exited", "0")
    unit = layout.worker_unit(*me)
    if clean:
        backoff.forget(layout, [unit])
    elif dead:
        _count(layout, unit, dead)
    if clean and not outlived(dead):
        for note in dead:
            storage.remove(layout.notes / f"{note.name}.json")
    elif dead:
        system.systemctl("start", "--no-block", layout.reap_unit)


def outlived(dead: Sequence[Note]) -> set[str]:
    """The names that processes still carry whose worker has ended, such as the child of a shell."""
    marks = {f"WORKER_NAME={note.name}".encode(): note.name for note in dead}
    found: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/environ") if marks else ():
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.update(marks[pair] for pair in path.read_bytes().split(b"\0") if pair in marks)
    return found


def boot_id() -> str:
    """Which boot of the machine this is."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def process_start(pid: int) -> str:
    """When the process started; empty where there is none. With pid and boot it is unique."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields: list[Any] = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else str(fields[19])


def _count(layout: Layout, unit: str, dead: Sequence[Note]) -> None:
    """Count an end that was no clean one; from the second in a row on the next start waits."""
    ran = time.monotonic() - max(note.since for note in dead)
    in_a_row = backoff.count(layout, unit, ran)
    if in_a_row > 1:
        how = os.environ.get("SERVICE_RESULT", "unknown")
        print(f"ended after {ran:.0f} s ({how}), {in_a_row} times in a row", flush=True)
