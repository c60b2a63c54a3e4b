"""Tables on a terminal of 80 columns, and elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from satellite_cli import screen
from satellite_cli.look import FEW

ROW = (
    "worker-12",
    "running",
    "i-0123456789abcdef0",
    "172.31.255.12",
    "3 h",
    "0123456*",
    "12 of 12",
    "0",
)
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


@pytest.mark.usefixtures("terminal")
def test_what_info_shows_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(FEW, [ROW])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines == [
        "host      state   id                  address       up  revision workers  drift",
        "worker-12 running i-0123456789abcdef0 172.31.255.12 3 h 0123456* 12 of 12 0",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_reason_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("outcome",), [("failed in gate: [red]no[/]",)])
    assert "failed in gate: [red]no[/]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        ("2026-11-25T11:59:30Z", "30 s"),
        ("2026-11-25T11:01:00Z", "59 m"),
        ("2026-11-25T09:30:00Z", "2 h"),
        ("2026-11-20T12:00:00Z", "5 d"),
        ("2026-11-25T12:00:05Z", "0 s"),
        (None, "-"),
    ],
)
@pytest.mark.usefixtures("terminal")
def test_ages(stamp: str | None, shown: str) -> None:
    assert screen.when(stamp, NOW) == shown


def test_elsewhere_times_are_whole() -> None:
    assert screen.when("2026-11-25T11:59:30Z", NOW) == "2026-11-25T11:59:30Z"
