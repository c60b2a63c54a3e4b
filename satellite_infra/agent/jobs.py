"""Jobs that dead workers hold: the app's queue gives them back, by an adapter or `on_kill`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import notes, storage, workers
from .layout import Layout
from .ledger import Ledger
from .manifest import ReleaseManifest
from .redact import Redactor
from .system import CommandError, Say, System
from .units import template

TOGETHER = 500  # dead workers in one run; a crash loop leaves many
LIMIT = 60  # seconds for one run


class Queue(NamedTuple):
    """How the queue of some workers is told: in which release, by which command, with what set."""

    release: str
    on_kill: str = ""  # empty: the adapter that fits the release's Gemfile.lock
    env: Mapping[str, str] = {}


def reap(layout: Layout, system: System, say: Say) -> bool:
    """Give back the jobs of every dead worker, and forget it; False when it could not be done."""
    done = True
    dead = [note for note in notes.of(layout) if not note.alive()]
    for name in sorted(notes.outlived(dead)):
        say(f"{name}: ended, but processes that it started still run, maybe its job")
        dead = [note for note in dead if note.name != name]
        done = False
    queues: list[tuple[Queue, list[str]]] = []
    for note in dead:
        queue = Queue(note.release, note.on_kill, note.env)
        mine = next((names for other, names in queues if other == queue), None)
        if mine is None:
            queues.append((queue, mine := []))
        mine.append(note.name)
    for queue, mine in queues:
        for names in (mine[n : n + TOGETHER] for n in range(0, len(mine), TOGETHER)):
            try:
                told = tell(layout, queue, names, system, say)
            except (CommandError, OSError, LookupError) as problem:
                say(f"{', '.join(names)}: their jobs could not be given back yet: {problem}")
                done = False
                continue
            if not told:
                say(f"{', '.join(names)}: ended; no adapter for their queue")
            for name in names:
                storage.remove(layout.notes / f"{name}.json")
    # one that died meanwhile asked systemd for this run, which was under way
    return done and all(note.alive() for note in notes.of(layout))


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
    queues = {p.on_kill: Queue(release, p.on_kill, p.env) for p in manifest.processes}
    names = [f"{host}.{machine}."]
    told = [tell(layout, queue, names, system, say) for queue in queues.values()]
    done = "were given back" if any(told) else "stay as they are: no adapter for their queue"
    return f"jobs of {host}, machine {machine}, {done}"


def tell(layout: Layout, queue: Queue, dead: Sequence[str], system: System, say: Say) -> bool:
    """Have the queue release what dead workers held; False where nobody knows how.

    `dead` are names; one with a dot at its end stands for all that begin so. A command that knows
    nothing of those does nothing then, which an empty variable for them would not warrant.
    """
    ledger = Ledger(layout)
    # where a release is being removed its config vars go first
    there = layout.config(queue.release).is_file() and (layout.releases / queue.release).is_dir()
    release = queue.release if there else ledger.current()
    if release is None:
        return False
    argv: Sequence[str] = ["/bin/bash", "-c", queue.on_kill]
    program = None
    if not queue.on_kill:
        lock = layout.releases / release / "Gemfile.lock"
        if not lock.is_file() or " delayed_job " not in lock.read_text("utf-8"):
            return False
        argv, program = ["bundle", "exec", "ruby", "-"], template("unlock_delayed_job.rb")
    config = ledger.config(release)
    redact = Redactor(config)
    app = workers.environment(layout, release, {**config, **queue.env})
    system.run(
        argv,
        lambda line: say(redact(line)),
        user=layout.app,
        cwd=layout.releases / release,
        env={**app, "DEAD_WORKERS": "\n".join(dead)},
        stdin=program,
        timeout=LIMIT,
    )
    return True
