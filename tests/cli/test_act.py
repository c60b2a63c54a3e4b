"""What is done on hosts: workers, one-off commands, logs."""

from __future__ import annotations

import json
import locale
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from demo.waiting import wait_until
from satellite_cli import act, remote, screen, stream
from satellite_cli.fleet import Host
from satellite_cli.main import satellite
from satellite_infra.agent import converge
from satellite_infra.agent.deadlines import LOCK_LIMIT
from satellite_infra.agent.layout import AGENT
from tests.cli.conftest import CANARY, Desk


def entry(at: int, text: object, who: str = "shop.worker.1") -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(at), "MESSAGE": text, "SYSLOG_IDENTIFIER": who})


def test_all_hosts_are_told_and_their_words_are_shown(desk: Desk) -> None:
    desk.says("worker-1", "stopped worker.1\n", err="waiting for a release\n")
    desk.says("worker-2", "stopped worker.1\n")
    ran = desk.satellite("stop", "worker.1", "--no-wait")
    assert (ran.status, ran.out) == (0, "worker-1: stopped worker.1\nworker-2: stopped worker.1\n")
    command = desk.seen("worker-1")["command"][0]
    assert command.splitlines()[-1].startswith(f'exec "$@" {AGENT} stop --app shop --by ')
    assert command.endswith(" --no-wait worker.1")


def test_one_that_fails_and_one_that_is_silent(desk: Desk) -> None:
    desk.says("worker-1", "", status=1, err="no release runs here yet: deploy first\n")
    desk.says("worker-2", "", status=255, err="ssh: refused\n")
    ran = desk.satellite("restart")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        "worker-1: FAILED: no release runs here yet: deploy first\nworker-2: refused\n"
    )
    found = desk.satellite("start", "--json")
    assert found.status == 1
    assert [(h["ok"], h["problem"]) for h in found.json()["hosts"]] == [
        (False, "no release runs here yet: deploy first"),
        (False, "refused"),
    ]
    desk.says("worker-1", "started worker.1\n")
    assert desk.satellite("start").status == 3
    desk.says("worker-1", "", status=137)
    said = "worker-1: FAILED: it ended with status 137, and said nothing\n"
    assert desk.satellite("start").err == f"{said}worker-2: refused\n"


def test_a_host_that_is_held_is_told_in_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent gives the lock up before this command gives up the agent."""
    limits: list[float] = []
    everywhere = remote.Connection.everywhere

    def noted(self: remote.Connection, *asked: Any, **how: Any) -> dict[Host, remote.Answer]:
        limits.append(asked[2])
        return everywhere(self, *asked, **how)

    monkeypatch.setattr(remote.Connection, "everywhere", noted)
    held = "nothing was done: release of 0123, since now, holds this host"
    desk.says("worker-1", "", status=1, err=f"{held}\n")
    desk.says("worker-2", "stopped worker.1\n")
    ran = desk.satellite("stop")
    assert (ran.status, ran.err) == (1, f"worker-1: FAILED: {held}\n")
    assert ran.out == "worker-2: stopped worker.1\n"
    grace = 20
    assert limits == [LOCK_LIMIT + grace + converge.MARGIN + 30]


@pytest.mark.parametrize("out", ["\n", ""])
def test_every_host_has_its_whole_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    """Also where no more than one may log in at the same time, and one never does."""
    monkeypatch.setattr(remote, "AT_ONCE_THROUGH", 1)
    monkeypatch.setattr(act, "MARGIN", 8 - 20)  # the grace is 20
    desk.outputs["ssh_config"] += "  ProxyJump bastion\n"
    desk.says("worker-1", out, sleep=600)
    desk.says("worker-2", "\nrestarted worker.1\n")
    ran = desk.satellite("restart")
    assert (ran.out, ran.err) == (
        "worker-2: restarted worker.1\n",
        "worker-1: no answer within 8 s\n",
    )


def test_all_work_at_the_same_time_once_they_are_logged_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    for name in ("worker-1", "worker-2"):
        desk.says(name, "\nrestarted worker.1\n", sleep=6)
    ends = begun_and_ended(desk, "restart")
    assert max(begun for begun, _ in ends) < min(ended for _, ended in ends)


def test_no_shells_limit_keeps_a_connection_from_being_made(desk: Desk) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
    try:
        desk.satellite("restart")
        allowed, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    most = remote.FILES if hard == resource.RLIM_INFINITY else min(remote.FILES, hard)
    assert (allowed, hard) == (most, before[1])


def begun_and_ended(desk: Desk, *words: str) -> list[tuple[float, float]]:
    """When each host's ssh began, and at least how long it lasted."""
    desk.satellite(*words)
    found = [(desk.place / f"ssh.{name}.seen").stat().st_mtime for name in desk.hosts]
    return [
        (at, at + desk.hosts[name]["sleep"]) for name, at in zip(desk.hosts, found, strict=True)
    ]


