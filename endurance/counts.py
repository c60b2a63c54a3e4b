"""The promises, counted: from the jobs' runs, and from the history of the queue's locks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from demo.report import Report, Snapshot, count, some, unkept

AFTER_GRACE = 10  # seconds in which a job must be free once its worker's grace is over


@cache
def locks_query() -> str:
    """The question to the database whose rows are the history of the locks."""
    return Path(__file__).with_name("report.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Lock:
    """That one worker had one job, from when to when in seconds on the database's clock.

    `how` it ended: done, given back, failed, taken over; held where it has not.
    """

    task: int
    worker: str
    taken: float
    freed: float
    how: str

    @property
    def seconds(self) -> float:
        """How long the job was locked."""
        return self.freed - self.taken


@dataclass(frozen=True)
class Counts:
    """What became of the jobs; the tasks' numbers where they help to find a fault."""

    report: Report
    expected: int  # tasks that were meant to be put into the queue
    limit: float  # seconds that no job may be locked longer than
    interrupted: tuple[int, ...]  # once for each run that ended with its worker, which was killed
    unexplained: tuple[int, ...]  # their lock did not end with them, and nobody killed the worker
    unseen: tuple[int, ...]  # they ran without a lock that the history knows
    longest: float  # seconds of the longest lock
    orphaned: float  # seconds of the longest time that a lock outlived its worker's last sign

    def line(self) -> str:
        """One line of counts."""
        return (
            f"{self.report.done} done, {len(self.report.lost)} lost, "
            f"{len(self.report.twice_at_once)} twice at once, {self.report.repeats} repeated "
            f"({len(self.interrupted)} interrupted by kills), longest lock {self.longest:.1f} s "
            f"(allowed: {self.limit:.0f} s)"
        )

    def problems(self) -> list[str]:
        """Each promise that was broken, in a line."""
        found = unkept(self.report, self.expected)
        if self.report.repeats != len(self.interrupted):
            found.append(
                f"{self.report.repeats} runs were repeats, "
                f"but {len(self.interrupted)} were interrupted by kills"
            )
        if self.unexplained:
            found.append(
                "not finished by the worker that had them, though nobody killed it: "
                f"tasks {some(self.unexplained)}"
            )
        if self.longest > self.limit:
            found.append(f"a job was locked for {self.longest:.1f} s, not {self.limit:.0f}")
        if self.unseen:
            found.append(f"ran without a lock: tasks {some(self.unseen)}")
        return found


def counts(
    rows: Iterable[Sequence[Any]],
    locks: Iterable[Sequence[Any]],
    *,
    killed: Collection[str],
    expected: int,
    grace: float,
) -> Counts:
    """From the rows of the app's `report.sql` and of this folder's.

    `killed`: the names of the workers that were killed on purpose, or whose grace was over.
    """
    snapshot = Snapshot.of(rows)
    history = [Lock(*row) for row in locks]
    ends = {(run.task, run.worker): run.end for run in snapshot.runs}
    ours = [lock for lock in history if lock.how == "given back" and lock.worker in killed]
    kept = {(lock.task, lock.worker) for lock in history}
    return Counts(
        report=count(snapshot),
        expected=expected,
        limit=grace + AFTER_GRACE,
        interrupted=tuple(lock.task for lock in ours if (lock.task, lock.worker) in ends),
        unexplained=tuple(lock.task for lock in history if lock.how != "done" and lock not in ours),
        unseen=tuple(sorted(task for task, worker in ends.keys() - kept)),
        longest=max((lock.seconds for lock in history), default=0),
        orphaned=max(
            (lock.freed - ends.get((lock.task, lock.worker), lock.taken) for lock in ours),
            default=0,
        ),
    )
