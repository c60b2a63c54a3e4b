"""Counting the jobs' runs, against crafted rows of `report.sql`."""

from __future__ import annotations

import pytest

from demo.report import Report, Run, Snapshot, count, problems

OLD = "a" * 40
W1 = "worker-1.i-0abc.worker.1.5d3f00aa"
W2 = "worker-2.i-0def.worker.2.77aa12bc"


def row(
    task: int,
    start: float | None = None,
    end: float | None = None,
    *,
    finished: bool = True,
    queued: bool = False,
    worker: str = W1,
) -> tuple[object, ...]:
    """One row: a task without a run when `start` is not given."""
    if start is None:
        return (task, queued, None, None, None, None, None, False)
    return (task, queued, worker, "ip-172-31-0-4", OLD, start, end, finished)


def test_a_snapshot_holds_tasks_queue_and_runs_in_order() -> None:
    assert Snapshot.of([row(2, queued=True), row(1, 5.0, 6.0), row(1, 1.0, 2.0)]) == Snapshot(
        tasks=frozenset({1, 2}),
        queued=frozenset({2}),
        runs=(
            Run(1, 1.0, 2.0, True, W1, "ip-172-31-0-4", OLD),
            Run(1, 5.0, 6.0, True, W1, "ip-172-31-0-4", OLD),
        ),
    )


CASES = {
    "nothing was asked for": ([], Report(0, 0, 0, 0, (), (), ())),
    "all done once": ([row(1, 0, 1), row(2, 1, 2)], Report(2, 2, 0, 0, (), (), ())),
    "waiting": ([row(1, 0, 1), row(2, queued=True)], Report(2, 1, 1, 0, (), (), ())),
    "under way": (
        [row(1, 0, 1, finished=False, queued=True)],
        Report(1, 0, 1, 0, (), (), ()),
    ),
    "done, its entry not yet removed from the queue": (
        [row(1, 0, 1, queued=True)],
        Report(1, 1, 0, 0, (), (), ()),
    ),
    "never ran and is not in the queue": ([row(1)], Report(1, 0, 0, 0, (1,), (), ())),
    "cut off and not in the queue": (
        [row(1, 0, 1, finished=False)],
        Report(1, 0, 0, 0, (1,), (), (1,)),
    ),
    "cut off, then done": (
        [row(1, 0, 1, finished=False), row(1, 3, 4, worker=W2)],
        Report(1, 1, 0, 1, (), (), (1,)),
    ),
    "cut off, then under way": (
        [row(1, 0, 1, finished=False, queued=True), row(1, 3, 4, finished=False, queued=True)],
        Report(1, 0, 1, 1, (), (), (1,)),
    ),
    "cut off twice, then done": (
        [row(1, 0, 1, finished=False), row(1, 2, 3, finished=False), row(1, 4, 5)],
        Report(1, 1, 0, 2, (), (), (1, 1)),
    ),
    "done twice, one after the other": (
        [row(1, 0, 1), row(1, 1, 2, worker=W2)],
        Report(1, 1, 0, 1, (), (), ()),
    ),
    "two runs overlap": (
        [row(1, 0, 2), row(1, 1.9, 3, worker=W2)],
        Report(1, 1, 0, 1, (), (1,), ()),
    ),
    "a long run holds two short ones": (
        [row(1, 0, 10), row(1, 1, 2), row(1, 9, 12)],
        Report(1, 1, 0, 2, (), (1,), ()),
    ),
    "one run begins at the moment at which another was last seen": (
        [row(1, 0, 10, finished=False), row(1, 10, 10.5)],
        Report(1, 1, 0, 1, (), (), (1,)),
    ),
    "runs of different tasks may overlap": (
        [row(1, 0, 2), row(2, 0, 2, worker=W2)],
        Report(2, 2, 0, 0, (), (), ()),
    ),
}


@pytest.mark.parametrize(("rows", "expected"), CASES.values(), ids=CASES.keys())
def test_counts(rows: list[tuple[object, ...]], expected: Report) -> None:
    assert count(Snapshot.of(rows)) == expected


def test_who_did_how_many() -> None:
    snapshot = Snapshot.of(
        [
            row(1, 0, 1),
            row(2, 1, 2),
            row(3, 0, 2, worker=W2),
            row(4, 2, 3, worker=W2, finished=False, queued=True),
            row(5, 0, 1, worker="host:web1 pid:7"),
        ]
    )
    assert snapshot.done_by(lambda run: run.slot) == {
        "worker-1 worker.1": 2,
        "worker-2 worker.2": 1,
        "host:web1 pid:7": 1,
    }


def test_no_problems() -> None:
    assert problems(Report(200, 200, 0, 0, (), (), ()), expected=200) == []


def test_every_problem_is_told_at_once() -> None:
    report = Report(
        tasks=199,
        done=170,
        waiting=3,
        repeats=14,
        lost=(4, 5),
        twice_at_once=tuple(range(1, 13)),
        cut_off=(7,),
    )
    assert problems(report, expected=200) == [
        "199 tasks were put into the queue, 200 were meant to be",
        "3 tasks are still waiting in the queue",
        "lost, neither done nor in the queue: tasks 4, 5",
        "ran twice at the same time: tasks 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more",
        "cut off before they had finished: tasks 7",
        "14 runs too many: each task should have run once",
    ]


def test_one_line() -> None:
    assert Report(200, 190, 8, 1, (3, 4), (), (9,)).line() == (
        "190 of 200 done, 8 waiting, 2 lost, 0 twice at once, 1 repeated, 1 cut off"
    )
