"""One-off commands: how they end, and what ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
RUN = """
import sys
from pathlib import Path
from satellite_infra.agent import oneoff, storage, workers
from satellite_infra.agent.layout import Layout

layout = Layout("shop", Path(sys.argv[1]))
(layout.releases / "one").mkdir(parents=True, exist_ok=True)
storage.point(layout.current, layout.releases / "one")
storage.write_json(layout.config("one"), {"TOKEN": "canary"})
workers.become = lambda user: None
sys.exit(oneoff.run(layout, sys.argv[2]))
"""


def begun(place: Path, command: str, **how: Any) -> subprocess.Popen[str]:
    """That command, as by a connection without a terminal."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(place), command],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


@pytest.mark.parametrize(
    ("command", "status", "out"),
    [
        ("echo $TOKEN $PWD | sed s/.*releases/at/; exit 7", 7, "at/one\n"),
        ("kill -9 $$", 137, ""),
        ("kill -TERM $$", 143, ""),
        ("exit 255", 255, ""),
        ("yes | head -1", 0, "y\n"),
        ('[ "$PS" = run.$$ ]', 0, ""),
    ],
)
def test_it_ends_as_the_command_does(tmp_path: Path, command: str, status: int, out: str) -> None:
    with begun(tmp_path, command) as process:
        assert (*process.communicate(), process.returncode) == (out, "", status)


@pytest.mark.parametrize("command", ["--version", "-x"])
def test_a_command_is_no_option_of_the_shell(tmp_path: Path, command: str) -> None:
    with begun(tmp_path, command) as process:
        out, err = process.communicate()
    assert (out, process.returncode) == ("", 127)
    assert err.endswith(f" {command}: command not found\n")


@pytest.mark.parametrize("by", ["the connection", "SIGTERM", "SIGHUP"])
def test_the_command_ends_with_what_asked_for_it(tmp_path: Path, by: str) -> None:
    """And all that it has begun."""
    with begun(tmp_path, "sleep 4322 & echo $$ $!; wait") as process:
        assert process.stdout
        pids = process.stdout.readline().split()
        if by == "the connection":
            process.stdout.close()
        else:
            process.send_signal(signal.Signals[by])
        process.wait()
    assert process.returncode == 128 + (signal.SIGTERM if by == "SIGTERM" else signal.SIGHUP)
    for pid in pids:
        wait_until("it ends", lambda pid=pid: not Path("/proc", pid).exists())  # type: ignore[misc]


def test_without_an_output_it_ends_as_well(tmp_path: Path) -> None:
    argv = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", RUN, str(tmp_path), "exit 7"]
    assert subprocess.run(argv, cwd=CHECKOUT, check=False, timeout=60).returncode == 7


def test_a_ctrl_c_is_the_commands_own(tmp_path: Path) -> None:
    with begun(tmp_path, "trap 'echo heard' INT; kill -INT $PPID; sleep 0.2; echo on") as process:
        assert process.communicate() == ("on\n", "")
    assert process.returncode == 0
