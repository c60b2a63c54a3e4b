"""`scripts/test` around its parts: what ends with it, and that one at a time is at work."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from demo.waiting import wait_until
from tests.programs import executable

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One whose parts note their process ids and take a minute."""
    executable(tmp_path / "scripts/lint")
    for name in ("test", "common.sh"):
        shutil.copy(CHECKOUT / "scripts" / name, tmp_path / "scripts")
    executable(tmp_path / ".venv/bin/python", "#!/bin/sh\necho $$ >>parts\nexec sleep 60\n")
    return tmp_path


def begin(checkout: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(["scripts/test"], cwd=checkout, stdout=subprocess.PIPE, text=True)


def parts(checkout: Path) -> list[Path]:
    """The processes of the parts that have begun."""
    noted = checkout / "parts"
    return [Path("/proc", line) for line in noted.read_text().split()] if noted.exists() else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_what_it_has_started_ends_with_it(checkout: Path, number: signal.Signals) -> None:
    with begin(checkout) as running:
        wait_until("a lane and the plain tests run", lambda: len(parts(checkout)) == 2)
        running.send_signal(number)
    assert running.returncode == -number
    wait_until("nothing is left", lambda: not any(part.exists() for part in parts(checkout)))


def test_a_second_run_waits_for_what_the_first_has_left(checkout: Path) -> None:
    with begin(checkout) as first:
        wait_until("the first is at work", lambda: len(parts(checkout)) == 2)
        with begin(checkout) as second:
            assert second.stdout
            assert second.stdout.readline().startswith("another run of the tests is at work")
            assert len(parts(checkout)) == 2
            first.terminate()
            wait_until("the second is at work", lambda: len(parts(checkout)) == 4)
            second.terminate()
