"""Turns: whatever the period and the number of hosts, never two at the same time."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime

import pytest

from satellite_infra.agent.turns import PERIODS, Turns, restart_seconds, shortest_period


def test_each_moment_is_the_turn_of_one_host_at_most() -> None:
    for minutes in (1, 6, 60, 240, 1440):
        for hosts in (1, 2, 7, 30):
            others = [Turns(minutes, place + 1, hosts) for place in range(hosts)]
            for now in range(0, 2 * minutes * 60, 13):
                ends = [end for end in (turns.end(now) for turns in others) if end]
                assert len(ends) <= 1
                assert all(now < end <= now + minutes * 60 // hosts for end in ends)


@pytest.mark.parametrize(
    ("turns", "calendar", "begins"),
    [
        (Turns(1, 1, 1), "*:00/1:00 UTC", 0),
        (Turns(3, 2, 2), "*:01/3:30 UTC", 90),
        (Turns(30, 3, 4), "*:15/30:00 UTC", 900),
        (Turns(60, 2, 3), "*:20:00 UTC", 1200),
        (Turns(240, 4, 5), "02/4:24:00 UTC", 8640),
        (Turns(1440, 2, 2), "12:00:00 UTC", 43_200),
    ],
)
def test_systemd_starts_it_when_its_turn_begins(turns: Turns, calendar: str, begins: int) -> None:
    assert turns.calendar() == calendar
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze comes with systemd"
    count, period = 5, turns.minutes * 60
    argv = [analyze, "calendar", f"--iterations={count}", "--base-time=2026-03-28 00:00:00 UTC"]
    # over a night in which clocks are put forward in many countries
    text = subprocess.run(
        [*argv, calendar], capture_output=True, text=True, check=True, env={"TZ": "UTC"}
    ).stdout
    shown = re.findall(r": \w{3} (\S+ \S+) UTC$", text, re.MULTILINE)
    found = [datetime.fromisoformat(f"{stamp}+00:00").timestamp() for stamp in shown]
    assert len(found) == count
    for at in found:
        assert at % period == begins
        assert turns.end(at) == at + period // turns.hosts
        assert turns.end(at - 1) in (0, at)  # 0 but where there is one host


def test_the_shortest_period_has_room_for_all() -> None:
    assert restart_seconds([60, 20], 10, 30) == 190
    assert restart_seconds([], 0, 0) == 30
    assert shortest_period(2, 190) == 10
    assert shortest_period(10, 190) == 60
    assert shortest_period(100, 190) == 480
    assert shortest_period(1000, 190) is None
    assert {1, 3, 10, 12, 15, 20, 30, 60, 120, 720, 1440} < set(PERIODS)
    assert not {7, 45, 90, 300} & set(PERIODS)
