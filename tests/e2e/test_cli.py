"""The `satellite` command on real hosts: every row of the tables in docs/commands.md."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    CANARY,
    CHECKOUT,
    PLAIN_APP,
    AppRepository,
    demolished,
    new_site,
    wait_until,
)
from tests.e2e.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
APP = {
    **PLAIN_APP,
    "worker": PLAIN_APP["worker"].replace("while", 'echo "$PS begins"\nwhile', 1),
}
HEADS = ("2012", "Heroku")


def rows() -> dict[str, str]:
    """What was typed before -> what is typed now, of both tables."""
    text = (CHECKOUT / "docs/commands.md").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for head in HEADS:
        table = text.partition(f"| {head} | now |\n")[2].partition("\n\n")[0]
        cells = [line.strip("|").split(" | ") for line in table.splitlines()[1:]]
        found |= {before.strip(): now.strip().strip("`") for before, now in cells}
    return found


SPAWN, DESTROY = "`rake satellite:spawn`", "`rake satellite:destroy`"
ALL = [["worker.1", "worker.2"]] * 2


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    site = new_site(tmp_path_factory.mktemp("desk"), "desk", APP, hosts=2, settings={})
    with demolished(site):
        made = Desk(site).good(f"{rows()[SPAWN]} --yes")
        yield Desk(site, made)


@pytest.fixture
def all_run(desk: Desk) -> None:
    """A test begins with all workers at work."""
    desk.run("satellite start")
    wait_until("all workers run", lambda: desk.workers() == ALL)


def info(desk: Desk, line: str, hosts: tuple[str, ...] = ("desk-1", "desk-2")) -> None:
    out = desk.good(line).splitlines()
    assert f"(stack {desk.site.stack.name})" in out[0]
    cells = [re.split(r" {2,}", row) for row in out[2:]]
    machines = {host.name: (host.instance_id, host.address) for host in desk.site.hosts()}
    revision = desk.site.revision(desk.site.host(1))
    environment = desk.site.stack.name
    for row, name in zip(cells, hosts, strict=True):
        assert row[:5] == [name, "running", machines[name][0], environment, machines[name][1]]
        for time_ in row[5:7]:  # when it was launched, and booted last
            assert re.fullmatch(r"2\d{3}-\d\d-\d\dT[\d:]{8}Z", time_)
        assert row[7:] == [revision[:12], "2 of 2", "0"]


def info_of_one(desk: Desk, line: str) -> None:
    info(desk, line, ("desk-2",))


def stop(desk: Desk, line: str) -> None:
    until = "until `satellite start`, or until another commit is deployed"
    for text in desk.good(line).splitlines():
        assert f"stopped worker.1, worker.2, {until}" in text
    assert desk.workers() == [[], []]


def stop_one(desk: Desk, line: str) -> None:
    desk.good(line)
    assert desk.workers() == [["worker.2"]] * 2


def start(desk: Desk, line: str) -> None:
    desk.good("satellite stop")
    assert desk.workers() == [[], []]
    desk.good(line)
    wait_until("all workers run", lambda: desk.workers() == ALL)


def restart(desk: Desk, line: str) -> None:
    before = pids(desk)
    desk.good(line)
    wait_until("all workers run", lambda: desk.workers() == ALL)
    changed = [
        sorted(u.split("@")[1][0] for u in a if a[u] != b[u]) for a, b in before_after(desk, before)
    ]
    assert changed == [["1"] if "worker.1" in line else ["1", "2"]] * 2


def pids(desk: Desk) -> list[dict[str, str]]:
    return [desk.site.workers(host) for host in desk.site.hosts()]


def before_after(
    desk: Desk, before: list[dict[str, str]]
) -> list[tuple[dict[str, str], dict[str, str]]]:
    return list(zip(before, pids(desk), strict=True))


def ps(desk: Desk, line: str) -> None:
    found = [re.split(r" {2,}", row) for row in desk.good(line).splitlines()[1:]]
    shown = {(host, worker): (state, pid) for host, worker, state, *_, pid in found}
    assert shown == {
        (host.name, f"worker.{unit.split('@')[1][0]}"): ("running", pid)
        for host in desk.site.hosts()
        for unit, pid in desk.site.workers(host).items()
    }


def logs(desk: Desk, line: str) -> None:
    shown = desk.good(line).splitlines()
    times = [text.split()[0] for text in shown]
    assert times == sorted(times)
    for host in ("desk-1", "desk-2"):
        assert any(f" {host} worker.1: worker.1 begins" in text for text in shown)


def follow(desk: Desk, line: str) -> None:
    """What is said after it has begun is shown, of both hosts, until Ctrl-C."""
    with desk.started(line) as process:
        try:
            assert process.stdout
            process.stdout.readline()  # connected
            asked = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            desk.good("satellite restart worker.1")
            missing = {"desk-1", "desk-2"}
            for text in process.stdout:
                at, host, *rest = text.split()
                if at >= asked and " ".join(rest) == "worker.1: worker.1 begins":
                    missing.discard(host)
                if not missing:
                    break
            assert not missing
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 130


def shell(desk: Desk, line: str) -> None:
    """Without a command it is a shell, which takes lines from its input."""
    done = subprocess.run(
        desk.argv(line),
        cwd=desk.site.stack.project,
        env=desk.site.environment(),
        input="id -un; hostname -I\nexit 5\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert done.stdout.split()[-2:] == ["admin", desk.site.host(2).address]


def one_off(desk: Desk, line: str) -> None:
    process, folder = desk.good(line).split()
    assert process.startswith("run.")
    release = desk.site.host(1).run("readlink /app/desk/current").stdout.strip()
    assert folder == release


def releases(desk: Desk, line: str) -> None:
    out = desk.good(line)
    revision = desk.site.revision(desk.site.host(1))
    assert re.search(rf"^\* {revision[:12]} +good .* all hosts$", out, re.M)


def spawn(desk: Desk, line: str) -> None:
    """What made the hosts that all these tests are about; once more there is nothing to do."""
    assert "desk-2 (aws:ec2/instance:Instance): made in" in desk.made
    assert "desk-2 release: made in" in desk.made
    before = desk.site.logins()
    assert "unchanged" in desk.good(f"{line} --yes")
    # asked whether they answer, and nothing else
    assert desk.site.logins() == [number + 1 for number in before]


def configure(desk: Desk, line: str) -> None:
    desk.site.put("processes.worker.grace", "21")
    assert "desk-1 release: changed in" in desk.good(f"{line} --yes")
    for host in desk.site.hosts():
        unit = "systemctl show -p TimeoutStopUSec 'satellite-desk.worker@1.service'"
        assert host.run(unit).stdout.strip() == "TimeoutStopUSec=21s"


def deploy(desk: Desk, line: str) -> None:
    commit = desk.commit()
    desk.good(f"{line} --yes")
    assert desk.runs() == [{commit}] * 2


def deploy_one(desk: Desk, line: str) -> None:
    old, commit = desk.runs()[0], desk.commit()
    desk.good(f"{line} --yes")
    assert desk.runs() == [old, {commit}]
    desk.good("satellite deploy --yes")
    assert desk.runs() == [{commit}] * 2


def deploy_branch(desk: Desk, line: str) -> None:
    commit = desk.commit()
    desk.site.repository.branch("next")
    newer = desk.commit()
    desk.good(f"{line} --yes")
    assert desk.runs() == [{commit}] * 2
    assert "satellite:branch: next" in desk.settings()
    desk.good("satellite deploy --branch main --yes")
    assert desk.runs() == [{newer}] * 2


def promote(desk: Desk, line: str) -> None:
    """One commit becomes the stack's branch, Heroku's, and what the hosts run."""
    repository = desk.site.repository
    heroku = AppRepository(repository.folder, f"{repository.url.rpartition('/')[0]}/heroku.git")
    heroku.serve()
    theirs = "https://git.heroku.com/desk.git"
    desk.site.git_settings().write_text(f'[url "{heroku.url}"]\n\tinsteadOf = {theirs}\n')
    repository.branch("staging")
    desk.site.put("branch", "staging")
    desk.site.put("promote.heroku_remote", theirs)
    commit = desk.commit()
    try:
        words = f"{line} --yes --checkout {repository.folder}"
        said = desk.good(words)
        assert "1 commit goes" in said
        assert "desk-1 release: update" in said
        assert f"    + revision: {commit}" in said
        assert repository.refs("refs/heads/staging") == {"refs/heads/staging": commit}
        assert heroku.refs("refs/heads/*") == {"refs/heads/main": commit}
        assert desk.runs() == [{commit}] * 2
    finally:
        desk.site.put("branch", "main")
        desk.site.unset("promote")


def promote_with_a_tag(desk: Desk, line: str) -> None:
    promote(desk, line)
    tags = desk.site.repository.refs("refs/tags/*")
    assert [re.sub(r"\d{8}T\d{6}Z$", "TIME", tag) for tag in tags] == [
        f"refs/tags/{desk.site.stack.name}-TIME"
    ]
    assert [set(tags.values())] * 2 == desk.runs()


def scale(desk: Desk, line: str) -> None:
    four = [["worker.1", "worker.2", "worker.3", "worker.4"]] * 2
    desk.good(f"{line} --yes")
    wait_until("four workers run", lambda: desk.workers() == four)
    assert "quantity: 4" in desk.settings()
    desk.good("satellite scale worker=2 --yes")
    wait_until("two workers run", lambda: desk.workers() == ALL)


def rollback(desk: Desk, line: str) -> None:
    commits = [desk.commit() for _ in range(1)]
    desk.good("satellite deploy --yes")
    commits.append(desk.commit())
    desk.good("satellite deploy --yes")
    assert desk.runs() == [{commits[1]}] * 2
    desk.good(f"{line.replace('COMMIT', commits[0][:12])} --yes")
    assert desk.runs() == [{commits[0]}] * 2
    assert f"satellite:revision: {commits[0]}" in desk.settings()
    ran = desk.run("satellite deploy --yes")
    assert "no longer once this has succeeded" in ran.stderr
    assert desk.runs() == [{commits[1]}] * 2
    assert "satellite:revision" not in desk.settings()


def config(desk: Desk, line: str) -> None:
    assert desk.good(line).split() == ["CANARY", "DATABASE_URL"]


def config_set(desk: Desk, line: str) -> None:
    said = desk.good(line, "hello, world\n")
    assert "Next: satellite up --same-commit\n" in said
    assert "hello" not in desk.settings()
    runs, newer = desk.runs(), desk.commit()
    desk.good("satellite up --same-commit --yes")
    assert desk.runs() == runs != [{newer}] * 2
    assert newer not in desk.settings()
    for number in (1, 2):
        assert "\0GREETING=hello, world\0" in f"\0{desk.environment_of(number)}"


def config_get(desk: Desk, line: str) -> None:
    desk.good("satellite config set GREETING", "good day")
    assert desk.good(line) == "good day\n"


def config_unset(desk: Desk, line: str) -> None:
    desk.good("satellite config set GREETING", "good bye")
    desk.good(line)
    assert "GREETING" not in desk.good("satellite config")
    desk.good("satellite up --yes")
    assert "GREETING" not in desk.environment_of(1)


def destroy(desk: Desk, line: str) -> None:
    assert desk.run(line).returncode == 4
    assert len(desk.site.hosts()) == 2
    desk.good(f"{line} --yes")
    assert desk.site.hosts() == []


SCENES: dict[str, Callable[[Desk, str], None]] = {
    SPAWN: spawn,
    "`rake satellite:configure`": configure,
    "`rake satellite:info`": info,
    "`rake satellite:info`, filtered by environment": info,
    "`rake satellite:info`, filtered by id": info_of_one,
    "`rake satellite:deploy`": deploy,
    "`rake satellite:deploy`, filtered by id": deploy_one,
    "`rake satellite:deploy` of another branch": deploy_branch,
    DESTROY: destroy,
    "`rake worker:stop`": stop,
    "`rake worker:start`": start,
    "`rake worker:tail`": follow,
    "`rake deploy:staging`, `rake deploy:production`": promote,
    "`rake git:tag`": promote_with_a_tag,
    "`heroku ps`": ps,
    "`heroku ps:stop worker.1`": stop_one,
    "`heroku ps:restart`": restart,
    "`heroku ps:restart worker.1`": restart,
    "`heroku ps:scale worker=4`": scale,
    "`heroku ps:exec`": shell,
    "`heroku logs`": logs,
    "`heroku logs -n 200 -p worker`": logs,
    "`heroku logs -t`": follow,
    "`heroku run CMD`": one_off,
    "`heroku releases`": releases,
    "`heroku rollback`": rollback,
    "`heroku rollback v12`": rollback,
    "`git push heroku main`": deploy,
    "`heroku config`": config,
    "`heroku config:set NAME=VALUE`": config_set,
    "`heroku config:get NAME`": config_get,
    "`heroku config:unset NAME`": config_unset,
}


def test_every_row_has_a_scene_and_every_scene_a_row() -> None:
    assert list(SCENES) == list(rows())


@pytest.mark.parametrize("before", [before for before in SCENES if before != DESTROY])
@pytest.mark.usefixtures("all_run")
def test_a_row(desk: Desk, before: str) -> None:
    SCENES[before](desk, rows()[before])


@pytest.mark.usefixtures("all_run")
def test_what_is_stopped_stays_so_over_a_reboot(desk: Desk) -> None:
    host = desk.site.host(2)
    boot = host.run("cat /proc/1/stat").stdout.split()[21]
    desk.good("satellite stop worker.2 --host desk-2")
    host.reboot()
    wait_until(
        "it boots anew",
        lambda: (
            host.run("cat /proc/1/stat").stdout.split()[21] != boot
            and desk.workers() == [["worker.1", "worker.2"], ["worker.1"]]
        ),
        180,
    )
    states = json.loads(desk.good("satellite ps --json --host desk-2"))["workers"]
    assert [(w["name"], w["state"]) for w in states] == [
        ("worker.1", "running"),
        ("worker.2", "stopped"),
    ]


# what is written for a stop, on a disk of its own, which is full but for the room that is held
FULL = """
mkdir /small; mount -t tmpfs -o size=16m small /small
for folder in /etc/systemd/system /var/lib/satellite; do
  mkdir -p /small$folder; cp -a --sparse=never $folder/. /small$folder
  mount --bind /small$folder $folder
