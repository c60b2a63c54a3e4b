"""Jobs that dead workers hold: the app's queue gives them back, by an adapter or `on_kill`."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from . import notes, procfile, storage, urls, workers
from .layout import Layout
from .ledger import Ledger
from .redact import Redactor
from .release_manifest import ReleaseManifest
from .system import CommandError, Say, System, UnitState
from .units import template

TOGETHER = 500  # dead workers in one run; a crash loop leaves many
LIMIT = 60  # seconds for one run
TAIL = 100  # lines of what it said, among which is why it failed
PLACE = frozenset({"host", "hostaddr", "port", "dbname", "socket"})
"""Parts of a database's URL behind its ? that say where it is, as for a socket; others are how."""
URL = "DATABASE_URL"
NO_URL = (
    f"the release's Gemfile.lock has delayed_job, and no config var {URL} says where that keeps "
    "its jobs: set it, or processes.TYPE.on_kill"
)
OUTLIVED = "ended, but processes that it started still run, maybe its job"


class Queue(NamedTuple):
    """How the queue of some workers is told: in which release, by which command, with what set."""

    release: str
    on_kill: str = ""  # empty: the adapter that fits the release's Gemfile.lock
    env: Mapping[str, str] = {}


def warning(release: Path, manifest: ReleaseManifest, config: Mapping[str, str]) -> str:
    """Of which types' killed workers a release could not give back the jobs; mostly empty.

    None that a release is refused for: the app may have delayed_job for its tests alone.
    """
    some = [p for p in manifest.processes if p.quantity and not p.on_kill]
    types = [p.type for p in some if not {**config, **p.env}.get(URL)]
    if not types or not procfile.has_delayed_job(release):
        return ""
    return f"jobs of killed workers ({', '.join(types)}) could not be given back: {NO_URL}"


def reap(layout: Layout, system: System, say: Say) -> bool:
    """Give back the jobs of every dead worker, and forget it; False when it could not be done.

    LookupError where the state is not there, whose disk may come late: its notes tell who is dead.
    """
    Ledger(layout).identity()
    for path in notes.damaged(layout):
        say(f"{path} cannot be read: what that worker may hold stays as it is")
    dead = [note for note in notes.of(layout) if not note.alive()]
    units = system.units(sorted({_unit(layout, note) for note in dead}))
    ending = {name for name, unit in units.items() if unit.active == "deactivating"}
    why: dict[str, str] = {}
    for name in sorted(notes.outlived(layout, dead, _since(units))):
        say(f"{name}: {OUTLIVED}")
        note = next(note for note in dead if note.name == name)
        dead.remove(note)
        if _unit(layout, note) not in ending:  # which has its grace for that
            why[name] = OUTLIVED
    now = _as_of_now(layout, dead)
    _, left = _give_back(layout, [(note, _own(note)) for note in dead], system, say)
    # what they ran with may be revoked, or wrong, by now; or their jobs are elsewhere, too
    again = [(n, q) for n, q in now if n.name in left or _elsewhere(layout, _own(n), q)]
    told, left_again = _give_back(layout, again, system, say)
    # a release whose queue nobody can tell has given nothing back
    left = {name: left[name] for name in left.keys() - told} | left_again
    for name in {note.name for note in dead} - left.keys():
        notes.forget(layout, name)
    _remember(layout, why | left, system)
    # one that died meanwhile asked systemd for this run, which was under way
    return all(note.alive() for note in notes.of(layout))


def _remember(layout: Layout, why: Mapping[str, str], system: System) -> None:
    """Note whose jobs could not be given back, for `doctor`; by the clock of this boot."""
    known, now = storage.read_json(layout.unreaped, {}), system.now()
    since = {name: known.get(name, {}).get("since", now) for name in why}
    noted = {name: {"since": since[name], "why": text} for name, text in why.items()}
    with contextlib.suppress(OSError):  # what could be given back is
        storage.write_json(layout.unreaped, noted)


def moved(layout: Layout, dead: notes.Note) -> bool:
    """Whether the release that runs has its queue elsewhere than that one had."""
    return any(_elsewhere(layout, _own(note), now) for note, now in _as_of_now(layout, [dead]))


def _unit(layout: Layout, note: notes.Note) -> str:
    return layout.worker_unit(note.type, note.number, note.lane)


def _since(units: Mapping[str, UnitState]) -> dict[str, float]:
    """When the process was started that each unit of the dead has now, to note an end or anew."""
    pids = {n: unit.pid or unit.control for n, unit in units.items()}
    started = {name: notes.process_start(pid) for name, pid in pids.items() if pid}
    return {name: float(ticks) for name, ticks in started.items() if ticks}


def _own(note: notes.Note) -> Queue:
    return Queue(note.release, note.on_kill, note.env)


def _as_of_now(layout: Layout, dead: Sequence[notes.Note]) -> list[tuple[notes.Note, Queue]]:
    """Those whose queue is told in another way by the release that runs, and how."""
    release = Ledger(layout).current()
    try:
        text = layout.manifest(release or "none").read_text("utf-8")
        processes = {process.type: process for process in ReleaseManifest.parse(text).processes}
    except (OSError, ValueError):
        return []
    found: list[tuple[notes.Note, Queue]] = []
    for note in dead:
        now = processes.get(note.type, note)  # of a type that is gone: as it was
        queue = Queue(str(release), now.on_kill, now.env)
        if queue != _own(note):
            found.append((note, queue))
    return found


