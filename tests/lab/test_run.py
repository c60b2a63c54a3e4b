"""A lab from outside: its exit status, how it ends, that nothing is left, and two side by side."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.waiting import wait_until
from lab import paths
from tests.lab.conftest import cgroups_of

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CHECKOUT = Path(__file__).parents[2]
BOOT = """
import os, time
from lab.client import Lab
lab = Lab()
lab.ec2.run_instances(ImageId=os.environ["LAB_AMI"], MinCount=1, MaxCount=1)
(host,) = lab.hosts()
end = time.monotonic() + 60
while host.run("true", check=False).returncode:
    assert time.monotonic() < end
host.run("touch /run/mine")
print(os.environ["SATELLITE_LAB"], host.address, flush=True)
"""


def lab(*command: str, action: str = "run") -> list[str]:
    return [sys.executable, "-m", "lab", action, *(["--", *command] if command else [])]


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `lab run -- ARGUMENTS`; what still runs at the test's end is ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(lab(*command), cwd=CHECKOUT, stdout=-1, stderr=-1, text=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.terminate()
        process.communicate()


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def traces(name: str) -> list[str]:
    """Directories, cgroups and processes of the lab of this name, and mounts seen from here."""
    found = [str(path) for path in paths.runs().glob(f"*{name}*")]
    found += cgroups_of(name)
    found += [m for m in Path("/proc/self/mounts").read_text().splitlines() if name in m]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            text += (process / "mounts").read_bytes()
        except OSError:
            continue  # it has ended
        if name.encode() in text:
            found.append(f"{process} {text[:200]!r}")
    return found


def booted(process: subprocess.Popen[str]) -> str:
    """Name of the lab, once a machine runs in it."""
    assert process.stdout
    line = process.stdout.readline()
    assert line, process.communicate()
    return Path(line.split()[0]).name


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)]
)
def test_exit_status_is_the_commands(script: str, status: int) -> None:
    assert subprocess.run(lab("bash", "-c", script), cwd=CHECKOUT).returncode == status


def test_missing_command_and_wrong_usage() -> None:
    missing = subprocess.run(lab("no-such-program"), cwd=CHECKOUT, text=True, capture_output=True)
    assert (missing.returncode, missing.stderr) == (
        127,
        "lab: no-such-program: No such file or directory\n",
    )
    nothing = subprocess.run(lab(), cwd=CHECKOUT, text=True, capture_output=True)
    assert nothing.returncode == 2


def test_runs_in_the_callers_folder_with_its_standard_input(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        lab("sh", "-c", "pwd; cat; echo error >&2"),
        cwd=tmp_path,
        env=environment,
        input="in\n",
        text=True,
        capture_output=True,
    )
    assert (done.stdout, done.stderr) == (f"{tmp_path}\nin\n", "error\n")


def test_normal_end_leaves_nothing() -> None:
    done = subprocess.run(lab(*python(BOOT)), cwd=CHECKOUT, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert traces(Path(done.stdout.split()[0]).name) == []


def test_a_callers_tight_umask_is_not_the_machines() -> None:
    check = f"{BOOT}print(host.run('stat -c %a / /etc/resolv.conf').stdout)"
    done = subprocess.run(
        lab(*python(check)), cwd=CHECKOUT, text=True, capture_output=True, umask=0o077
    )
    assert (done.stdout.split()[2:], done.stderr) == (["755", "644"], "")


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def terminate(process: subprocess.Popen[str]) -> None:
    process.terminate()


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("end", "status"),
    [(kill, -signal.SIGKILL), (terminate, 128 + signal.SIGTERM), (interrupt, 128 + signal.SIGINT)],
)
def test_a_killed_lab_leaves_nothing(
    start: Start, end: Callable[[subprocess.Popen[str]], None], status: int
) -> None:
    process = start(*python(f"{BOOT}time.sleep(1000)"))
    name = booted(process)
    assert len(traces(name)) > 10
    end(process)
    assert process.wait(60) == status
    wait_until("nothing is left", lambda: not traces(name))


def at_a_terminal(*command: str) -> tuple[int, int]:
    """Start a command as a person does. Returns its process id and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(CHECKOUT)
        os.execv(command[0], command)
    return pid, terminal


