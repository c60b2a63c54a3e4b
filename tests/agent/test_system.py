"""How the agent has systemd start units, with a `systemctl` that says what a real one says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from satellite_infra.agent import system
from satellite_infra.agent.system import CommandError, System

UNITS = ["satellite-shop.worker@1.service", "satellite-shop.worker@2.service"]
FAILED = """\
echo 'Job for satellite-shop.worker@1.service failed because the control process exited.'
exit 1
"""
REPLACED = "echo 'Job for satellite-shop.worker@1.service canceled.'\nexit 1\n"
LOST = """\
echo 'Warning! D-Bus connection terminated.'
echo 'Failed to wait for response: Connection reset by peer'
exit 1
"""
"""Systemd has executed itself anew, as its upgrade has it do; its jobs go on."""
REFUSED = "echo 'Failed to restart satellite-shop.worker@1.service: Unit not found.'\nexit 5\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(system, "PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def systemctl(place: Path, text: str) -> None:
    program = place / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >{place}/words\n{text}')
    program.chmod(0o755)


def test_it_waits_for_the_units_and_knows_that_they_are_there(place: Path) -> None:
    systemctl(place, 'sleep 0.3; touch "$(dirname "$0")/done"')
    assert System().restart(UNITS, 60)
    assert (place / "done").exists()
    assert (place / "words").read_text() == f"restart -- {' '.join(UNITS)}\n"


def test_or_it_does_not_wait(place: Path) -> None:
    systemctl(place, "")
    assert not System().restart(UNITS, 0)
    assert (place / "words").read_text() == f"restart --no-block -- {' '.join(UNITS)}\n"


@pytest.mark.parametrize("says", [FAILED, REPLACED, LOST])
def test_a_start_that_failed_is_looked_at_by_others(place: Path, says: str) -> None:
    systemctl(place, says)
    assert not System().restart(UNITS, 60)


@pytest.mark.parametrize("says", ["Transport endpoint is not connected", "Connection refused"])
def test_a_systemd_that_executes_itself_anew_is_asked_again(
    place: Path, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = f"[ -e {place}/again ] && echo done && exit 0\ntouch {place}/again\n"
    systemctl(place, f"{again}echo 'Failed to get properties: {says}'\nexit 1\n")
    assert System().systemctl("show") == "done\n"
    systemctl(place, "echo 'Unit x.service not found.'\nexit 5\n")
    with pytest.raises(CommandError, match=r"`systemctl show`: Unit x.service not found"):
        System().systemctl("show")
    monkeypatch.setattr(system, "ANEW", 0.5)
    systemctl(place, f"echo '{says}'\nexit 1\n")
    with pytest.raises(CommandError, match=says):
        System().systemctl("show")


@pytest.mark.parametrize("seconds", [0, 60])
def test_what_systemd_does_not_even_try_is_told_in_its_words(place: Path, seconds: int) -> None:
    systemctl(place, REFUSED)
    with pytest.raises(CommandError, match=r"worker@1\.service: Unit not found"):
        System().restart(UNITS, seconds)


def test_who_waits_too_long_goes_on(place: Path) -> None:
    systemctl(place, "exec sleep 600")
    began = time.monotonic()
    assert not System().restart(UNITS, 0.2)
    assert time.monotonic() - began < 300
