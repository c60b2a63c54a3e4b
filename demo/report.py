"""Counts what the example app's jobs did: done, lost, repeated, cut off, twice at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

APP = Path(__file__).parent.parent / "examples" / "delayed_job_app"


@cache
def runs_query() -> str:
    """The question to the database whose rows a snapshot is made of."""
    return (APP / "report.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, order=True)
class Run:
    """One attempt at a task; times in seconds on the database's clock.

    `end` is when it finished or, where it did not, when it was last seen at work.
    """

    task: int
    start: float
    end: float
    finished: bool
    worker: str
    host: str
    revision: str

    @property
    def slot(self) -> str:
        """Where it ran, as a person says it: `worker-1 worker.2`.

        A worker's name is `HOST.MACHINE.TYPE.NUMBER.START`; any other name is its own slot.
        """
        parts = self.worker.rsplit(".", 4)
        return f"{parts[0]} {parts[2]}.{parts[3]}" if len(parts) == 5 else self.worker


@dataclass(frozen=True)
class Snapshot:
    """What the database said at one moment."""

    tasks: frozenset[int]
    queued: frozenset[int]
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Snapshot:
        """From the rows of `report.sql`."""
        rows = list(rows)
        return cls(
            tasks=frozenset(row[0] for row in rows),
            queued=frozenset(row[0] for row in rows if row[1]),
            runs=tuple(
                sorted(
                    Run(task, start, end, finished, worker, host, revision)
                    for task, _, worker, host, revision, start, end, finished in rows
                    if worker is not None
                )
            ),
        )

    def done_by(self, key: Callable[[Run], str]) -> Counter[str]:
        """How many finished runs there are for each value of `key`."""
        return Counter(key(run) for run in self.runs if run.finished)


@dataclass(frozen=True)
class Report:
    """The counts, with the tasks' numbers where a number alone would not help to find the fault."""

    tasks: int
    done: int
    waiting: int  # not done yet, still in the queue
    repeats: int  # runs beyond the first of each task
    lost: tuple[int, ...]  # neither done nor in the queue
    twice_at_once: tuple[int, ...]  # two runs shared a moment
    cut_off: tuple[int, ...]  # a run ended without finishing; once for each such run

    def line(self) -> str:
        """One line of counts."""
        return (
            f"{self.done} of {self.tasks} done, {self.waiting} waiting, {len(self.lost)} lost, "
            f"{len(self.twice_at_once)} twice at once, {self.repeats} repeated, "
            f"{len(self.cut_off)} cut off"
        )


def count(snapshot: Snapshot) -> Report:
    """The counts of one snapshot."""
    done = {run.task for run in snapshot.runs if run.finished}
    by_task = [list(runs) for _, runs in groupby(snapshot.runs, key=lambda run: run.task)]
    missing = snapshot.tasks - done
    return Report(
        tasks=len(snapshot.tasks),
        done=len(done & snapshot.tasks),
        waiting=len(missing & snapshot.queued),
        repeats=sum(len(runs) - 1 for runs in by_task),
        lost=tuple(sorted(missing - snapshot.queued)),
        twice_at_once=tuple(runs[0].task for runs in by_task if _overlap(runs)),
        cut_off=tuple(
            run.task for runs in by_task for run in _cut_off(runs, runs[0].task in snapshot.queued)
        ),
    )


def problems(report: Report, expected: int) -> list[str]:
    """What is not as promised when `expected` tasks should each have been done exactly once."""
    found = unkept(report, expected)
    if report.cut_off:
        found.append(f"cut off before they had finished: tasks {some(report.cut_off)}")
    if report.repeats:
        found.append(f"{report.repeats} runs too many: each task should have run once")
    return found


def unkept(report: Report, expected: int) -> list[str]:
    """What is not as promised, whatever happened to the workers of `expected` tasks."""
    found = []
    if report.tasks != expected:
        found.append(f"{report.tasks} tasks were put into the queue, {expected} were meant to be")
    if report.waiting:
        found.append(f"{report.waiting} tasks are still waiting in the queue")
    if report.lost:
        found.append(f"lost, neither done nor in the queue: tasks {some(report.lost)}")
    if report.twice_at_once:
        found.append(f"ran twice at the same time: tasks {some(report.twice_at_once)}")
    return found


def some(tasks: Sequence[int], most: int = 10) -> str:
    """The first numbers, and how many more there are."""
    shown = ", ".join(map(str, tasks[:most]))
    return shown if len(tasks) <= most else f"{shown} and {len(tasks) - most} more"


def _overlap(runs: list[Run]) -> bool:
    """Whether two runs of one task shared a moment; in order of start, then neighbours do."""
    return any(later.start < earlier.end for earlier, later in pairwise(runs))


def _cut_off(runs: list[Run], queued: bool) -> list[Run]:
    """The runs that ended without finishing; the last one of a queued task may be under way."""
    ended = runs[:-1] if queued else runs
    return [run for run in ended if not run.finished]
