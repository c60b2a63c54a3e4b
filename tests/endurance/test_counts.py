"""Each promise is seen to be broken, in hand-written rows of the runs and of the locks."""

from __future__ import annotations

import pytest

from demo.report import Report
from endurance.counts import Counts, counts

A = "endurance-1.i-0abc.worker.1.5d3f00aa"
B = "endurance-2.i-0def.worker.2.77aa12bc"


def run(
    task: int, start: float, end: float, worker: str = A, *, finished: bool = True
) -> tuple[object, ...]:
    """A row of the app's report."""
    return (task, False, worker, "ip-172-31-0-4", "a" * 40, start, end, finished)


def lock(
    task: int, taken: float, freed: float, worker: str = A, how: str = "done"
) -> tuple[object, ...]:
    """A row of the history of locks."""
    return (task, worker, taken, freed, how)


def counted(
    runs: list[tuple[object, ...]],
    locks: list[tuple[object, ...]],
    killed: tuple[str, ...] = (),
    expected: int = 2,
) -> Counts:
    return counts(runs, locks, killed=killed, expected=expected, grace=20)


DONE = ([run(1, 0, 1), run(2, 1, 4, B)], [lock(1, 0, 1), lock(2, 1, 4.5, B)])
KILLED = (
    [run(1, 0, 1), run(2, 1, 3, finished=False), run(2, 8, 11, B)],
    [lock(1, 0, 1), lock(2, 1, 6, how="given back"), lock(2, 8, 11, B)],
)


def test_all_done_once() -> None:
    found = counted(*DONE)
    assert found.problems() == []
    assert found == Counts(
        report=Report(2, 2, 0, 0, (), (), ()),
        expected=2,
        limit=30,
        interrupted=(),
        unexplained=(),
        unseen=(),
        longest=3.5,
        orphaned=0,
    )
    assert found.line() == (
        "2 done, 0 lost, 0 twice at once, 0 repeated (0 interrupted by kills), "
        "longest lock 3.5 s (allowed: 30 s)"
    )


def test_a_killed_workers_job_is_repeated_and_that_is_right() -> None:
    found = counted(*KILLED, killed=(A,))
    assert found.problems() == []
    assert (found.report.repeats, found.interrupted) == (1, (2,))
    assert (found.longest, found.orphaned) == (5, 3)


def test_a_worker_killed_before_its_job_began_or_after_it_was_done() -> None:
    never_began = ([run(2, 8, 11, B)], [lock(2, 1, 6, how="given back"), lock(2, 8, 11, B)])
    found = counted(*never_began, killed=(A,), expected=1)
    assert (found.problems(), found.report.repeats, found.interrupted) == ([], 0, ())
    assert found.orphaned == 5
    done = ([run(2, 1, 3), run(2, 8, 11, B)], [lock(2, 1, 6, how="given back"), never_began[1][1]])
    found = counted(*done, killed=(A,), expected=1)
    assert (found.problems(), found.report.repeats, found.interrupted) == ([], 1, (2,))


BROKEN = {
    "lost": (
        ([*DONE[0], (3, False, None, None, None, None, None, False)], DONE[1]),
        3,
        ["lost, neither done nor in the queue: tasks 3"],
    ),
    "never put into the queue": (
        DONE,
        3,
        ["2 tasks were put into the queue, 3 were meant to be"],
    ),
    "not done yet": (
        ([*DONE[0], (3, True, None, None, None, None, None, False)], DONE[1]),
        3,
        ["1 tasks are still waiting in the queue"],
    ),
    "repeated though nobody killed its worker": (
        KILLED,
        2,
        [
            "1 runs were repeats, but 0 were interrupted by kills",
            "not finished by the worker that had them, though nobody killed it: tasks 2",
        ],
    ),
    "given back while it ran, so done twice at once": (
        ([run(1, 0, 5), run(1, 3, 8, B)], [lock(1, 0, 2, how="given back"), lock(1, 3, 8, B)]),
        1,
        [
            "ran twice at the same time: tasks 1",
            "1 runs were repeats, but 0 were interrupted by kills",
            "not finished by the worker that had them, though nobody killed it: tasks 1",
        ],
    ),
    "taken over by another worker": (
        ([run(1, 0, 1), run(1, 2, 3, B)], [lock(1, 0, 2, how="taken over"), lock(1, 2, 3, B)]),
        1,
        [
            "1 runs were repeats, but 0 were interrupted by kills",
            "not finished by the worker that had them, though nobody killed it: tasks 1",
        ],
    ),
    "locked too long": (
        ([run(1, 0, 30)], [lock(1, 0, 30.2)]),
        1,
        ["a job was locked for 30.2 s, not 30"],
    ),
    "held in the end": (
        ([run(1, 0, 1)], [lock(1, 0, 9, how="held")]),
        1,
        ["not finished by the worker that had them, though nobody killed it: tasks 1"],
    ),
    "no history of locks": ((DONE[0], []), 2, ["ran without a lock: tasks 1, 2"]),
}


@pytest.mark.parametrize(("rows", "expected", "problems"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_promise_is_found(
    rows: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
    expected: int,
    problems: list[str],
) -> None:
    assert counted(*rows, expected=expected).problems() == problems


def test_a_kill_that_interrupted_a_job_which_nobody_repeated_is_found() -> None:
    found = counted(KILLED[0][:2], KILLED[1][:2], killed=(A,))
    assert found.problems() == [
        "lost, neither done nor in the queue: tasks 2",
        "0 runs were repeats, but 1 were interrupted by kills",
    ]
