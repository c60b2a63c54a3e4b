"""What is sent to a host, run here by a real shell with a stand-in for the agent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from satellite_infra.ssh import HERE, Task

TASK = Task(
    title="Release 0123 of shop on worker-1: worker=2",
    agent="./agent release",
    manifest="manifest: release 1\nnote: $HOME `id` 'quoted' @AGENT@\nend: manifest\n",
    secrets={"config": {"A": "canary"}},
)
SHELLS = ["sh", "bash"]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory with an agent that keeps its stdin, and a sudo that says it was asked."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    programs = {
        tmp_path / "agent": '#!/bin/sh\ncat >received; echo "agent $*"; exit "${STATUS:-0}"\n',
        bin_ / "sudo": '#!/bin/sh\necho "sudo $*"; shift; exec "$@"\n',
        bin_ / "id": '#!/bin/sh\necho "${USER_ID:-0}"\n',
    }
    for path, text in programs.items():
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def sent(
    host: Path, text: str, shell: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """As sshd does: the login shell gets the text as one argument."""
    return subprocess.run(
        [shell, "-c", text],
        cwd=host,
        input=stdin,
        env={"PATH": f"{host}/bin:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_the_agent_gets_the_manifest_and_then_the_secrets(host: Path, shell: str) -> None:
    done = sent(host, TASK.text(), shell, stdin='{"a": "100% \\n"}\n')
    assert (done.returncode, done.stdout, done.stderr) == (0, "agent release\n", "")
    assert (host / "received").read_text() == TASK.manifest + '{"a": "100% \\n"}\n'


@pytest.mark.parametrize("shell", SHELLS)
def test_another_user_than_root_asks_sudo_without_a_password(host: Path, shell: str) -> None:
    done = sent(host, TASK.text(), shell, stdin="{}", USER_ID="1000")
    assert done.stdout == "sudo -n ./agent release\nagent release\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_agents_exit_status_is_kept(host: Path, shell: str) -> None:
    assert sent(host, TASK.text(), shell, stdin="{}", STATUS="7").returncode == 7


@pytest.mark.parametrize("shell", SHELLS)
def test_stdin_is_read_to_its_end_although_nothing_runs(host: Path, shell: str) -> None:
    (host / "agent").unlink()
    read, write = os.pipe()
    with subprocess.Popen([shell, "-c", TASK.text()], cwd=host, stdin=read, stderr=-1) as process:
        os.close(read)
        with os.fdopen(write, "wb") as stdin:
            stdin.write(b"x" * 1_000_000)  # more than a pipe holds: a reader that left breaks it
        process.communicate()
    assert process.returncode in (126, 127)


def test_the_text_holds_no_secret_and_begins_with_what_it_does() -> None:
    text = TASK.text()
    assert "canary" not in text + repr(TASK)
    assert text.splitlines()[0] == f"# {TASK.title}"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_drain_of_a_host_without_an_agent_is_nothing(host: Path, shell: str) -> None:
    text = (HERE / "run_drain.sh").read_text().replace("@APP@", "shop").replace("@MACHINE@", "i-1")
    text = text.replace("@HOST@", "worker-1")
    assert sent(host, text.replace("@AGENT@", "./none"), shell).returncode == 0
    done = sent(host, text.replace("@AGENT@", "./agent"), shell, STATUS="3")
    assert (done.returncode, done.stdout) == (
        3,
        "agent drain --app shop --host worker-1 --machine i-1\n",
    )
