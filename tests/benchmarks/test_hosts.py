"""The measuring of stacks by their hosts: what disturbs a run is waited for."""

from __future__ import annotations

import pytest

from benchmarks import hosts
from benchmarks.peers import quiet


def test_each_run_begins_when_the_machine_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = iter([0.9, 0.2, 0.0, *[0.1] * (hosts.TIMES - 1)])
    done: list[str] = []

    def busy(now: quiet.Used, before: quiet.Used) -> float:
        found = next(at_work)
        done.append(f"{found} used")
        return found

    monkeypatch.setattr(quiet.Used, "busy", busy)
    monkeypatch.setattr(quiet, "LOOK", 0)
    hosts.seconds(lambda: done.append("run"))
    again = ["0.1 used", "run"] * (hosts.TIMES - 1)
    assert done == ["0.9 used", "0.2 used", "0.0 used", "run", *again]
