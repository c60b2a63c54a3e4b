"""The measuring of `satellite` beside other tools: its order, its gate, its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import page, tools
from benchmarks.peers.field import FieldError, State, check
from benchmarks.peers.quiet import TICKS, Used
from benchmarks.peers.series import Figure, Run, order, series

MACHINE = page.Machine(2, "Debian 12, Linux 6, Python 3.11", ("Pulumi 3.1", "Capistrano 3.17"))


def figures(**seconds: list[float]) -> list[Figure]:
    names = {"satellite": tools.SATELLITE, "floor": tools.FLOOR, "cap": tools.CAPISTRANO}
    return [
        Figure("deploy", names[name], 10, [Run(value) for value in values])
        for name, values in seconds.items()
    ]


def test_every_tool_comes_first_once_and_every_second_round_goes_backwards() -> None:
    assert [order("abc", n) for n in range(4)] == [
        ["a", "b", "c"],
        ["a", "c", "b"],
        ["c", "a", "b"],
        ["c", "b", "a"],
    ]


def test_a_disturbed_run_is_repeated_and_the_least_disturbed_one_counts() -> None:
    runs = iter([Run(9), Run(9), Run(5, 0.9), Run(2), Run(4, 0.6), Run(3, 0.5)])
    found = series("deploy", 4, ["a", "b"], 1, lambda _: next(runs))
    assert [(f.tool, f.runs) for f in found] == [("a", [Run(3, 0.5)]), ("b", [Run(2)])]


def test_what_others_use_is_the_machines_time_without_the_labs(tmp_path: Path) -> None:
    def used(busy: int, *ours: int) -> Used:
        (tmp_path / "stat").write_text(f"cpu {busy} 0 0 99 99 0 0 0 0 0\ncpu0 1\n")
        for pid, ticks in enumerate(ours, 1):
            (tmp_path / str(pid)).mkdir(exist_ok=True)
            numbers = " ".join(str(n) for n in [0] * 10 + [ticks, 0, ticks, 0])
            (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) S {numbers} 0 0")
        return Used.now(tmp_path)

    before = used(1000, 10, 20)
    after = used(1000 + 4 * TICKS, 10 + TICKS // 2, 20)
    assert (before.all, after.ours - before.ours) == (1000 / TICKS, 1.0)
    later = Used(after.all, after.ours, before.at + 2)
    assert later.foreign(before) == pytest.approx(1.5)
    assert later.busy(before) == pytest.approx(2)


@pytest.mark.parametrize(
    "after",
    [
        State("new", ("3", "4"), active=False),
        State("old", ("3", "4"), active=True),
        State("new", ("1", "4"), active=True),
    ],
)
def test_a_deploy_that_did_not_happen_is_no_result(after: State) -> None:
    before = [State("old", ("1", "2"), active=True)] * 2
    good = State("new", ("3", "4"), active=True)
    check("cap", before, [good, good], "new")
    with pytest.raises(FieldError, match="cap: host 2 should run new anew"):
        check("cap", before, [good, after], "new")


def test_the_page_says_what_is_aimed_at_and_what_is_so() -> None:
    text = page.page(figures(satellite=[2, 1.4, 1.5], floor=[1], cap=[3]), MACHINE, 3, quick=False)
    assert text.count("`make bench-peers ROUNDS=3`") == 2  # which wrote it, and repeats it
    assert "## Aims\n\n| what | aim |" in text
    assert "| satellite | 1.50 (1.40-2.00) |" in text
    assert "against plain ssh with the same agent | at most 1.5 x | 1.50 x | yes |" in text
    assert "against Capistrano | faster | 2.0 x as fast | yes |" in text
    assert "2 cores, Debian 12, Linux 6, Python 3.11" in text
    assert "Pulumi 3.1, Capistrano 3.17." in text


def test_the_page_does_not_hide_what_is_missed() -> None:
    text = page.page(figures(satellite=[2], floor=[1], cap=[1.5]), MACHINE, 3, quick=True)
    assert "| at most 1.5 x | 2.00 x | **no** |" in text
    assert "against Capistrano | faster | 0.8 x as fast | **no** |" in text
    assert "`make bench-peers QUICK=1 ROUNDS=3` wrote this page, in haste." in text
