"""What is shown of the hosts, and of those that do not answer."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from satellite_cli import remote
from satellite_cli.lock import files as lock_files
from tests.cli.conftest import COMMIT, Desk, host, status

INFO = """\
app shop, environment staging: 0123456789ab (stack staging)
HOST      STATE      ID   ENVIRONMENT  ADDRESS    LAUNCHED              BOOTED                REVISION      WORKERS  DRIFT
worker-1  running    i-1  staging      192.0.2.1  2026-11-18T07:00:00Z  2026-11-20T08:00:00Z  0123456789ab  2 of 2   0
worker-2  no answer  i-2  staging      192.0.2.2  -                     -                     -             -        -
worker-3  lost       i-3  staging      -          -                     -                     -             -        -
"""  # noqa: E501


CLOSED = "kex_exchange_identification: Connection closed by remote host\n"
CHANNEL = (
    "channels.c:channel_input_open_failure():3563 (pid=7): channel 0: open failed: connect failed: "
    "No route to host\n"
    "debug2: channels.c:channel_input_open_failure():3567 (pid=7): channel 0: callback start"
)
TODO = "What to do: satellite doctor --host worker-2\n"


def test_a_host_that_does_not_answer_is_named_and_the_rest_is_shown(desk: Desk) -> None:
    desk.outputs["hosts"].append(host("worker-3", "i-3", "", lost=True))
    desk.says("worker-1", status("worker-1"))
    desk.says("worker-2", "", status=255, err="ssh: connect to host 192.0.2.2 port 22: refused\n")
    ran = desk.satellite("info")
    assert ran.out == INFO
    assert ran.err == f"worker-2: connect to host 192.0.2.2 port 22: refused\n{TODO}"
    assert ran.status == 3


def test_what_a_shell_says_before_an_answer_is_no_part_of_it(desk: Desk) -> None:
    """And an answer that is none is no fault of this program."""
    desk.says("worker-1", f"[motd] hello\n{json.dumps(status('worker-1'))}\n")
    desk.says("worker-2", "[motd] hello\n{not today\n")
    ran = desk.satellite("info")
    assert ran.out.splitlines()[-2].startswith("worker-1  running")
    assert ran.err == f"worker-2: its answer cannot be read: {{not today\n{TODO}"
    assert ran.status == 3
    desk.says("worker-1", f"[]\n{{}}\n{json.dumps(status('worker-1'), indent=1)}\n[]\n")
    assert desk.satellite("info").out.splitlines()[-2].startswith("worker-1  running")
    desk.says("worker-2", "[]\n")
    ran = desk.satellite("info")
    assert ran.out.splitlines()[-2].startswith("worker-1  running")
    assert (ran.status, ran.err) == (3, f"worker-2: its answer cannot be read: []\n{TODO}")
    for name in ("worker-1", "worker-2"):
        desk.says(name, f"{{}}\n{json.dumps([event('01')], indent=1)}\n{{}}\n")
    assert "all hosts" in desk.satellite("releases").out
    desk.says("worker-1", status("worker-1"))
    desk.says("worker-2", "[motd] hello\n{not today\n")
    found = desk.satellite("doctor", "--json").json()["findings"]
    unread = [one for one in found if one["text"].startswith("its answer cannot be read")]
    assert [(one["host"], one["mend"]) for one in unread] == [
        ("worker-2", "satellite ssh worker-2")
    ]


@pytest.mark.parametrize("command", ["info", "ps", "releases", "doctor"])
def test_where_every_host_is_lost_looking_says_so(desk: Desk, command: str) -> None:
    for one in desk.outputs["hosts"]:
        one["lost"] = True
    ran = desk.satellite(command)
    if command == "info":
        assert [row.split()[:2] for row in ran.out.splitlines()[2:]] == [
            ["worker-1", "lost"],
            ["worker-2", "lost"],
        ]
        assert ran.err == ""
    else:
        said = "every host of the stack is lost: satellite lost HOST --undo brings one back"
        assert ran.err == f"{said}\n"
    if command != "doctor":  # which finds something here
        assert ran.status == 0
    assert not list(desk.place.glob("ssh.*.seen"))


def test_info_as_data(desk: Desk) -> None:
    desk.says("worker-1", status("worker-1", lock="release of abc by ada"))
    desk.says("worker-2", status("worker-2", revision="f" * 40))
    (desk.place / "Pulumi.production.yaml").touch()
    ran = desk.satellite("info", "--json", "--stack", "production")
    found = ran.json()
    assert (ran.status, ran.err, found["stack"]) == (0, "", "production")
    assert [(h["name"], h["state"], h["revision"]) for h in found["hosts"]] == [
        ("worker-1", "busy", COMMIT),
        ("worker-2", "running", "f" * 40),
    ]
    assert found["unanswered"] == {}
    stacks = [words[words.index("--stack") + 1] for words in desk.engine()]
    assert stacks == ["production"] * 2


def test_what_drifted_and_the_queue_are_shown(desk: Desk) -> None:
    queue = {"name": "mail", "depth": 7.0, "age": 80.4, "seconds_ago": 12.0}
    older = {**queue, "depth": 9.0, "seconds_ago": 70.0}
    drift = [{"code": "unit_edited", "text": "", "about": ""}]
    desk.says("worker-1", status("worker-1", queue=older, findings=drift))
    desk.says("worker-2", status("worker-2", queue=queue))
    lines = desk.satellite("info").out.splitlines()
    assert lines[1] == "queue mail: 7 jobs could run, the oldest for 80 s; measured 12 s ago"
    assert [line.split()[-1] for line in lines[3:]] == ["1", "0"]
    found = desk.satellite("info", "--json").json()
    assert found["queue"] == queue
    assert [host["drift"] for host in found["hosts"]] == [["unit_edited"], []]
    # what `satellite doctor` finds by itself; and one for an agent that is older than this command
    desk.says("worker-1", status("worker-1", queue=older, findings=drift, agent="0" * 16))
    old = status("worker-2")
    del old["findings"]
    desk.says("worker-2", old)
    lines = desk.satellite("info").out.splitlines()
    assert [line.split()[-1] for line in lines[3:]] == ["2", "1"]
    found = desk.satellite("info", "--json").json()["hosts"]
    assert [host["drift"] for host in found] == [["unit_edited", "agent_differs"], ["agent_older"]]
    counted = [one["host"] for one in desk.satellite("doctor", "--json").json()["findings"]]
    assert [counted.count(name) for name in ("worker-1", "worker-2")] == [2, 1]


def test_the_stack_may_come_from_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATELLITE_STACK", "nightly")
    (desk.place / "Pulumi.nightly.yaml").touch()
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    assert "(stack nightly)" in desk.satellite("info").out


def test_another_revision_than_the_stacks_is_marked(desk: Desk) -> None:
    desk.says("worker-1", status("worker-1", revision="f" * 40))
    desk.says("worker-2", status("worker-2"))
    assert "fffffff!" in desk.satellite("info").out
    assert "worker-2" not in desk.satellite("info", "--host", "worker-1").out


def test_ps_shows_the_workers_that_are_asked_for(desk: Desk) -> None:
    desk.says("worker-1", status("worker-1", ("running", "stopped")))
    desk.says("worker-2", status("worker-2", ("waiting", "running")))
    assert desk.satellite("ps", "worker.1").out == (
        "HOST      WORKER    STATE    SINCE                 REVISION      MEMORY  PID\n"
        "worker-1  worker.1  running  2026-11-25T10:00:00Z  0123456789ab  84 MB   101\n"
        "worker-2  worker.1  waiting  2026-11-25T10:00:00Z  0123456789ab  84 MB   101\n"
    )
    found = desk.satellite("ps", "--json").json()["workers"]
    assert [(w["host"], w["name"], w["state"]) for w in found] == [
        ("worker-1", "worker.1", "running"),
        ("worker-1", "worker.2", "stopped"),
        ("worker-2", "worker.1", "waiting"),
        ("worker-2", "worker.2", "running"),
    ]
    ran = desk.satellite("ps", "web")
    assert ran.status == 2
    assert "web: should be a process type (worker), or TYPE.N" in ran.err
    ran = desk.satellite("ps", "worker.9")
    assert (ran.status, "worker.9: its number should be from 1 to 2" in ran.err) == (2, True)


def event(at: str, outcome: str = "good", **more: object) -> dict[str, object]:
    return {"at": f"2026-11-25T10:00:{at}Z", "outcome": outcome, "revision": COMMIT, **more}


def test_what_befell_all_hosts_is_one_line(desk: Desk) -> None:
    what = ["commit", "worker 1 -> 2"]
    ended = {"phase": "gate", "reason": "it ended", "changed": what, "subject": "Mend it"}
    first = [event("01", by="ada"), event("20", "failed", **ended)]
    desk.says("worker-1", first)
    desk.says("worker-2", [event("05", by="ada")])
    assert desk.satellite("releases").out == (
        "  REVISION      OUTCOME                   CHANGED                         "
        "WHEN                  BY   ON\n"
        "* 0123456789ab  good                      -                               "
        "2026-11-25T10:00:01Z  ada  all hosts\n"
        "  0123456789ab  failed in gate: it ended  commit: Mend it; worker 1 -> 2  "
        "2026-11-25T10:00:20Z  -    worker-1\n"
    )
    ran = desk.satellite("releases", "--json")
    assert ran.json()["hosts"]["worker-1"] == first


def test_the_last_ones_are_the_same_as_data(desk: Desk) -> None:
    first = [event(f"{n:02}", by=f"ada-{n}") for n in range(30)]
    desk.says("worker-1", first)
    desk.says("worker-2", first[:28])
    for words, last in (((), 15), (("-n", "3"), 3)):
        rows = desk.satellite("releases", *words).out.splitlines()[1:]
        found = desk.satellite("releases", *words, "--json").json()["hosts"]
        assert len(rows) == last
        assert found == {"worker-1": first[-last:], "worker-2": first[30 - last : 28]}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": 113}, "not prepared yet: satellite up"),
        (
            {"status": 2, "err": "agent: error: argument VERB: invalid choice: 'status'"},
            "its agent is older than this command: satellite up",
        ),
        (
            {"status": 255, "err": "No ED25519 host key is known.\nHost key verification failed."},
            "it shows another host key than the pinned one; nothing was sent: satellite preview",
        ),
        (
            {"status": 255, "err": "admin@192.0.2.2: Permission denied (publickey)."},
            "it does not let the stack's key in: satellite:private_key, or your SSH agent",
        ),
        ({"status": 1, "err": "a\nno host.json\n"}, "its agent fails: no host.json"),
        (
            {"status": 255, "err": f"ssh: connect to host 192.0.2.9 port 22: refused\n{CLOSED}"},
            "the bastion: connect to host 192.0.2.9 port 22: refused",
        ),
        (
            {"status": 255, "err": f"Host key verification failed.\n{CLOSED}"},
            "the bastion: it shows another host key than the pinned one; nothing was sent: "
            "satellite:bastion.host_key",
        ),
        (
            {"status": 255, "err": f"ada@bastion: Permission denied (publickey).\n{CLOSED}"},
            "the bastion: ada@bastion: Permission denied (publickey)",
        ),
        (
            {"status": 255, "err": f"{CHANNEL}\nstdio forwarding failed\n{CLOSED}"},
            "connect failed: No route to host, says the bastion",
        ),
        (
            {"status": 255, "err": f"{CLOSED}Connection reset by 192.0.2.2 port 22\n"},
            "Connection reset by 192.0.2.2 port 22",
        ),
        ({"sleep": 30}, "no answer within 2 s"),
    ],
)
def test_why_a_host_is_silent(desk: Desk, answer: dict[str, object], why: str) -> None:
    desk.says("worker-1", status("worker-1"))
    desk.hosts["worker-2"] = answer
    ran = desk.satellite("info", "--json", "--timeout", "2")
    assert ran.json()["unanswered"] == {"worker-2": why}
    assert (ran.status, ran.err) == (3, f"worker-2: {why}\n{TODO}")


def test_a_command_that_is_too_long_is_told_so(desk: Desk) -> None:
    said = "error: what is to be run is too long for a command line: put it into a file\n"
    ran = desk.satellite("run", "x" * 131_072)
    assert (ran.status, ran.out, ran.err) == (2, "", said)


@pytest.mark.parametrize("words", [["info"], ["doctor"], ["ssh", "worker-1"], ["run", "true"]])
def test_a_missing_ssh_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "ssh" else real(name))
    (desk.place / "bin" / "ssh").unlink()
    monkeypatch.setenv("PATH", f"{desk.place / 'bin'}:{Path(sys.executable).parent}")
    ran = desk.satellite(*words)
    assert (ran.status, "ssh is not installed here" in ran.out + ran.err) == (1, True)
    assert "a fault" not in ran.err


def test_who_had_no_turn_to_log_in_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    for name in ("worker-1", "worker-2"):
        desk.says(name, "", sleep=30)
    first, second = sorted(
        desk.satellite("info", "--json", "--timeout", "5").json()["unanswered"].values()
    )
    # of those seconds one may have gone before it had its turn
    assert first in {f"no answer within {seconds} s" for seconds in range(6)}
    assert second == "was not asked: the time was over before its turn"


def test_a_host_that_is_not_prepared_is_called_so(desk: Desk) -> None:
    desk.says("worker-1", status("worker-1"))
    desk.hosts["worker-2"] = {"status": 113}
    ran = desk.satellite("info")
    assert (ran.status, ran.err) == (3, f"worker-2: not prepared yet: satellite up\n{TODO}")
    assert ran.out.splitlines()[-1].startswith("worker-2  not prepared  i-2 ")
    states = [one["state"] for one in desk.satellite("info", "--json").json()["hosts"]]
    assert states == ["running", "not prepared"]


def test_the_key_is_in_an_agent_for_the_time_of_the_command(desk: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    desk.satellite("info")
    seen = desk.seen("worker-1")
    assert seen["held"].startswith("ssh-ed25519 ")
    assert seen["held"].count("\n") == 1
    assert seen["mode"] == "0o700"
    assert seen["options"] == ["-T", "-o", "KexAlgorithms=^curve25519-sha256"]
    assert seen["config"].startswith(desk.outputs["ssh_config"])
    assert "IdentityFile none\n  BatchMode yes\n" in seen["config"]


def test_a_long_way_to_temporary_files_is_no_trouble_to_the_agent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has at most 107 bytes."""
    place = desk.place / ("x" * 110)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    ran = desk.satellite("info")
    assert (ran.status, ran.err) == (0, "")
    assert desk.seen("worker-1")["held"].startswith("ssh-ed25519 ")