def test_who_was_not_asked_yet_at_a_ctrl_c_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    for name in ("worker-1", "worker-2"):
        desk.hosts[name] = {"sleep": 600}

    def interrupt() -> None:
        wait_until("one is asked", lambda: [*desk.place.glob("ssh.*.seen")])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    beside = threading.Thread(target=interrupt)
    beside.start()
    ran = desk.satellite("restart")
    beside.join()
    assert ran.status == 130
    assert sorted(line.partition(": ")[2] for line in ran.err.splitlines()[1:]) == [
        "was asked, and had not answered",
        "was not asked",
    ]


@pytest.mark.parametrize(
    "words", [["restart"], ["stop"], ["start"], ["logs"], ["logs", "-f"], ["run", "uptime"]]
)
def test_where_every_host_is_lost_nobody_can_do_it(desk: Desk, words: list[str]) -> None:
    for one in desk.outputs["hosts"]:
        one["lost"] = True
    ran = desk.satellite(*words)
    assert (ran.status, ran.out) == (2, "")
    said = "every host of the stack is lost: satellite lost HOST --undo brings one back"
    assert ran.err == f"error: {said}\n"


def test_every_wrong_worker_is_told_and_nobody_is_asked(desk: Desk) -> None:
    ran = desk.satellite("stop", "web", "worker.3")
    assert ran.status == 2
    assert "web: should be a process type (worker), or TYPE.N" in ran.err
    assert "worker.3: its number should be from 1 to 2" in ran.err
    ran = desk.satellite("stop", "worker.\N{SUPERSCRIPT TWO}")
    assert (ran.status, "its number should be from 1 to 2" in ran.err) == (2, True)
    assert not list(desk.place.glob("ssh.*.seen"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["echo $PS | cat"], "'echo $PS | cat'"),
        (["--", "rake", "a b", "-v"], "'rake '\"'\"'a b'\"'\"' -v'"),
        (["rake", "--trace"], "'rake --trace'"),
    ],
)
def test_a_one_off_command(desk: Desk, words: list[str], line: str) -> None:
    desk.says("worker-1", "done\n", status=7)
    ran = desk.satellite("run", *words)
    assert (ran.status, ran.out) == (7, "done\n")
    seen = desk.seen("worker-1")
    assert seen["command"][0].endswith(f"{AGENT} run --app shop -- {line}")
    assert seen["options"] == ["-T"]


def test_the_host_itself_says_that_it_has_no_agent(desk: Desk) -> None:
    """No status would do: the command may end with any."""
    desk.says("worker-1", "", status=113)
    assert desk.satellite("run", "exit 113").status == 113
    line = desk.seen("worker-1")["command"][0].replace(AGENT, "/nowhere")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "worker-1: not prepared yet: satellite up\n"


