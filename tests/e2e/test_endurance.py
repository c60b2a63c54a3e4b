"""The endurance run on a small scale: the same code, the same counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.failure import DemoError
from demo.screen import Screen
from demo.site import demolished
from endurance.counts import locks_query
from endurance.events import FEW
from endurance.plan import Scale
from endurance.play import play
from endurance.stage import Stage, recorded
from lab.client import Lab

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
SMALL = Scale(jobs=300, hosts=2, workers=2, grace=8, lasting=18)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with recorded(Lab()):
        stage = Stage.of(SMALL, Screen.standard(), tmp_path / "endurance")
        with demolished(stage.site):
            yield stage


def test_no_job_is_lost_or_done_twice_whatever_happens_to_its_worker(stage: Stage) -> None:
    try:
        counts = play(stage, FEW)
    except DemoError as failure:
        pytest.fail("\n".join([failure.what, *failure.why]))
    assert counts.problems() == []
    assert counts.interrupted
    assert re.fullmatch(
        r"300 done, 0 lost, 0 twice at once, (\d+) repeated \(\1 interrupted by kills\), "
        r"longest lock [0-9.]+ s \(allowed: 18 s\)",
        counts.line(),
    )


def test_the_history_knows_how_each_lock_ended() -> None:
    lab = Lab()
    ends = {
        "done": "DELETE FROM delayed_jobs WHERE id = %s",
        "failed": "UPDATE delayed_jobs SET attempts = 1, locked_by = NULL WHERE id = %s",
        "given back": "UPDATE delayed_jobs SET locked_at = NULL, locked_by = NULL WHERE id = %s",
        "taken over": "UPDATE delayed_jobs SET locked_by = 'B' WHERE id = %s",
        "held": "UPDATE delayed_jobs SET locked_at = now() WHERE id = %s",
    }
    with recorded(lab):
        for task, end in enumerate(ends.values()):
            lab.sql("INSERT INTO delayed_jobs (id, handler) VALUES (%s, '')", task)
            lab.sql("INSERT INTO tasks VALUES (%s, 1, %s)", task, task)
            lab.sql("UPDATE delayed_jobs SET locked_by = 'A' WHERE id = %s", task)
            lab.sql(end, task)
        rows = [(task, worker, how) for task, worker, _, _, how in lab.sql(locks_query())]
        times = [(taken, freed) for _, _, taken, freed, _ in lab.sql(locks_query())]
    # in the order in which they were taken
    history = [(task, "A", how) for task, how in enumerate(ends)]
    history.insert(4, (3, "B", "held"))
    assert rows == history
    assert all(taken < freed for taken, freed in times)