done
cat /dev/zero >/small/fill 2>/dev/null
echo more 2>/dev/null >/var/lib/satellite/more && echo "there is room" || true
"""
EMPTIED = """
rm -f /small/fill; umount /etc/systemd/system /var/lib/satellite /small; rmdir /small
systemctl daemon-reload
"""


@pytest.mark.usefixtures("all_run")
def test_a_worker_is_stopped_on_a_full_disk(desk: Desk) -> None:
    host = desk.site.host(2)
    try:
        assert host.run(f"bash -c '{FULL}'").stdout == ""
        said = desk.good("satellite stop worker.2 --host desk-2")
        assert "desk-2: stopped worker.2, until" in said
        assert desk.workers() == [["worker.1", "worker.2"], ["worker.1"]]
        assert "worker@2" not in host.run("cat /etc/systemd/system/satellite-desk.target").stdout
    finally:
        host.run(f"bash -c '{EMPTIED}'")
    desk.good("satellite start --host desk-2")


@pytest.mark.usefixtures("all_run")
def test_a_deploy_starts_what_is_stopped(desk: Desk) -> None:
    desk.good("satellite stop worker.1")
    desk.site.repository.commit({"number": os.urandom(4).hex()})
    desk.site.up()
    wait_until("all workers run", lambda: desk.workers() == ALL)


def test_a_deploy_connects_twice_where_pulumi_connects_three_times(desk: Desk) -> None:
    """Whom the command has logged in to is not looked at again before the release."""
    hosts = desk.site.hosts()
    made: list[list[int]] = []
    ways: list[Callable[[], object]] = [lambda: desk.good("satellite deploy --yes"), desk.site.up]
    for deploy in ways:
        before = [host.ssh_connections() for host in hosts]
        new = desk.commit()
        deploy()
        assert desk.runs() == [{new}] * 2
        made.append([host.ssh_connections() - n for host, n in zip(hosts, before, strict=True)])
    assert made == [[2, 2], [3, 3]]


def test_what_is_not_sent_is_no_reason_for_a_release(desk: Desk) -> None:
    """A worker that a person has stopped stays so when somebody lets hosts answer later."""
    desk.good("satellite stop worker.1")
    stopped, logins = desk.workers(), [host.ssh_logins() for host in desk.site.hosts()]
    desk.site.put("reach_seconds", "61")
    assert "desk-1-reach" in desk.site.up()
    assert desk.workers() == stopped
    assert [host.ssh_logins() for host in desk.site.hosts()] == logins
    desk.good("satellite start")
    wait_until("all workers run", lambda: desk.workers() == ALL)


def test_on_a_terminal_it_shows_what_would_change_and_asks(desk: Desk) -> None:
    before = desk.runs()
    new = desk.commit()
    refused = desk.site.typed("satellite deploy", "n\n")
    assert (refused.returncode, desk.runs()) == (4, before), refused
    assert "Deploy this? [y/N]: " in refused.stdout
    assert "desk-2 release: update" in refused.stdout
    done = desk.site.typed("satellite deploy", "y\n")
    assert (done.returncode, desk.runs()) == (0, [{new}] * 2), done
    settings = desk.settings()
    refused = desk.site.typed("satellite rollback", "n\n")
    assert (refused.returncode, desk.runs()) == (4, [{new}] * 2), refused
    assert "desk-2 release: update" in refused.stdout
    assert desk.settings() == settings
    done = desk.site.typed("satellite rollback", "y\n")
    assert (done.returncode, desk.runs()) == (0, before), done
    assert f"satellite:revision: {before[0].copy().pop()}\n" in desk.settings()
    desk.good("satellite deploy --yes")
    assert (desk.runs(), desk.settings()) == ([{new}] * 2, settings)


def test_a_one_off_command_has_the_terminal(desk: Desk) -> None:
    done = desk.site.typed("satellite run 'tty; stty size; exit 7'")
    assert done.returncode == 7
    tty, size = done.stdout.splitlines()[-2:]
    assert "/dev/pts/" in tty  # `script` shows the end of its own input before it
    assert size == "33 91"


def test_a_command_on_a_host_has_it_too(desk: Desk) -> None:
    assert "/dev/pts/" in desk.site.typed("satellite ssh desk-1 -- tty").stdout


def test_a_one_off_command_ends_as_it_was_ended(desk: Desk) -> None:
    assert desk.run("satellite run 'kill -9 $$'").returncode == 128 + signal.SIGKILL
    assert desk.run("satellite run 'exit 113'").returncode == 113
    done = desk.run("satellite run 'yes | head -1'")
    assert (done.stdout, done.stderr) == ("y\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_one_off_command_ends_with_its_connection(desk: Desk, number: signal.Signals) -> None:
    line = "satellite run --host desk-2 'echo it runs; exec sleep 4321'"
    runs = "pgrep -u desk -fx 'sleep 4321'"
    with desk.started(line, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "it runs\n"
        assert desk.site.host(2).run(runs, check=False).returncode == 0
        os.killpg(process.pid, number)  # as a terminal does it
        process.communicate()
    assert process.returncode == 130
    gone = lambda: desk.site.host(2).run(runs, check=False).returncode == 1  # noqa: E731
    wait_until("it ends", gone)


def test_a_terminal_is_given_back(desk: Desk) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    on_it = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with desk.started("satellite run 'sleep 600'", **on_it) as process:
        wait_until("ssh has it", lambda: termios.tcgetattr(theirs) != before)
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert process.returncode == 130
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_a_failed_deploy_is_understood_and_leaves_all_as_it_was(desk: Desk) -> None:
    before, settings = desk.runs(), desk.settings()
    bad = desk.commit(worker="#!/bin/sh\necho no database\nexit 3\n")
    ran = desk.run("satellite deploy --yes")
    assert ran.returncode == 1
    first = ran.stderr.splitlines()[0]
    assert first.startswith("error: desk-1 release: ")
    assert f"release of {bad[:12]} FAILED in phase `gate`" in ran.stderr
    assert "no database" in ran.stderr
    assert "desk-2" not in ran.stderr
    assert (desk.runs(), desk.settings()) == (before, settings)
    assert re.search(rf"^  {bad[:12]} +failed in gate: ", desk.good("satellite releases"), re.M)
    refused = desk.run("satellite rollback --yes")
    assert refused.returncode == 4
    assert f"the last deploy, of {bad[:12]}, has not succeeded" in refused.stderr
    assert (desk.runs(), desk.settings()) == (before, settings)
    desk.commit(worker=APP["worker"])
    desk.good("satellite deploy --yes")


def test_an_interrupted_deploy_says_what_is_where(desk: Desk) -> None:
    old = desk.site.revision(desk.site.host(2))
    desk.site.put("gate_seconds", "10")
    new = desk.commit()
    with desk.started("satellite deploy --yes", stderr=subprocess.PIPE) as process:
        first = desk.site.host(1)
        wait_until("it switches", lambda: desk.site.revision(first) == new, 180)
        wait_until("the gate", lambda: desk.site.phase(first) == "gate")
        process.send_signal(signal.SIGTERM)  # which is the same as Ctrl-C
        out, err = process.communicate()
    assert process.returncode == 130
    assert "desk-1 release: gate\n" in out  # what takes long is shown while it lasts
    assert f"  desk-1: {new[:12]}\n  desk-2: {old[:12]}\n" in err
    assert "Nothing has to be cleaned. To go on: the same command again" in err
    desk.site.put("gate_seconds", "2")
    desk.good("satellite up --yes")
    assert desk.runs() == [{new}] * 2


def test_an_interrupted_scale_says_who_has_the_new_size(desk: Desk) -> None:
    runs, workers, settings = desk.runs(), desk.workers(), desk.settings()
    with desk.started("satellite scale worker=3 --yes", stderr=subprocess.PIPE) as process:
        wait_until("the first host has it", lambda: desk.workers()[0] != workers[0], 180)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "\nWith other settings than before: desk-1; as before: desk-2\n" in err
    assert err.endswith("says what was before; to take it back: satellite up --same-commit\n")
    assert desk.settings() == settings
    desk.good("satellite up --same-commit --yes")
    assert (desk.runs(), desk.workers()) == (runs, workers)


def test_the_login_key_is_rotated_by_one_command(desk: Desk) -> None:
    before = desk.good("satellite ssh desk-1 -- cat .ssh/authorized_keys")
    desk.good("satellite keys rotate --yes")
    after = desk.good("satellite ssh desk-1 -- cat .ssh/authorized_keys")
    assert before != after


def test_a_host_without_power_is_named_and_the_others_are_shown(desk: Desk) -> None:
    host = desk.site.host(2)
    host.pause()
    try:
        ran = desk.run("satellite info --json --timeout 20")
    finally:
        host.resume()
    found = json.loads(ran.stdout)
    assert ran.returncode == 3
    assert [(h["name"], h["state"]) for h in found["hosts"]] == [
        ("desk-1", "running"),
        ("desk-2", "no answer"),
    ]
    assert ran.stderr.startswith("desk-2: ")


SAY = """\
import socket
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
whose = "OBJECT_SYSTEMD_UNIT=satellite-desk.worker@1.service\\nSYSLOG_IDENTIFIER=desk.worker.1\\n"
for said in ("MESSAGE=" + 5000 * "x", "MESSAGE=one\\nMESSAGE=two", "MESSAGE=a\u2028b"):
    journal.send(f"{whose}{said}\\n".encode())
