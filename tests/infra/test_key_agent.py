"""The agent that holds a key of the stack ends with the program, whatever ends that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from satellite_infra import keys
from satellite_infra.key_agent import KeyAgentError, agent_with, place

NAME = "satellite:private_key"
CHECKOUT = Path(__file__).parents[2]
HOLDER = """\
import sys, time
from pathlib import Path
from satellite_infra.key_agent import agent_with
with agent_with(sys.stdin.read(), Path(sys.argv[1]), 'satellite:private_key'):
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
    with agent_with(key.strip(), tmp_path, NAME) as socket:  # as Pulumi's CLI keeps it
        env = {**os.environ, "SSH_AUTH_SOCK": socket}
        held = subprocess.run(["ssh-add", "-L"], env=env, capture_output=True, text=True).stdout
        assert keys.bare(held) == keys.public_line(key)
    assert gone(tmp_path / "agent")


def test_what_is_no_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyAgentError, match="ssh-add does not take satellite:private_key"):
        agent_with("no key", tmp_path, NAME).__enter__()
    assert gone(tmp_path / "agent")


def test_an_agent_that_does_not_start_is_an_error_in_its_own_words(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 110)
    folder.mkdir()
    with pytest.raises(KeyAgentError, match=r"^ssh-agent does not start: .*too long"):
        agent_with(keys.new_private_key(), folder, NAME).__enter__()


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


@pytest.mark.parametrize("name", ["ssh-agent", "ssh-add"])
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda one: None if one == name else real(one))
    with pytest.raises(KeyAgentError, match=f"^{name} is not installed here: apt install"):
        agent_with(keys.new_private_key(), tmp_path, NAME).__enter__()


@pytest.mark.parametrize("name", ["my files", "50%", "t" * 100, "ü", "a'b"])
def test_a_folder_whose_path_ssh_cannot_use_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert place() is None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    assert place() == "/tmp"
