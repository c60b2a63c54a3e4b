"""Which events of several hosts are of the same rollout."""

from __future__ import annotations

from typing import Any

import pytest

from satellite_cli.histories import together

OLD, NEW = "a" * 40, "b" * 40


def good(at: str, revision: str = OLD, **more: object) -> dict[str, Any]:
    return {"at": f"2026-11-25T{at}Z", "outcome": "good", "revision": revision, **more}


def rows(said: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Each line: the hosts with their times, in the order in which they came."""
    found = together(said)
    given = sorted(id(event) for events in said.values() for event in events)
    assert sorted(id(event) for _, on in found for event in on.values()) == given
    return [", ".join(f"{name} {e['at'][11:19]}" for name, e in on.items()) for _, on in found]


def test_one_more_of_the_same_on_a_host_moves_nothing() -> None:
    said = {
        "desk-1": [good("09:00:00"), good("15:00:00")],
        "desk-2": [good("09:01:00"), good("10:00:00"), good("15:01:00")],
    }
    assert rows(said) == [
        "desk-1 09:00:00, desk-2 09:01:00",
        "desk-2 10:00:00",
        "desk-1 15:00:00, desk-2 15:01:00",
    ]


@pytest.mark.parametrize("seconds", [{}, {"seconds": 290.0}])
def test_hosts_one_after_the_other_are_one_line_however_many(seconds: dict[str, Any]) -> None:
    """And the next rollout of the same begins at once: its first host is the nearest in time."""
    hosts = [f"desk-{n}" for n in range(12)]
    minutes = [(5 * n, 61 + 5 * n) for n in range(12)]
    said = {
        host: [good(f"{9 + m // 60:02}:{m % 60:02}:00", **seconds) for m in both]
        for host, both in zip(hosts, minutes, strict=True)
    }
    assert [list(on) for _, on in together(said)] == [hosts, hosts]


def test_a_host_that_missed_the_second_is_in_the_first() -> None:
    """It began where the one before it ended, though the next rollout's first ended sooner."""
    said = {
        "desk-1": [good("09:05:00", seconds=299), good("09:17:00", seconds=60)],
        "desk-2": [good("09:10:00", seconds=299), good("09:18:00", seconds=60)],
        "desk-3": [good("09:15:00", seconds=299)],
    }
    assert rows(said) == [
        "desk-1 09:05:00, desk-2 09:10:00, desk-3 09:15:00",
        "desk-1 09:17:00, desk-2 09:18:00",
    ]


def test_hosts_side_by_side_are_one_line_whose_clocks_differ_a_little() -> None:
    said = {
        "desk-1": [good("09:00:04", OLD), good("09:00:34", NEW)],
        "desk-2": [good("09:00:00", OLD), good("09:00:36", NEW)],
        "desk-3": [good("09:00:07", OLD), good("09:00:30", NEW)],
    }
    assert rows(said) == [
        "desk-2 09:00:00, desk-1 09:00:04, desk-3 09:00:07",
        "desk-3 09:00:30, desk-1 09:00:34, desk-2 09:00:36",
    ]


def test_another_commit_in_between_parts_them() -> None:
    said = {
        "desk-1": [good("09:00:00", OLD), good("09:10:00", NEW)],
        "desk-2": [good("09:11:00", NEW), good("09:20:00", OLD)],
    }
    assert rows(said) == ["desk-1 09:00:00", "desk-1 09:10:00, desk-2 09:11:00", "desk-2 09:20:00"]


def test_a_host_that_fails_beside_others_parts_nothing() -> None:
    back = {"outcome": "recovered", "revision": OLD}
    failed = {"outcome": "failed", "revision": NEW, "phase": "gate", "reason": "it ended"}
    said = {
        "desk-1": [good("09:00:00", NEW)],
        "desk-2": [good("09:01:00", **back), good("09:01:00", **failed)],
        "desk-3": [good("09:02:00", NEW)],
    }
    assert rows(said) == ["desk-1 09:00:00, desk-3 09:02:00", "desk-2 09:01:00", "desk-2 09:01:00"]
    assert [event["outcome"] for event, _ in together(said)] == ["good", "recovered", "failed"]


@pytest.mark.parametrize(("seconds", "lines"), [(60, 2), (4 * 3600, 1)])
def test_only_a_release_that_took_so_long_comes_so_late(seconds: float, lines: int) -> None:
    said = {"desk-1": [good("09:00:00")], "desk-2": [good("13:00:00", seconds=seconds)]}
    assert len(together(said)) == lines


def test_the_same_thing_twice_on_a_host_is_two_lines() -> None:
    said = {"desk-1": [good("10:00:01"), good("10:00:02")], "desk-2": [good("10:00:03")]}
    assert rows(said) == ["desk-1 10:00:01", "desk-1 10:00:02, desk-2 10:00:03"]
