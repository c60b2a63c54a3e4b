"""How a program that plays in the lab ends, and what becomes of its logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.performance import perform
from demo.screen import Screen


def test_it_runs_inside_the_lab_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SATELLITE_LAB", raising=False)
    assert perform("endurance", lambda _screen, _logs: True) == 2
    assert capsys.readouterr().err == "it runs inside the lab: make endurance\n"


@pytest.mark.parametrize("kept", [True, False])
def test_the_logs_stay_where_a_promise_was_broken(
    kept: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SATELLITE_LAB", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def play(_screen: Screen, logs: Path) -> bool:
        (logs / "one.log").touch()
        return kept

    assert perform("endurance", play) == (0 if kept else 1)
    assert len(list(tmp_path.glob("satellite-endurance-*/one.log"))) == (0 if kept else 1)
