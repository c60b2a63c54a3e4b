"""Jobs that dead workers hold: the app's queue gives them back, by an adapter or `on_kill`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import storage, workers
from .layout import Layout
from .ledger import Ledger
from .system import CommandError, Say, System
from .units import template

TOGETHER = 500  # dead workers in one run; a crash loop leaves many
LIMIT = 60  # seconds for one run


@dataclass(frozen=True)
class Queue:
    """How the queue of some workers is told: in which release, by which command, with what set."""

    release: str
    on_kill: str = ""  # empty: the adapter that fits the release's Gemfile.lock
    env: Mapping[str, str] = field(default_factory=dict)


def reap(layout: Layout, system: System, say: Say) -> bool:
    """Give back the jobs of every dead worker, and forget it; False when it could not be done."""
    done = True
    dead = [note for note in workers.notes(layout) if not note.alive()]
    for name in sorted(workers.outlived(dead)):
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
                told = tell(layout, queue, {"DEAD_WORKERS": "\n".join(names)}, system, say)
            except (CommandError, OSError, LookupError) as problem:
                say(f"{', '.join(names)}: their jobs could not be given back yet: {problem}")
                done = False
                continue
            if not told:
                say(f"{', '.join(names)}: ended; no adapter for their queue")
            for name in names:
                storage.remove(layout.notes / f"{name}.json")
    return done


def tell(layout: Layout, queue: Queue, dead: Mapping[str, str], system: System, say: Say) -> bool:
    """Have the queue release what dead workers held; False where nobody knows how."""
    ledger = Ledger(layout)
    there = (layout.releases / queue.release).is_dir()
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
    app = workers.environment(layout, release, {**ledger.config(release), **queue.env})
    system.run(
        argv,
        say,
        user=layout.app,
        cwd=layout.releases / release,
        env={**app, **dead},
        stdin=program,
        timeout=LIMIT,
    )
    return True