@pytest.mark.parametrize("words", [["run", "true"], ["ssh", "worker-1", "true"]])
def test_a_connection_that_ends_names_its_host(desk: Desk, words: list[str]) -> None:
    desk.says("worker-1", "", status=255, err="Connection timed out\n")
    ran = desk.satellite(*words)
    assert (ran.status, ran.err) == (
        255,
        "Connection timed out\n"
        "worker-1: its connection ended. What to do: satellite doctor --host worker-1\n",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_does_not_wait_is_told_what_is_known(desk: Desk, number: signal.Signals) -> None:
    desk.says("worker-1", "worker.1 was restarted\n")
    desk.hosts["worker-2"] = {"sleep": 600}
    desk.satellite("--version")  # what is said is there now
    argv = [sys.executable, "-m", "satellite_cli", "restart"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        for name in ("worker-1", "worker-2"):
            wait_until("both are asked", (desk.place / f"ssh.{name}.seen").exists)
        time.sleep(0.5)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)  # and not the 600 seconds
    assert (process.returncode, err) == (
        130,
        "error: interrupted: what a host was told before, it goes on with. To see: satellite ps\n"
        "  worker-1: worker.1 was restarted\n"
        "  worker-2: was asked, and had not answered\n",
    )


def test_a_command_on_a_host(desk: Desk) -> None:
    desk.says("worker-2", "up\n", status=3)
    ran = desk.satellite("ssh", "worker-2", "--", "uptime", "-p")
    assert (ran.status, ran.out) == (3, "up\n")
    assert desk.seen("worker-2")["command"] == ["uptime -p"]
    desk.satellite("ssh", "worker-2")
    assert desk.seen("worker-2")["command"] == []


@pytest.mark.parametrize("words", [["run", "--json", "uptime"], ["ssh", "--json", "worker-1", "x"]])
def test_a_command_as_data(desk: Desk, words: list[str]) -> None:
    desk.says("worker-1", "up\n", status=3, err="and loaded\n")
    ran = desk.satellite(*words)
    assert (ran.status, ran.err) == (3, "")
    assert ran.json() == {"host": "worker-1", "status": 3, "out": "up\n", "err": "and loaded\n"}
    assert desk.seen("worker-1")["options"] == ["-T"]


@pytest.fixture
def ascii_alone() -> Iterator[None]:
    """A language of this machine that knows no more."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.usefixtures("ascii_alone")
def test_a_host_speaks_utf_8_whatever_is_spoken_here(desk: Desk) -> None:
    said = "Straße → 東京\n"
    for name in ("worker-1", "worker-2"):
        desk.says(name, said, err=said)
    assert desk.satellite("stop", "--json").json()["hosts"][0]["said"] == said.strip()
    found = desk.satellite("run", "--json", "true").json()
    assert (found["out"], found["err"]) == (said, said)


def test_a_shell_is_no_data(desk: Desk) -> None:
    ran = desk.satellite("ssh", "--json", "worker-1")
    assert (ran.status, "--json: a shell is no data" in ran.err) == (2, True)


def test_logs_are_in_the_order_of_time(desk: Desk) -> None:
    desk.says("worker-1", "\n".join([entry(1_000_000, "one"), entry(3_000_000, "three\nmore")]))
    desk.says("worker-2", entry(2_000_000, [116, 119, 111, 255], "systemd") + "\nno JSON\n")
    ran = desk.satellite("logs")
    assert ran.out == (
        "1970-01-01T00:00:01.000Z worker-1 worker.1: one\n"
        "1970-01-01T00:00:02.000Z worker-2 systemd: two\ufffd\n"
        "1970-01-01T00:00:03.000Z worker-1 worker.1: three\n"
        "1970-01-01T00:00:03.000Z worker-1 worker.1: more\n"
    )
    assert ran.err == "worker-2: no entry of a journal: 'no JSON'\n"
    assert " --lines 100 " in desk.seen("worker-1")["command"][0]
    last = desk.satellite("logs", "-n", "1", "--json").out
    assert json.loads(last)["text"] == "three\nmore"
    desk.satellite("logs", "--since", "2026-11-25 10:00", "-p", "worker")
    words = desk.seen("worker-1")["command"][0]
    assert words.endswith("logs --app shop --lines 0 '--since=2026-11-25 10:00:00 UTC' -- worker")


def test_the_last_releases_log_is_shown_whole(desk: Desk) -> None:
    lines = [entry(1_000_000, f"line {number}", "release") for number in range(101)]
    desk.says("worker-1", "\n".join(lines))
    desk.says("worker-2", "", status=1, err="no release was tried here yet: deploy first\n")
    ran = desk.satellite("logs", "--release")
    assert ran.out.splitlines() == [
        f"1970-01-01T00:00:01.000Z worker-1 release: line {number}" for number in range(101)
    ]
    assert (ran.status, ran.err) == (
        3,
        "worker-2: no release was tried here yet: deploy first\n",
    )
    assert desk.seen("worker-1")["command"][0].endswith(f"{AGENT} release-log --app shop")
    assert desk.satellite("logs", "--release", "-n", "2").out.count("\n") == 2


@pytest.mark.parametrize("words", [["-f"], ["-p", "worker"], ["--since", "1h"]])
def test_a_releases_log_is_no_journal(desk: Desk, words: list[str]) -> None:
    ran = desk.satellite("logs", "--release", *words)
    assert ran.status == 2
    assert "--release: is a log of its own; without -f, -p and --since" in ran.err


@pytest.mark.parametrize("option", ["--follow", "-f", "--tail", "-t"])
def test_what_comes_is_followed_and_an_ended_host_is_named(desk: Desk, option: str) -> None:
    desk.says("worker-1", entry(2_000_000, "later") + "\n", sleep=1, status=255, err="ssh: cut\n")
    desk.says("worker-2", entry(1_000_000, "first") + "\n", status=255, err="ssh: refused\n")
    ran = desk.satellite("logs", option)
    assert ran.out.splitlines() == [
        "1970-01-01T00:00:01.000Z worker-2 worker.1: first",
        "1970-01-01T00:00:02.000Z worker-1 worker.1: later",
    ]
    assert sorted(ran.err.splitlines()) == ["worker-1: cut", "worker-2: refused"]
    assert ran.status == 3


def test_the_first_lines_that_follow_are_the_last_in_the_order_of_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long one host takes to log in."""
    monkeypatch.setattr(stream, "HOLD", 0.05)
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    for name, times in (("worker-1", (1, 3, 5)), ("worker-2", (2, 4, 6))):
        desk.says(name, "".join(f"{entry(at, 'x')}\n" for at in times), sleep=8)
    ran = desk.satellite("logs", "-f", "-n", "4")
    shown = [line.split()[1] for line in ran.out.splitlines()]
    assert shown == ["worker-1", "worker-2", "worker-1", "worker-2"]


def test_a_backlog_is_waited_for_as_long_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now, time=lambda: now)
    monkeypatch.setattr("satellite_cli.stream.time", clock)
    before = stream.Backlog(2, 0)
    before.entered("worker-1")
    before.told(stream.Line(int(99e6), "worker-1", "-", ""))
    now += 2
    before.entered("worker-2")
    assert before.wait() == stream.QUIET
    before.told(stream.Line(int(99e6), "worker-2", "-", ""))
    now += 0.4
    before.told(stream.Line(int(99e6), "worker-2", "-", ""))  # one more
    assert before.wait() == stream.HOLD
    for _ in range(3):  # what is said now is no backlog
        now += 0.2
        before.told(stream.Line(int(now * 1e6), "worker-2", "-", ""))
    assert before.wait() == 0
    before = stream.Backlog(2, 0)
    before.entered("worker-1")
    before.told(stream.Line(int(99e6), "worker-1", "-", ""))
    now += stream.LATE  # the other one is dead
    assert before.wait() == 0


