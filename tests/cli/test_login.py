"""The agent that holds the stack's key ends with the command, whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from satellite_cli import login
from satellite_cli.problems import SatelliteError
from satellite_infra import keys

CHECKOUT = Path(__file__).parents[2]
HOLDER = """\
import sys, time
from pathlib import Path
from satellite_cli.login import agent_with
with agent_with(sys.stdin.read(), Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def gone(socket: Path) -> bool:
    """The agent removes its socket when it ends; it looks every ten seconds."""
    end = time.monotonic() + 120
    while socket.exists() and time.monotonic() < end:
        time.sleep(0.1)
    return not socket.exists()


def test_the_agent_holds_that_key_alone(tmp_path: Path) -> None:
    key = keys.new_private_key()
    with login.agent_with(key.strip(), tmp_path) as socket:  # as Pulumi's CLI keeps it
        env = {**os.environ, "SSH_AUTH_SOCK": socket}
        held = subprocess.run(["ssh-add", "-L"], env=env, capture_output=True, text=True).stdout
        assert keys.bare(held) == keys.public_line(key)
    assert gone(tmp_path / "agent")


def test_what_is_no_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SatelliteError, match="ssh-add does not take satellite:private_key"):
        login.agent_with("no key", tmp_path).__enter__()
    assert gone(tmp_path / "agent")


def test_an_agent_that_does_not_start_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 110)
    folder.mkdir()
    with pytest.raises(SatelliteError, match=r"^ssh-agent does not start: .*too long"):
        login.agent_with(keys.new_private_key(), folder).__enter__()


def test_it_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(keys.new_private_key())
        process.stdin.close()
        assert process.stdout.readline() == "held\n"
        assert (tmp_path / "agent").exists()
        process.send_signal(signal.SIGKILL)
    assert gone(tmp_path / "agent")
