"""Which workers were started here: a note for each, and what happens to it when the worker ends.

Loaded at each end of a worker: so it loads little itself.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

from . import backoff, storage
from .layout import Layout
from .system import CommandError, System

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROC = Path("/proc")
TOLD = "told"
"""What a worker's unit notes where it was told to end, beside what else ran in its group."""
WHOLE = "."
"""And what stands at the end, where that is left to the next start."""
SOON = 2  # seconds in which a start that systemd has begun has looked at the end that it was left
LOOK = 0.02  # seconds between two looks whether it has
MANAGER, SERVICES = "/init.scope", "/system.slice/"
"""The control groups of systemd itself, and of all that it starts (systemd.special(7))."""


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
    invocation: str = ""  # systemd's name of this start of the unit; empty in an older agent's note

    def alive(self) -> bool:
        """The very process still runs."""
        return self.boot == boot_id() and self.started == process_start(self.pid)


def of(layout: Layout) -> list[Note]:
    """All notes that can be read, in the order of their names."""
    found: list[Note] = []
    for path in _files(layout):
        with contextlib.suppress(ValueError):  # one that is damaged keeps nobody from the others
            found += _read(path)
    return found


def damaged(layout: Layout) -> list[Path]:
    """Those that cannot be read: nobody knows whether their workers live."""
    found: list[Path] = []
    for path in _files(layout):
        try:
            _read(path)
        except ValueError:
            found.append(path)
    return found


def _files(layout: Layout) -> list[Path]:
    found = sorted(layout.notes.glob("*.json")) if layout.notes.is_dir() else []
    forgotten = {path.name for path in layout.forgotten.glob("*")}
    return [path for path in found if path.stem not in forgotten]


def _read(path: Path) -> list[Note]:
    """The note, or none where it went meanwhile."""
    found = storage.read_json(path)
    if found is None:
        return []
    try:
        # a newer agent's has more, which the older one that came back does not know
        return [Note(**{key: found[key] for key in Note._fields if key in found})]
    except TypeError:
        raise ValueError(path) from None


def live(layout: Layout) -> dict[str, Note]:
    """The notes of live workers, by unit."""
    return {layout.worker_unit(n.type, n.number, n.lane): n for n in of(layout) if n.alive()}