def test_nothing_is_told_before_the_first_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes: the others' lines count with the first one's."""
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now, time=lambda: now)
    monkeypatch.setattr("satellite_cli.stream.time", clock)
    before = stream.Backlog(3, 10)
    now += 2 * stream.LATE
    assert before.wait() is None
    before.entered("worker-1")  # it was refused
    now += 2 * stream.LATE
    assert before.wait() is None
    before.entered("worker-2")
    before.told(stream.Line(int(99e6), "worker-2", "-", ""))
    assert before.wait() == stream.LATE


def test_the_last_lines_are_the_last_however_late_the_first_login(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(process: subprocess.Popen[str]) -> None:
        remote.logged_in(process)
        time.sleep(2)

    monkeypatch.setattr("satellite_cli.stream.logged_in", late)
    monkeypatch.setattr(stream, "LATE", 1)
    for name, times in (("worker-1", (1, 3, 5)), ("worker-2", (2, 4, 6))):
        desk.says(name, "".join(f"{entry(at, at)}\n" for at in times), sleep=4)
    ran = desk.satellite("logs", "-f", "-n", "4", "--json")
    shown = [json.loads(line)["text"] for line in ran.out.splitlines()]
    assert shown == ["3", "4", "5", "6"]


def test_what_is_said_after_the_start_is_followed_whole(desk: Desk) -> None:
    """Beside the last lines that were said before; also where a host's clock is behind."""
    later = 4_000_000_000_000_000
    for name, times in (
        ("worker-1", (1, 3, later, later + 2, later + 4)),
        ("worker-2", (2, 4, 5, 6)),  # it tells two that were said before, so the others are new
    ):
        desk.says(name, "".join(f"{entry(at, at)}\n" for at in times))
    ran = desk.satellite("logs", "-f", "-n", "2", "--json")
    shown = [int(json.loads(line)["text"]) for line in ran.out.splitlines()]
    assert shown == [3, 4, 5, 6, later, later + 2, later + 4]