def test_an_ssh_that_may_not_do_it_exchanges_keys_its_own_way(desk: Desk) -> None:
    desk.kex = ["ecdh-sha2-nistp256"]
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    desk.satellite("info")
    assert desk.seen("worker-1")["options"] == ["-T"]


def test_a_stack_that_was_never_up(desk: Desk) -> None:
    desk.outputs = {}
    ran = desk.satellite("info")
    assert (ran.status, ran.err) == (
        1,
        "error: stack staging has no hosts yet: satellite up --stack staging\n",
    )


def test_the_engines_own_error_is_the_message(desk: Desk) -> None:
    desk.pulumi["stack output"] = (255, "", "error: no stack named 'nope' found")
    ran = desk.satellite("info", "--stack", "nope")
    assert ran.status == 2
    assert ran.err.startswith("error: no stack named 'nope' found\n  make it: pulumi stack init")


def test_the_stacks_that_there_are_follow_the_one_that_is_none(desk: Desk) -> None:
    desk.pulumi["stack output"] = (255, "", "error: no stack named 'nope' found")
    desk.pulumi["stack ls"] = (0, '[{"name": "demo"}, {"name": "staging"}]', "")
    assert desk.satellite("info", "-s", "nope").err.endswith("\n  known here: demo, staging\n")


