"""What is shown of the jobs while they are done."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from demo import progress
from demo.failure import DemoError
from demo.progress import Share, follow, line, shares
from demo.report import Report, Run, Snapshot, count
from demo.screen import Screen

OLD, NEW = "a" * 40, "b" * 40


def run(task: int, worker: str, revision: str, *, finished: bool = True) -> Run:
    return Run(task, float(task), task + 0.5, finished, worker, "h", revision)


SNAPSHOT = Snapshot(
    tasks=frozenset(range(1, 6)),
    queued=frozenset({4, 5}),
    runs=(
        run(1, "worker-1.i-1.worker.1.aa", OLD),
        run(2, "worker-1.i-1.worker.1.bb", NEW),
        run(3, "worker-2.i-2.worker.1.cc", OLD),
        run(4, "worker-2.i-2.worker.2.dd", NEW, finished=False),
    ),
)


def test_shares() -> None:
    assert shares(SNAPSHOT, [OLD, NEW]) == [
        Share("worker-1 worker.1", (1, 1)),
        Share("worker-2 worker.1", (1, 0)),
        Share("worker-2 worker.2", (0, 0)),
    ]


def test_line() -> None:
    assert line(12.3, count(SNAPSHOT), shares(SNAPSHOT, [OLD, NEW]), "deploy: starts") == (
        " 12 s    3 of 5 done  worker-1: 1+1  worker-2: 1+0 0+0  deploy: starts"
    )


def screen(*, terminal: bool) -> tuple[Screen, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, color_system=None)
    return Screen(console), text


def test_following_ends_with_the_last_snapshot_and_tells_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "POLL", 0)
    looks = iter([Snapshot(SNAPSHOT.tasks, SNAPSHOT.tasks, ()), SNAPSHOT])
    shown, text = screen(terminal=False)
    assert follow(shown, lambda: next(looks), [OLD, NEW], lambda r: r.done == 3) == SNAPSHOT
    assert text.getvalue() == (
        "    0 s    0 of 5 done\n    0 s    3 of 5 done  worker-1: 1+1  worker-2: 1+0 0+0\n"
    )


def test_a_stand_still_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL", 0.01)
    monkeypatch.setattr(progress, "STALLED", 0.05)
    with pytest.raises(DemoError) as caught:
        follow(screen(terminal=False)[0], lambda: SNAPSHOT, [OLD, NEW], lambda _: False)
    assert (caught.value.what, caught.value.why) == (
        "nothing happened to the jobs for 0 s",
        ("3 of 5 done, 2 waiting, 0 lost, 0 twice at once, 0 repeated, 0 cut off",),
    )


def test_bars() -> None:
    shown, text = screen(terminal=True)
    report = Report(5, 3, 2, 0, (), (), ())
    shown.console.print(progress.drawn(SNAPSHOT, report, [OLD, NEW], "deploy: starts"))
    assert [row.rstrip() for row in text.getvalue().splitlines()] == [
        f"  all jobs           {'━' * 40}  3 of 5",
        f"  worker-1 worker.1  {'█' * 36}{' ' * 4}  1 + 1",
        f"  worker-2 worker.1  {'█' * 18}{' ' * 22}  1 + 0",
        f"  worker-2 worker.2  {' ' * 40}  0 + 0",
        "  █ release aaaaaaa  █ release bbbbbbb",
        "  deploy: starts",
    ]