def ended(layout: Layout, type_: str, number: int, lane: int, system: System) -> None:
    """Called by systemd after a worker ended: forget a clean end, have other ends reaped."""
    unit = layout.worker_unit(type_, number, lane)
    dead = dead_of(layout, type_, number, lane)
    # what others before it held may not be given back yet
    this = ("", os.environ.get("INVOCATION_ID", ""))
    now = [note for note in dead if note.boot == boot_id() and note.invocation in this]
    own = max(now, key=lambda note: int(note.started), default=None)
    result = tuple(os.environ.get(key) for key in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"))
    # what is run at its end began later than all that is left of it: this, and a shell around it
    began = process_start(os.getpid() if os.getppid() == 1 else os.getppid())
    clean = result == ("success", "exited", "0")
    if _is_over(layout, unit, own, clean, _stopped(layout, unit), began):
        dead = [note for note in dead if note != own]
    # of another end, whose next start has not come to look at it: it is asked for
    storage.remove(left_to_start(layout, unit))
    if dead:
        system.systemctl("start", "--no-block", layout.reap_unit)


@contextlib.contextmanager
def awaited(
    layout: Layout, units: Iterable[str], now: Mapping[str, Note], system: System
) -> Iterator[Callable[[], None]]:
    """While these start anew: a clean end of their workers is left to that start, by `left_end`.

    It saves a program at each end. The unit looks whether it may: the worker has left nothing in
    its control group, and whoever waits for the start still lives. `now`: the live ones' notes.
    Gives what is to be called each second.
    """
    for mark in layout.stops.glob("*.anew"):  # of one who was killed while waiting
        storage.remove(mark)
    known = [*units]
    marks = {_anew(layout, unit): now[unit].invocation for unit in known if unit in now}
    left = Left(layout, known, system)
    try:
        for mark, invocation in marks.items():
            with contextlib.suppress(OSError):  # then the program at its end looks
                storage.write(mark, f"{invocation} {os.getpid()}\n")
        yield left.look
    finally:
        for mark in marks:
            storage.remove(mark)
        left.settle()  # also where systemd has refused another one


class Left:
    """The ends that are left to starts of these units, for who waits for those.

    A start may never come: somebody stops the unit by hand meanwhile, or a condition is not met.
    """

    def __init__(self, layout: Layout, units: Iterable[str], system: System) -> None:
        self._layout, self._system = layout, system
        self._there = [left_to_start(layout, unit) for unit in units]
        self._seen: set[Path] = set()

    def look(self) -> None:
        """Have those reaped that were there at the look before, a second ago."""
        now = {path for path in self._there if path.exists()}
        if late := now & self._seen:
            self._there = [path for path in self._there if path not in late]
            _reap(self._layout, self._system)
        self._seen = now

    def settle(self) -> None:
        """Wait until the starts have looked at them; have the others reaped soon."""
        end = self._system.now() + SOON
        while any(path.exists() for path in self._there):
            if self._system.now() > end:
                _reap(self._layout, self._system)
                break
            self._system.sleep(LOOK)


def left_end(layout: Layout, type_: str, number: int, lane: int, system: System) -> None:
    """Called at a worker's start: forget a clean end that was left to it, have others reaped."""
    unit = layout.worker_unit(type_, number, lane)
    dead, left = dead_of(layout, type_, number, lane), left_to_start(layout, unit)
    if left.is_file():
        # whatever cannot be looked at: others can, and the worker starts
        with contextlib.suppress(OSError, ValueError):
            this, *said = left.read_text("ascii").split()
            # looked at once: a child that is alive now may have ended with its job by another time
            storage.write(left, "")
            # an older agent's note says no start; where it was cut, there may have been children
            own = next((n for n in dead if n.invocation == this and said[-1:] == [WHOLE]), None)
            storage.remove(layout.stops / unit)
            began = process_start(os.getpid())
            if _is_over(layout, unit, own, True, set(said) - {WHOLE}, began):
                dead = [note for note in dead if note != own]
    if dead:
        # who should have asked for it, at the last one's end, was killed, too
        _reap(layout, system)
    storage.remove(left)  # only now: this may be killed before


def _reap(layout: Layout, system: System) -> None:
    """Ask for the dead; whatever is wrong with that keeps no worker from its start."""
    with contextlib.suppress(CommandError, OSError):
        system.systemctl("start", "--no-block", layout.reap_unit)


def _is_over(
    layout: Layout, unit: str, own: Note | None, clean: bool, said: Collection[str], began: str
) -> bool:
    """Count the end, or the first of a row again; whether its note could be forgotten.

    `said`: by the unit, that the worker was told to end, and what else ran in its control group.
    `began`: when a process did that is younger than all that is left of the worker.
    """
    told, others = TOLD in said, {*said} - {TOLD}
    if clean or told:
        backoff.forget(layout, [unit])
    elif own or storage.remove(unnoted(layout, unit)):
        _count(layout, unit, own)
    # where whoever gives back came first, its note is gone, and this one is another's
    if not clean or not own or own.name in storage.read_json(layout.unreaped, {}):
        return False
    if piped(layout, own.name).exists() or (others and _has_queue(layout, own)):
        return False
    if outlived(layout, [own], {unit: float(began or math.inf)}) or _moved(layout, own):
        return False
    forget(layout, own.name)
    return True


def _moved(layout: Layout, note: Note) -> bool:
    """Whether its queue is elsewhere by now, where its clean end has given nothing back."""
    current = layout.current.readlink().name if layout.current.is_symlink() else ""
    if note.release == current:
        return False
    from . import jobs  # slow to load, and only where another release has come

    return jobs.moved(layout, note)


def _has_queue(layout: Layout, note: Note) -> bool:
    """Whether somebody could be told of its jobs; else its note would only go later."""
    from . import procfile  # only for a worker that was not alone

    release = layout.releases / note.release
    return bool(note.on_kill) or not release.is_dir() or procfile.has_delayed_job(release)


def _stopped(layout: Layout, unit: str) -> list[str]:
    """What its unit has noted as the worker was to end, which knows the worker by its unit alone.

    Who forks a child for each job may end well although that has left its job: systemd has told
    both to end.
    """
    path = layout.stops / unit
    said = path.read_text("ascii").split() if path.is_file() else []
    storage.remove(path)
    return said


def piped(layout: Layout, name: str) -> Path:
    """A file that is there where a shell's status is told, which may not be that of its worker.

    Not in the note: an older agent, which may still be at work, reads what it knows alone.
    """
    return layout.notes / f"{name}.piped"


def unnoted(layout: Layout, unit: str) -> Path:
    """A file that is there from a worker's start until it has its note.

    Where it has no note any more, whoever gives back came first, and nobody knows how long it ran.
    """
    return layout.stops / f"{unit}.begins"


def left_to_start(layout: Layout, unit: str) -> Path:
    """A file with systemd's name of the start whose clean end the unit's next start looks at."""
    return layout.stops / f"{unit}.left"


def _anew(layout: Layout, unit: str) -> Path:
    """A file with that of a start that shall be followed by another, and who waits for that."""
    return layout.stops / f"{unit}.anew"


def forget(layout: Layout, name: str) -> None:
    """Remove the note of a worker whose jobs are its no more."""
    try:
        storage.remove(piped(layout, name))
        storage.remove(layout.notes / f"{name}.json")
    except OSError as problem:
        if problem.errno != errno.EROFS:
            raise
        storage.write(layout.forgotten / name, "")


def dead_of(layout: Layout, type_: str, number: int, lane: int) -> list[Note]:
    """The notes of that unit's workers which have ended."""
    me = (type_, number, lane)
    return [n for n in of(layout) if (n.type, n.number, n.lane) == me and not n.alive()]


def outlived(layout: Layout, dead: Sequence[Note], since: Mapping[str, float]) -> set[str]:
    """The names of dead workers of which processes still run, such as the child of a shell.

    What is in the unit's own control group and began before it started anew is theirs; `since`:
    when that was, by unit, in ticks as `process_start` has them. A process that got out of the
    group, as by `sudo`, still has the name in its environment, unless it has set its own title,
    as Resque's do: the kernel shows the same memory for both.
    """
    marks = {f"WORKER_NAME={note.name}".encode(): note.name for note in dead}
    units: dict[str, list[str]] = {}
    for note in dead:
        unit = layout.worker_unit(note.type, note.number, note.lane)
        units.setdefault(unit, []).append(note.name)
    found: set[str] = set()
    root = _root() if marks else ""
    for path in PROC.glob("[0-9]*") if marks else ():
        pid = int(path.name)
        with contextlib.suppress(OSError):  # it ended meanwhile
            pairs = (path / "environ").read_bytes().split(b"\0")
            found.update(marks[pair] for pair in pairs if pair in marks)
            for unit in units.keys() & groups(pid, root):
                started = process_start(pid)
                if started and int(started) < since.get(unit, math.inf):
                    found.update(units[unit])
    return found


def groups(pid: int, root: str) -> set[str]:
    """The names of the control groups of a process among the services of this very system.

    Not of one that runs in a container here, whose units may have the same names; `root`: where
    this system's own begin.
    """
    found = (path.removeprefix(root) for path in _groups(pid) if path.startswith(root))
    ours = (path for path in found if path.startswith(SERVICES) and path.count(SERVICES) == 1)
    return {name for path in ours for name in path.split("/")}


def _root() -> str:
    """Where systemd's control groups begin, by its own: not at the top where it is contained."""
    own = (path for path in _groups(1) if path.endswith(MANAGER))
    return next(own, MANAGER)[: -len(MANAGER)]


def _groups(pid: int) -> list[str]:
    text = (PROC / str(pid) / "cgroup").read_text("utf-8")
    return [line.split(":", 2)[2] for line in text.splitlines()]


def boot_id() -> str:
    """Which boot of the machine this is."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def process_start(pid: int) -> str:
    """When the process started; empty where there is none. With pid and boot it is unique."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields: list[Any] = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else str(fields[19])


def _count(layout: Layout, unit: str, note: Note | None) -> None:
    """Count an end that was no clean one; from the second in a row on the next start waits."""
    ran = time.monotonic() - note.since if note else 0
    in_a_row = backoff.count(layout, unit, ran)
    if in_a_row > 1:
        how = os.environ.get("SERVICE_RESULT", "unknown")
        print(f"ended after {ran:.0f} s ({how}), {in_a_row} times in a row", flush=True)