def test_a_folder_of_no_project_is_said_without_pulumis_advice(desk: Desk) -> None:
    advice = "If you have not created a project yet, use `pulumi new` to do so"
    desk.pulumi["stack output"] = (255, "", f"error: no Pulumi.yaml project file found. {advice}")
    ran = desk.satellite("ps", "--stack", "staging")
    said = "error: no Pulumi.yaml here or above: run this in its folder\n"
    assert (ran.status, ran.err) == (2, said)


def test_an_error_of_the_command_line_looks_like_ours_on_a_terminal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken between words; what is typed wrong by a letter is guessed."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((40, 24)))
    ran = desk.satellite("ps", "--host", "worker-9", "--host", "worker-8")
    lines = ran.err.splitlines()
    assert (ran.status, lines[0]) == (2, "Usage: satellite ps [OPTIONS]")
    assert "error: stack staging has no host" in lines
    assert max(map(len, lines)) <= 40
    assert "Did you\nmean 'deploy'?" in desk.satellite("deplyo").err


def test_every_wrong_host_is_told(desk: Desk) -> None:
    desk.outputs["hosts"].append(host("worker-3", "i-3", "", lost=True))
    ran = desk.satellite("info", "--host", "worker-9", "--host", "worker-3")
    assert ran.status == 2
    assert "stack staging has no host worker-9, did you mean worker-" in ran.err
    assert "worker-3 is declared lost: nobody connects to it" in ran.err


