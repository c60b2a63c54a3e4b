"""The endurance run on a small scale: the same code, the same counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.failure import DemoError
from demo.screen import Screen
from demo.site import demolished
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