def test_not_all_log_in_at_once_to_follow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "AT_ONCE_THROUGH", 1)
    desk.outputs["ssh_config"] += "  ProxyJump bastion\n"
    for name in ("worker-1", "worker-2"):
        desk.hosts[name] = {"sleep": 3}
    first, second = sorted(begun_and_ended(desk, "logs", "-f"))
    assert second[0] >= first[1]


@pytest.mark.parametrize(
    ("value", "text", "line"),
    [
        (None, "", "-: "),
        ("one", "one", "one: one"),
        ([111, 110, 101, 255], "one\ufffd", "one\ufffd: one\ufffd"),
        (["one", "two"], "one\ntwo", "one two: one"),
        (["one", None, [116, 119, 111]], "one\n\ntwo", "one  two: one"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--follow"]])
def test_a_field_in_each_of_its_shapes(
    desk: Desk, value: object, text: str, line: str, more: list[str]
) -> None:
    spoken = {"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": value, "SYSLOG_IDENTIFIER": value}
    for name in ("worker-1", "worker-2"):
        desk.says(name, json.dumps(spoken) + "\n")
    ran = desk.satellite("logs", "--json", *more)
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["host"], one["process"], one["text"]) for one in found] == [
        ("worker-1", text or "-", text),
        ("worker-2", text or "-", text),
    ]
    shown = desk.satellite("logs", *more).out.splitlines()
    assert shown[0] == f"1970-01-01T00:00:01.000Z worker-1 {line}"


@pytest.mark.parametrize("more", [[], ["--follow"]])
def test_no_line_is_lost_without_a_word(desk: Desk, more: list[str]) -> None:
    """Whatever a worker's text holds, and whatever a shell's start-up file has said before."""
    texts = ["a\u2028b", "c\x85d\x1ce", "f" * 5000]
    lines = [json.dumps(json.loads(entry(at, t)), ensure_ascii=False) for at, t in enumerate(texts)]
    desk.says("worker-1", "\n".join(["[motd] hello\n{", *lines, '{"MESSAGE": "cut \u202e']))
    desk.says("worker-2", "[motd] hello\n")
    ran = desk.satellite("logs", "--json", *more)
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == texts
    remark = 'worker-1: no entry of a journal: \'{"MESSAGE": "cut \\u202e\''
    assert [line for line in ran.err.splitlines() if "entry" in line] == [remark]


@pytest.mark.parametrize("control", "\x1b\x08\r\x7f\x9b\x9d\u202e\u2066\u2069")
def test_nothing_that_is_said_moves_a_terminals_cursor(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, control: str
) -> None:
    desk.outputs["hosts"].pop()
    desk.says("worker-1", entry(0, f"ä\t{control}31mred", f"shop.worker{control}2J"))
    assert f" worker{control}2J: ä\t{control}31mred" in desk.satellite("logs").out
    monkeypatch.setattr(screen, "terminal", lambda: True)
    assert desk.satellite("logs").out.endswith(" worker·2J: ä\t·31mred\n")


def test_a_fault_in_one_hosts_lines_ends_the_command(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = stream.parsed

    def failing(host: str, text: str, app: str) -> stream.Line | None:
        if host == "worker-1":
            raise TypeError("so it is")
        return parsed(host, text, app)

    monkeypatch.setattr(stream, "parsed", failing)
    desk.says("worker-1", entry(1, "one") + "\n", sleep=60)
    desk.says("worker-2", entry(2, "two") + "\n", sleep=60)
    began = time.monotonic()
    ran = desk.satellite("logs", "--follow")
    assert (ran.status, time.monotonic() - began < 30) == (70, True)
    assert ran.err.startswith("error: a fault in satellite itself: TypeError: so it is\n")


def test_a_clock_that_is_ahead_delays_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("satellite_cli.stream.time", SimpleNamespace(monotonic=lambda: now))
    held = stream.Held()
    assert held.wait() is None
    shown: list[int] = []
    for step in range(20):  # ten lines a second of one host; the other's clock is an hour ahead
        now = step / 10
        held.add(stream.Line(step, "right", "-", ""))
        if step in (1, 2):
            held.add(stream.Line(3600 - step, "ahead", "-", ""))
        shown += [line.at for line in held.due()]
    # each within its half second, and in the order of time what comes within that
    assert shown == [0, 1, 2, 3, 4, 5, 6, 3598, 3599, *range(7, 15)]
    assert held.wait() == pytest.approx(0.1)
    assert [line.at for line in held.rest()] == [15, 16, 17, 18, 19]


def test_what_is_held_is_shown_at_a_ctrl_c(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(stream.Held):
        def add(self, line: stream.Line, old: bool = False) -> None:
            super().add(line, old)
            if self._count == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(stream, "HOLD", 60)
    monkeypatch.setattr(stream, "Held", Interrupted)
    desk.says("worker-1", entry(2, "two") + "\n", sleep=60)
    desk.says("worker-2", entry(1, "one") + "\n", sleep=60)
    ran = desk.satellite("logs", "--follow", "--json")
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == ["one", "two"]
    assert ran.status == 130

    def gone(*_: object) -> None:
        raise BrokenPipeError

    deaf: list[object] = []
    monkeypatch.setattr(stream, "deafen", deaf.append)
    monkeypatch.setattr(stream.Printer, "__call__", gone)
    assert (desk.satellite("logs", "--follow").status, len(deaf)) == (130, 1)


def test_a_time_to_come_is_an_error(desk: Desk) -> None:
    """Else nothing would be shown, such as for a time of one's own zone."""
    ran = desk.satellite("logs", "--since", "2999-01-01 10:00")
    assert ran.status == 2
    rule = "--since: should not be in the future, got 2999-01-01 10:00:00 UTC, and it is "
    assert rule in ran.err


@pytest.mark.parametrize("text", ["yesterday", "10", "10x"])
def test_a_time_that_is_none(desk: Desk, text: str) -> None:
    ran = desk.satellite("logs", "--since", text)
    assert ran.status == 2
    assert "should be such as 10m, 2h, 1d" in ran.err


def test_a_time_of_another_zone_is_told_in_utc() -> None:
    assert stream.since("2026-11-25T10:00+02:00") == "2026-11-25 08:00:00 UTC"


def test_a_fault_of_our_own_is_one_line(desk: Desk) -> None:
    desk.says("worker-1", "{}")
    desk.says("worker-2", "{}")
    ran = desk.satellite("info")
    assert ran.status == 70
    assert "a fault in satellite itself: KeyError" in ran.err
    assert "Traceback" not in ran.err


def test_a_shell_completes_hosts_and_workers(desk: Desk) -> None:
    from click.shell_completion import ShellComplete

    desk.satellite("--version")  # what the CLI says is there now
    complete = ShellComplete(satellite, {}, "satellite", "_SATELLITE_COMPLETE")

    def words(*before: str, begun: str = "") -> list[str]:
        return [item.value for item in complete.get_completions(list(before), begun)]

    assert words("ssh", begun="wo") == ["worker-1", "worker-2"]
    assert words("info", "--host") == ["worker-1", "worker-2"]
    assert words("stop", begun="worker.") == ["worker.1", "worker.2"]
    assert "releases" in words()
    assert words("scale", begun="w") == ["worker=2"]
    (desk.place / "Pulumi.eu.west.yaml").write_text("config:\n")
    assert words("info", "--stack") == ["eu.west", "staging"]
    assert words("promote", begun="st") == ["staging"]
    vars_ = "config:\n  satellite:config:\n    TOKEN:\n      secure: v1:x\n    PORT: 1\n"
    (desk.place / "Pulumi.staging.yaml").write_text(vars_)
    assert words("config", "get") == ["PORT", "TOKEN"]
    assert words("config", "unset", begun="T") == ["TOKEN"]
    for wrong in (f'config: "{CANARY}', "config: [1, 2]", "- a"):
        (desk.place / "Pulumi.staging.yaml").write_text(wrong)
        assert words("config", "get") == []
    assert not any("--show-secrets" in line for line in desk.engine())
    desk.outputs = {}
    desk.satellite("--version")
    assert words("ssh") == []


@pytest.mark.parametrize("typed", [["worker", "="], ["web=1", "worker", "=", "2"]])
def test_bash_completes_a_size_behind_the_sign_that_is_a_word_of_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, typed: list[str]
) -> None:
    from click.shell_completion import BashComplete

    desk.satellite("--version")
    monkeypatch.setenv("COMP_WORDS", " ".join(["satellite", "scale", *typed]))
    monkeypatch.setenv("COMP_CWORD", str(len(typed) + 1))
    complete = BashComplete(satellite, {}, "satellite", "_SATELLITE_COMPLETE")
    assert complete.complete() == "plain,2"
