"""The whole of it: machines up, event after event while jobs run, the rest of the jobs, counts."""

from __future__ import annotations

import time

from demo.failure import DemoError
from demo.screen import Clock
from endurance.counts import Counts
from endurance.events import Event
from endurance.stage import Stage

POLL = 1  # seconds
STALLED = 120  # seconds in which no job is done while some wait


def play(stage: Stage, events: tuple[Event, ...]) -> Counts:
    """What became of the jobs; DemoError where an event could not happen."""
    screen, scale = stage.screen, stage.scale
    clock = screen.step(f"{scale.hosts} hosts with {scale.workers} workers each")
    stage.site.up()
    stage.revisions.append(stage.site.revision(stage.site.hosts()[0]))
    screen.good(f"up after {clock}")
    for event, jobs in zip(events, scale.shares(len(events)), strict=True):
        happen(stage, event, jobs)
    clock = screen.step("The rest of the jobs")
    finish(stage)
    screen.good(f"none is left after {clock}")
    return stage.count()


def happen(stage: Stage, event: Event, jobs: int) -> None:
    """Put so many jobs into the queue, and let it happen while they are done."""
    stage.screen.step(event.name[0].upper() + event.name[1:])
    stage.site.enqueue(*stage.scale.kinds(jobs - event.outlasting))
    if event.outlasting:  # last, because it begins at once
        outlasting = (event.outlasting, stage.scale.outlasting, stage.scale.outlasting)
        stage.site.enqueue(outlasting, priority=-1)
    stage.busy()
    clock, before = Clock(), stage.done()
    said = event.happens(stage)
    done, waiting = stage.done(), len(stage.unfinished())
    stage.screen.good(f"{said}; {clock}, {done - before} jobs done meanwhile, {waiting} waiting")


def finish(stage: Stage) -> None:
    """Wait for the end of the queue; DemoError when it does not come nearer."""
    left, moved = len(stage.unfinished()), time.monotonic()
    while left:
        time.sleep(POLL)
        now = len(stage.unfinished())
        if now != left:
            left, moved = now, time.monotonic()
        elif time.monotonic() - moved > STALLED:
            raise DemoError(f"no job was done for {STALLED} s", [f"{left} are in the queue"])
