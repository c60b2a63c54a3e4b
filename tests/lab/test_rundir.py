"""Which runs count as left over."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import rundir
from lab.cgroups import Group
from lab.rundir import Run


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SATELLITE_LAB_RUNS", str(tmp_path))
    return tmp_path


def make(directory: Path) -> Path:
    directory.mkdir()
    (directory / "lock").touch()
    (directory / "cgroups.json").write_text(json.dumps([str(directory / "group")]))
    return directory


@pytest.fixture
def held(runs: Path) -> Iterator[Path]:
    directory = make(runs / "satellite-lab-1-held")
    with (directory / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


def test_a_held_run_is_not(held: Path) -> None:
    assert list(rundir.left_over()) == []


def test_a_run_whose_lock_nobody_holds_is(runs: Path, held: Path) -> None:
    left = make(runs / "satellite-lab-2-left")
    assert list(rundir.left_over()) == [Run(left, Group((left / "group",)))]


def test_a_run_being_made_is_not_for_a_minute(runs: Path) -> None:
    unfinished = make(runs / ".satellite-lab-3-new")
    assert list(rundir.left_over()) == []
    os.utime(unfinished, (time.time() - 61,) * 2)
    assert [run.name for run in rundir.left_over()] == [".satellite-lab-3-new"]


def test_a_run_half_removed_is(runs: Path) -> None:
    (runs / "satellite-lab-4-half").mkdir()
    assert list(rundir.left_over()) == [Run(runs / "satellite-lab-4-half", Group(()))]


def test_other_directories_are_left_alone(runs: Path) -> None:
    (runs / "somebody-elses").mkdir()
    assert list(rundir.left_over()) == []


def test_a_run_tells_how_its_logs_end(runs: Path) -> None:
    run = Run(make(runs / "satellite-lab-6-ending"), Group(()))
    (run.directory / "ec2.log").write_text("".join(f"{n}\n" for n in range(30)))
    assert run.said().splitlines() == ["ec2.log:", *(f"  {n}" for n in range(10, 30))]


def test_sweep(runs: Path) -> None:
    left = make(runs / "satellite-lab-5-left")
    (left / "group/i-1").mkdir(parents=True)
    Run(left, Group((left / "group",))).sweep()
    assert list(runs.iterdir()) == []