"""


def test_whatever_a_worker_says_is_shown(desk: Desk) -> None:
    desk.site.host(1).run(f"python3 -c {shlex.quote(SAY)}")

    def said() -> list[str]:
        lines = desk.good("satellite logs --json --host desk-1 -n 20").splitlines()
        return [json.loads(line)["text"] for line in lines]

    wait_until("the journal has it", lambda: "a\u2028b" in said())
    found = said()
    assert 5000 * "x" in found
    assert {"one\ntwo", "two\none"} & {*found}


@pytest.mark.parametrize(("where", "fewer"), [(" --host desk-1", 3), ("", 1)])
def test_the_last_lines_since_a_time_are_the_last(desk: Desk, where: str, fewer: int) -> None:
    """Of each host, and of all of them together, one of which has booted since."""
    say, line = f"python3 -c {shlex.quote(SAY)}", f"satellite logs --json --since 1h{where}"
    before = len(last(desk, line))
    desk.site.host(1).run(say)
    wait_until("the journal has it", lambda: len(last(desk, line)) == before + 3)
    every = last(desk, line)[fewer:]
    assert every
    assert last(desk, f"{line} -n {len(every)}") == every
    with desk.started(f"{line} -n {len(every)} -f") as process:
        assert process.stdout
        hangs = threading.Timer(120, process.kill)  # seconds: rather an end than no more lines
        hangs.start()
        try:
            assert [process.stdout.readline().strip() for _ in every] == every
            desk.site.host(1).run(say)
            assert 5000 * "x" in process.stdout.readline()
        finally:
            hangs.cancel()
            process.send_signal(signal.SIGINT)


def last(desk: Desk, line: str) -> list[str]:
    return desk.good(line).splitlines()


def test_a_one_off_command_sees_the_config_vars_and_nothing_shows_them(desk: Desk) -> None:
    line = "satellite run --host desk-2 'echo ${#CANARY} $(id -un)'"
    assert desk.good(line).split() == [str(len(CANARY)), "desk"]
    assert desk.run("satellite run -- sh -c 'exit 7'").returncode == 7
    journals = [host.run("journalctl --no-pager").stdout for host in desk.site.hosts()]
    assert [text.count(CANARY) for text in journals] == [0, 0]
    assert CANARY not in "".join(desk.site.outputs)


def test_nothing_is_left_of_the_key(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the agent has its socket, too
    desk.good("satellite info")
    wait_until("the agent has ended", lambda: not list(tmp_path.iterdir()))


@pytest.mark.usefixtures("all_run")
def test_a_machine_is_replaced_by_name(desk: Desk) -> None:
    old, other = (host.instance_id for host in desk.site.hosts())
    desk.site.put("instance_type", "t3.medium")
    assert "desk-1 (aws:ec2/instance:Instance): " not in desk.good("satellite up --yes")
    runs = desk.runs()
    newer = desk.commit()
    assert "is not replaced" not in desk.run("satellite roll desk-1 --yes").stderr
    now = {host.name: host.instance_id for host in desk.site.hosts()}
    assert now["desk-1"] != old
    assert now["desk-2"] == other
    assert desk.runs() == runs  # at the commit that runs, whatever the branch has
    assert newer not in runs[0]
    assert "roll" not in desk.settings()
    same = desk.run("satellite roll desk-1 --yes")
    assert "desk-1 (aws:ec2/instance:Instance): " not in same.stdout
    assert "desk-1 is not replaced: " in same.stderr
    desk.good("satellite roll desk-1 --again --yes")
    assert desk.site.host(1).instance_id != now["desk-1"]
    assert desk.runs() == runs


def test_a_host_that_lives_is_not_declared_lost(desk: Desk) -> None:
    ran = desk.run("satellite lost desk-2 --yes")
    assert ran.returncode == 4, ran
    machine = desk.site.host(2).instance_id
    assert f"\n  aws ec2 terminate-instances --instance-ids {machine}\n" in ran.stderr
    assert "lost" not in desk.settings()


def test_a_dead_host_is_declared_lost(desk: Desk) -> None:
    desk.site.host(2).kill()
    ran = desk.run("satellite lost desk-2 --yes")
    assert ran.returncode == 0, ran
    found = json.loads(desk.good("satellite info --json"))["hosts"]
    assert [(host["name"], host["state"]) for host in found] == [
        ("desk-1", "running"),
        ("desk-2", "lost"),
    ]


def test_nobody_has_to_wait_for_a_host_that_is_dead(desk: Desk) -> None:
    settings = desk.settings()
    with subprocess.Popen(
        desk.argv("satellite lost desk-2 --undo --yes"),
        cwd=desk.site.stack.project,
        env=desk.site.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout
        told = "desk-2 reach: no answer yet (15 of 6"
        assert any(line.startswith(told) for line in iter(process.stdout.readline, ""))
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert "desk-2 reach: FAILED in " in out
    assert time.monotonic() - asked < 25  # 10 of them for what the hosts run now
    assert "desk-2 does not answer: " in err
    assert desk.settings() == settings


def test_a_host_that_lives_after_all_is_taken_back(desk: Desk) -> None:
    new = desk.commit()
    desk.good("satellite deploy --yes")
    desk.site.host(2).reboot()  # somebody has found the switch
    ran = desk.run("satellite lost desk-2 --undo --yes")
    assert ran.returncode == 0, ran
    assert desk.runs() == [{new}] * 2
    assert "satellite:hosts" not in desk.settings()  # nor an entry that says nothing
    found = json.loads(desk.good("satellite info --json"))["hosts"]
    booted_again = [host["launched"] < host["booted"] for host in found]
    assert booted_again == [False, True]


def test_a_host_that_is_dead_for_good_gets_another_machine(desk: Desk) -> None:
    runs, old = desk.runs(), [host.instance_id for host in desk.site.hosts()]
    desk.commit()  # which is not deployed by the way
    desk.site.host(2).kill()
    desk.good("satellite lost desk-2 --yes")
    desk.site.put("hosts.desk-2.instance_type", "t3.large")  # for what is new
    desk.good("satellite roll desk-2 --yes")
    now = [host.instance_id for host in desk.site.hosts()]
    seen = desk.site.lab.ec2.describe_instances(InstanceIds=[now[1]])["Reservations"][0]
    assert seen["Instances"][0]["InstanceType"] == "t3.large"
    assert now[0] == old[0]
    assert now[1] != old[1]
    assert desk.runs() == runs
    assert "lost" not in desk.settings()
    assert json.loads(desk.good("satellite doctor --json"))["findings"] == []


def test_the_row_that_ends_it_all(desk: Desk) -> None:
    destroy(desk, rows()[DESTROY])