def read_until(terminal: int, text: bytes) -> bytes:
    shown = b""
    while text not in shown:
        assert select.select([terminal], [], [], 30)[0], shown
        shown += os.read(terminal, 1024)
    return shown


def test_ctrl_c_is_the_commands_alone() -> None:
    # said outside of the trap: bash forgets a signal that comes while one for the same is at work
    say = '[ $n = "$said" ] || { said=$n; echo caught; }'
    loop = f"until [ $n -ge 2 ]; do sleep 0.1; {say}; done"
    count = f"n=0; said=0; trap 'n=$((n+1))' INT; echo on; {loop}"
    pid, terminal = at_a_terminal(*lab("bash", "-c", f"{count}; exit 5"))
    read_until(terminal, b"on")
    for _ in range(2):
        os.write(terminal, b"\x03")
        read_until(terminal, b"caught")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(terminal)


def test_ctrl_c_ends_a_plain_command() -> None:
    pid, terminal = at_a_terminal(*lab("sh", "-c", "echo on; exec sleep 1000"))
    read_until(terminal, b"on")
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGINT
    os.close(terminal)


def test_ctrl_c_ends_a_lab_whose_command_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, begun = tmp_path / "runs", tmp_path / "begun"
    monkeypatch.setenv("SATELLITE_LAB_RUNS", str(runs))
    pid, terminal = at_a_terminal(*lab("touch", str(begun)))
    wait_until("the lab is being made", lambda: [*runs.glob("satellite-lab-*")])
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGINT
    assert not begun.exists()
    os.close(terminal)


def test_a_terminal_that_is_closed_ends_the_command() -> None:
    pid, terminal = at_a_terminal(*lab("sh", "-c", "echo on; exec sleep 1000"))
    read_until(terminal, b"on")
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP


def test_shell() -> None:
    pid, terminal = at_a_terminal(*lab(action="shell"))
    os.write(terminal, b"echo $LAB_AMI; tty; exit 6\n")
    read_until(terminal, b"ami-0deb1200000000012")
    read_until(terminal, b"/dev/pts/")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    os.close(terminal)


def test_a_command_that_ignores_sigterm_is_ended(start: Start) -> None:
    process = start("bash", "-c", "trap '' TERM; echo on; while :; do sleep 0.1; done")
    assert process.stdout
    assert process.stdout.readline() == "on\n"
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM


def test_killed_with_its_watcher_it_is_removed_by_the_next(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATELLITE_LAB_RUNS", str(tmp_path))  # other labs may start just now
    process = start(*python(f"{BOOT}time.sleep(1000)"))
    name = booted(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (int(children[0]), process.pid):  # the watcher was forked first
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    wait_until("no process is left", lambda: not any(t.startswith("/proc") for t in traces(name)))
    assert traces(name) != []
    collected = subprocess.run(lab(action="gc"), cwd=CHECKOUT, text=True, capture_output=True)
    assert collected.stdout == f"removed {name}\n"
    assert traces(name) == []


def test_unified_cgroups_without_controllers() -> None:
    """What of cgroup v2 can be tried on a machine that gives its controllers to v1."""
    check = BOOT + "print(host.run('stat -fc %T /sys/fs/cgroup; cat /proc/1/comm').stdout)"
    script = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *lab(*python(check))],
        cwd=CHECKOUT,
        text=True,
        capture_output=True,
    )
    assert (done.stdout.split()[2:], done.stderr) == (["cgroup2fs", "systemd"], "")
    assert traces(Path(done.stdout.split()[0]).name) == []


def test_two_labs_side_by_side() -> None:
    check = BOOT + "import sys; sys.stdin.read(); host.run('test -e /run/mine')"
    labs = [
        subprocess.Popen(
            lab(*python(check)), cwd=CHECKOUT, stdin=-1, stdout=-1, stderr=-1, text=True
        )
        for _ in range(2)
    ]
    lines = [process.stdout.readline().split() for process in labs if process.stdout]
    assert [address for _, address in lines] == ["172.31.0.4", "172.31.0.4"]
    assert lines[0][0] != lines[1][0]
    assert [(*process.communicate(), process.returncode) for process in labs] == [("", "", 0)] * 2
