"""How a command ends that somebody else ends, and what it does when nobody reads what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.waiting import wait_until
from satellite_cli import problems

CHECKOUT = Path(__file__).parents[2]
HERE = """
import os
from pathlib import Path
from satellite_cli import main, remote
from satellite_cli.fleet import Host

main.outside()
way = remote.Connection(Path("/nowhere"), 1, dict(os.environ))
try:
    print(way.here(Host("worker-1", "1", "192.0.2.1"), "true"))
except KeyboardInterrupt:
    print("ended")
"""
SSH = """\
#!/bin/sh
trap '' INT
echo $$ >{place}/pid.new && mv {place}/pid.new {place}/pid
while [ ! -e {place}/go ]; do sleep 0.05; done
exit 7
"""


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    return process.communicate()[0].splitlines()


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGINT, "7"), (signal.SIGTERM, "ended"), (signal.SIGHUP, "ended")],
)
def test_a_ctrl_c_is_the_other_programs_while_it_has_the_terminal(
    tmp_path: Path, number: signal.Signals, said: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.format(place=tmp_path))
    ssh.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", HERE],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until("the other program runs", (tmp_path / "pid").exists)
        process.send_signal(number)
        if number == signal.SIGINT:
            time.sleep(0.5)
            (tmp_path / "go").touch()
        assert lines_of(process) == [said]
    ended = Path("/proc", (tmp_path / "pid").read_text().strip())
    wait_until("the other program ends", lambda: not ended.exists())


def test_what_is_ignored_stays_so(tmp_path: Path) -> None:
    code = "import signal; from satellite_cli.main import outside; outside(); "
    code += "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    argv = ["nohup", sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_nothing_interrupts_what_has_ended_and_still_loads(tmp_path: Path) -> None:
    """Its status is told already, and an interrupted wait for a thread would be a traceback."""
    code = """
import pathlib, sys, threading, time
from satellite_cli import main
folder = pathlib.Path(sys.argv[1])
def loads():
    while not (folder / "loaded").exists():
        time.sleep(0.01)
threading.Thread(target=loads).start()
main.main = lambda words: (folder / "said").touch() or 3
main.gc.freeze = lambda: (folder / "ends").touch()
main.run()
"""
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        wait_until("its end", (tmp_path / "ends").exists)
        process.send_signal(signal.SIGINT)
        (tmp_path / "loaded").touch()
        assert process.communicate()[1] == ""
    assert process.returncode == 3


@pytest.mark.parametrize("err", [False, True])
def test_what_nobody_reads_goes_nowhere(monkeypatch: pytest.MonkeyPatch, err: bool) -> None:
    nobody, writer = os.pipe()
    os.close(nobody)
    with os.fdopen(writer, "w") as stream:  # which would fail once more when it is closed
        monkeypatch.setattr(sys, "stderr" if err else "stdout", stream)
        problems.say("one", err)
        problems.say("two", err)
        if err:
            problems.note("three")
    monkeypatch.undo()


def ran(*words: str, redirected: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell runs it, its standard input, output or error redirected."""
    line = f'exec "$0" -m satellite_cli "$@" {redirected}'
    argv = ["bash", "-c", line, sys.executable, *words]
    env = {**os.environ, **variables}
    return subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["up"], ["deploy"], ["scale", "worker=2"], ["keys", "rotate"]])
def test_without_standard_input_nobody_is_there_to_ask(words: list[str]) -> None:
    done = ran(*words, "--stack", "staging", redirected="<&-")
    assert done.returncode == 4
    assert done.stderr.startswith("error: no")


def test_without_standard_output_a_command_does_its_work() -> None:
    done = ran("--help", redirected=">&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_said_to_be_full() -> None:
    done = ran("--help", redirected=">/dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: not all could be written: No space left on device\n"