def _elsewhere(layout: Layout, own: Queue, now: Queue) -> bool:
    """Whether two queues may be in different places, where one job is locked by one name in both.

    Such as where a follower of the database was promoted. A command may read any URL.
    """
    try:
        ours, theirs = (_config(layout, queue) for queue in (own, now))
    except (OSError, ValueError, LookupError):  # who asks there says it
        return True
    names = ours.keys() | theirs.keys() if own.on_kill or now.on_kill else {URL}
    return any(_place(ours.get(name, "")) != _place(theirs.get(name, "")) for name in names)


def _config(layout: Layout, queue: Queue) -> dict[str, str]:
    return {**Ledger(layout).config(_at(layout, queue) or queue.release), **queue.env}


def _place(url: str) -> tuple[str, ...]:
    """Where it leads: not as whom, or by which password, one asks there; nowhere if it is none."""
    place = urls.parse(url)
    if place is None:
        return ()
    more = (f"{name}={value}" for name, value in parse_qsl(place.query) if name in PLACE)
    return (place.hosts, place.path, *sorted(more))


def _give_back(
    layout: Layout, dead: Sequence[tuple[notes.Note, Queue]], system: System, say: Say
) -> tuple[set[str], dict[str, str]]:
    """Have each queue release what these held; the names where it did, and why it could not."""
    queues: list[tuple[Queue, list[notes.Note]]] = []
    for note, queue in dead:
        mine = next((mine for other, mine in queues if other == queue), None)
        if mine is None:
            queues.append((queue, mine := []))
        mine.append(note)
    told: set[str] = set()
    left: dict[str, str] = {}
    for queue, every in queues:
        for mine in (every[n : n + TOGETHER] for n in range(0, len(every), TOGETHER)):
            names = [note.name for note in mine]
            try:
                if tell(layout, queue, names, system, say):
                    told.update(names)
                else:
                    say(f"{', '.join(names)}: ended; no adapter for their queue")
            except (CommandError, OSError, ValueError, LookupError) as problem:
                say(f"{', '.join(names)}: their jobs could not be given back yet: {problem}")
                left.update(dict.fromkeys(names, str(problem)))
    return told, left


def of_machine(layout: Layout, host: str, machine: str, system: System, say: Say) -> str:
    """Give back what the workers of another machine hold, which is dead; what was done.

    Its names are not known here, but they all begin with those of the host and the machine, and no
    other machine's do. LookupError where it is this one.
    """
    ledger = Ledger(layout)
    here = ledger.identity()
    if (here["host"], here["machine"]) == (host, machine):
        raise LookupError(f"this is {host}, machine {machine}, and its workers may live")
    release = ledger.current()
    if release is None:
        raise LookupError(f"{layout.current} points nowhere: there is no release to do it by")
    manifest = ReleaseManifest.parse(layout.manifest(release).read_text(encoding="utf-8"))
    queues: list[Queue] = []
    for process in manifest.processes:  # one queue that several types have is told once
        queue = Queue(release, process.on_kill, process.env)
        queues += [queue] if queue not in queues else []
    names = [f"{host}.{machine}."]
    told, problems = [], []
    for queue in queues:  # each, whatever is with the others
        try:
            told.append(tell(layout, queue, names, system, say))
        except (CommandError, LookupError, OSError, ValueError) as problem:
            problems.append(str(problem))
    if problems:
        raise CommandError("; ".join(dict.fromkeys(problems)))
    done = "were given back" if any(told) else "stay as they are: no adapter for their queue"
    return f"jobs of {host}, machine {machine}, {done}"


def tell(layout: Layout, queue: Queue, dead: Sequence[str], system: System, say: Say) -> bool:
    """Have the queue release what dead workers held; False where nobody knows how.

    `dead` are names; one with a dot at its end stands for all that begin so. A command that knows
    nothing of those does nothing then, which an empty variable for them would not warrant.
    """
    release = _at(layout, queue)
    if release is None:
        return False
    argv: Sequence[str] = ["/bin/bash", "-c", queue.on_kill]
    program = None
    if not queue.on_kill:
        if not procfile.has_delayed_job(layout.releases / release):
            return False
        argv, program = ["bundle", "exec", "ruby", "-"], template("unlock_delayed_job.rb")
    config = Ledger(layout).config(release)
    env = {**config, **queue.env}
    if program and not env.get(URL):
        raise LookupError(NO_URL)
    redact = Redactor(config)
    app = workers.environment(layout, release, env)
    said: deque[str] = deque(maxlen=TAIL)

    def hear(line: str) -> None:
        said.append(redact(line))
        say(said[-1])

    try:
        system.run(
            argv,
            hear,
            user=layout.app,
            cwd=layout.releases / release,
            env={**app, "DEAD_WORKERS": "\n".join(dead)},
            stdin=program,
            timeout=LIMIT,
        )
    except CommandError as problem:
        # what is indented is where in the program it was
        last = next((line for line in reversed(said) if line[:1].strip()), "")
        raise CommandError(redact(str(problem)) + (f"; it said: {last}" if last else "")) from None
    return True


def _at(layout: Layout, queue: Queue) -> str | None:
    """The release to tell it in: where its own is being removed, the one that runs."""
    # its config vars go first
    there = layout.config(queue.release).is_file() and (layout.releases / queue.release).is_dir()
    return queue.release if there else Ledger(layout).current()