def locked(desk: Desk, hostname: str, pid: int) -> Path:
    """The lock that an update of that machine has made."""
    state = desk.place / "state"
    lock = state / ".pulumi/locks/organization/satellite/staging/1.json"
    lock.parent.mkdir(parents=True)
    at = "2026-11-25T10:00:00.1"
    held = {"pid": pid, "username": "ada", "hostname": hostname, "timestamp": at}
    lock.write_text(json.dumps(held))
    desk.pulumi["whoami"] = (0, json.dumps({"url": f"file://{state}"}), "")
    desk.pulumi["stack ls"] = (255, "", "error: is not asked")
    desk.pulumi["cancel"] = (0, "", "")
    return lock


def test_the_lock_of_an_update_that_runs_here_is_not_released(desk: Desk) -> None:
    here, pid = socket.gethostname(), os.getpid()
    locked(desk, here, pid)
    ran = desk.satellite("lock", "release", "--yes")
    assert (ran.status, ran.err) == (
        4,
        f"error: nothing was done: ada@{here} (pid {pid}), since 2026-11-25T10:00:00, is still at "
        f"work on this machine. To end it: kill -INT {pid}. Where that is another program by now "
        f"(ps {pid}): pulumi cancel --stack staging\n",
    )
    assert all(words[0] != "cancel" for words in desk.engine())


def test_the_lock_of_an_update_that_was_killed_here_is_released(desk: Desk) -> None:
    locked(desk, socket.gethostname(), 1 << 22)  # past the largest number of a process
    assert desk.satellite("lock", "release", "--yes").status == 0
    assert desk.engine()[-1][:2] == ["cancel", "--yes"]


@pytest.mark.parametrize("url", ["file://~", "file://~/", "file://.", "file://{}", "file://{}?x=y"])
def test_the_locks_are_where_the_engine_keeps_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    lock = locked(desk, "laptop", 1)
    state = desk.place / "state"
    home = SimpleNamespace(pw_dir=str(state))
    monkeypatch.setattr("pwd.getpwuid", lambda _: home)
    (state / "Pulumi.yaml").write_text("name: satellite\n")
    monkeypatch.chdir(state)
    assert lock_files(url.format(state), "organization/satellite/staging") == [lock]
    # another project's of the same name is nobody's here
    other = lock.parents[2] / "other/staging/1.json"
    other.parent.mkdir(parents=True)
    lock.rename(other)
    assert lock_files(url.format(state), "staging") == []
    assert lock_files(url.format(state), "other") == []
    (state / ".pulumi").rename(state / "gone")
    assert lock_files(url.format(state), "staging") is None


def test_locks(desk: Desk) -> None:
    lock = locked(desk, "laptop", os.getpid())
    desk.says("worker-1", status("worker-1", lock="release of abc by ada, since 10:00"))
    desk.says("worker-2", status("worker-2"))
    assert desk.satellite("lock", "status").out == (
        "LOCK       HELD BY\n"
        f"the stack  ada@laptop (pid {os.getpid()}), since 2026-11-25T10:00:00\n"
        "worker-1   release of abc by ada, since 10:00\n"
        "worker-2   free\n"
    )
    ran = desk.satellite("lock", "release")
    assert ran.status == 4
    assert "Nobody is there to ask: say --yes" in ran.err
    assert desk.satellite("lock", "release", "--yes").status == 0
    assert desk.engine()[-1][:2] == ["cancel", "--yes"]
    lock.unlink()
    assert desk.satellite("lock", "release").out == "staging: free already\n"


def test_a_host_that_is_free_is_not_asked_about(desk: Desk) -> None:
    desk.says("worker-1", status("worker-1"))
    desk.says("worker-2", status("worker-2", lock="release of abc by ada, since 10:00"))
    ran = desk.satellite("lock", "release", "--host", "worker-1")
    assert (ran.status, ran.out) == (0, "worker-1: free already\n")
    for problem in ({}, {"status": 255, "err": "timed out\n"}):
        desk.hosts["worker-2"] |= problem
        ran = desk.satellite("lock", "release", "--host", "worker-2")
        assert ran.status == 4
        assert "End the release that runs on worker-2? Nobody is there to ask" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["info"],
        ["ps"],
        ["logs"],
        ["releases"],
        ["lock", "status"],
        ["lock", "release", "--host", "worker-1"],
        ["run", "ls"],
        ["ssh", "worker-1"],
        ["restart"],
    ],
)
def test_without_the_stacks_file_it_is_said_that_this_is_missing(
    desk: Desk, words: list[str]
) -> None:
    """A colleague's, before a `git pull`: the settings are empty, and not what is wrong."""
    (desk.place / "Pulumi.staging.yaml").unlink()
    desk.config.clear()
    desk.pulumi["whoami"] = (0, json.dumps({"url": f"file://{desk.place}/state"}), "")
    ran = desk.satellite(*words)
    assert ran.status == 2
    assert "Pulumi.staging.yaml is not there: pulumi stack init staging (where that" in ran.err
