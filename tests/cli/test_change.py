"""What changes a stack: how the engine is called, what is shown of it, what stays in the file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from demo.waiting import wait_until
from satellite_cli import making, remote, update
from satellite_cli.problems import SatelliteError
from satellite_cli.project import Project
from satellite_cli.reachable import Check
from satellite_cli.running import Running, before, way_back
from tests.cli.conftest import CANARY, COMMIT, Desk, host, missed, status

URN = "urn:pulumi:staging::satellite::{}::{}"
NEW = "f" * 40


DEAD = {"status": 255, "err": "ssh: connect to host 192.0.2.2 port 22: Connection timed out\n"}
HERE = {"address": "127.0.0.1"}
"""Where it is known at once that nobody answers."""


def urn(name: str, kind: str = "command:remote:Command") -> str:
    return URN.format(kind, name)


def step(name: str, op: str = "update", before: str = "", after: str = "") -> Any:
    old, new = ({"inputs": {"create": text}} for text in (before, after))
    return {"resourcePreEvent": {"metadata": {"op": op, "urn": urn(name), "old": old, "new": new}}}


def ended(name: str, op: str = "update") -> Any:
    return {"resOutputsEvent": {"metadata": {"op": op, "urn": urn(name)}}}


def root(revision: str) -> Any:
    new = {"outputs": {"revision": revision}}
    metadata = {"op": "same", "urn": urn("satellite-staging", "pulumi:pulumi:Stack"), "new": new}
    return {"resOutputsEvent": {"metadata": metadata}}


def error(name: str, message: str, kind: str = "command:remote:Command") -> Any:
    return {"diagnosticEvent": {"urn": urn(name, kind), "severity": "error", "message": message}}


def said(name: str, message: str) -> Any:
    line = {"urn": urn(name), "severity": "info", "message": message, "ephemeral": True}
    return {"diagnosticEvent": line}


def counts(**changes: int) -> Any:
    return {"summaryEvent": {"resourceChanges": changes}}


@pytest.fixture
def changing(desk: Desk) -> Desk:
    """One whose engine changes two hosts."""
    desk.pulumi |= {"up": (0, "", ""), "preview": (0, "", ""), "destroy": (0, "", "")}
    desk.events["up"] = [
        step("worker-1-release"),
        ended("worker-1-release"),
        root(NEW),
        counts(same=9, update=1),
    ]
    desk.events["preview"] = [
        step("worker-1-release", before=f"# R\nrevision: {COMMIT}", after=f"# R\nrevision: {NEW}"),
        root(NEW),
        counts(update=1),
    ]
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    return desk


def settings(desk: Desk, name: str = "Pulumi.staging.yaml") -> str:
    return desk.settings(name)


def test_up_says_what_it_does_on_each_host(changing: Desk) -> None:
    ran = changing.satellite("up", "--yes")
    lines = ran.out.splitlines()
    assert (ran.status, ran.err) == (0, "")
    assert lines[0] == "worker-1 release: changes"
    assert lines[1].startswith("worker-1 release: changed in ")
    assert lines[2:] == ["9 unchanged, 1 changed", f"all hosts have {NEW[:12]} now"]
    words = next(words for words in changing.engine() if words[0] == "up")
    assert sorted(w for w in words if w in ("--yes", "--skip-preview")) == [
        "--skip-preview",
        "--yes",
    ]
    assert words[words.index("--parallel") + 1] == "8"
    assert settings(changing) == "config:\n"


SAME = "GOOD: 12\n    OWN: '0123'\n    ID: 123456789012345678\n    DAY: 2026-11-26 or so\n"


@pytest.mark.parametrize("words", [["preview"], ["up", "--yes"]])
def test_what_would_be_read_as_another_number_stops_it(changing: Desk, words: list[str]) -> None:
    file = changing.place / "Pulumi.staging.yaml"
    file.write_text(f"config:\n  satellite:config:\n    PIN: 0123\n    {SAME}")
    ran = changing.satellite(*words)
    assert ran.err.endswith(
        "error: Pulumi.staging.yaml is not right:\n  satellite:config/PIN: should be in quotes, or "
        "a plain number: Pulumi makes another value of it, got [secret]\n"
    )
    assert ran.status == 1
    assert not (changing.place / "up.settings").exists()
    assert changing.satellite("roll", "worker-1", "--yes").status == 0  # at night
    file.write_text(f"config:\n  satellite:config:\n    {SAME}")
    assert changing.satellite(*words).status == 0


def test_so_does_what_the_projects_file_has_for_each_stack(changing: Desk) -> None:
    file, project = changing.place / "Pulumi.staging.yaml", changing.place / "Pulumi.yaml"
    file.write_text("config: {satellite:tags: {until: 2026-01-31}}\n")
    text = project.read_text()
    project.write_text(f"{text}config: {{branch: {{default: 1.10}}}}\n")
    rule = "should be in quotes, or a plain number: Pulumi makes another value of it, got"
    assert changing.satellite("up", "--yes").err.endswith(
        f"error: Pulumi.staging.yaml is not right:\n  satellite:tags/until: {rule} 2026-01-31\n"
        f"Pulumi.yaml is not right:\n  satellite:branch: {rule} 1.10\n"
    )
    project.write_text(f"{text}config: [\n")
    file.write_text("config: {}\n")
    assert "error: Pulumi.yaml is no YAML: line " in changing.satellite("up", "--yes").err


def test_the_settings_are_asked_for_once(changing: Desk) -> None:
    """Who asks the hosts before the engine begins needs them; else it has them anyway."""
    both = [["config", "--json", "--show-secrets"], ["stack", "output", "--json"]]
    for words, needed in ((["deploy"], []), (["scale", "worker=4"], both)):
        (changing.place / "pulumi.seen").unlink(missing_ok=True)
        assert changing.satellite(*words, "--stack", "staging", "--yes").status == 0
        asked = [line[:3] for line in changing.engine() if line[0] in ("config", "stack")]
        questions = [words for words in asked if words[1] != "set"]
        assert sorted(questions) == needed


@pytest.mark.parametrize("elsewhere", ["", "environment: [shop]\n"])
def test_what_is_known_of_the_settings_is_not_secret(
    changing: Desk, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    changing.config["satellite:branch"] = {"value": "next"}
    assert changing.satellite("up", "--yes").status == 0  # so that the CLI has answers
    with (changing.place / "Pulumi.staging.yaml").open("a") as file:
        file.write(elsewhere)
    monkeypatch.chdir(changing.place)
    secrets = {key for key, item in changing.config.items() if item.get("secret")}
    assert secrets
    (changing.place / "pulumi.seen").unlink()
    project = Project.of("staging")
    assert project.known["branch"] == "next"
    # who takes settings from elsewhere knows what they are
    asked = (changing.place / "pulumi.seen").exists() and changing.engine()
    assert bool(asked) == bool(elsewhere)
    assert not {key.removeprefix("satellite:") for key in secrets} & project.known.keys()
    assert project.config().keys() >= secrets
    assert CANARY not in repr(project)


def test_as_many_at_once_as_there_are_hosts(changing: Desk) -> None:
    names = json.dumps([f"worker-{n}" for n in range(30)])
    changing.config["satellite:names"] = {"value": names}
    changing.config["satellite:hosts"] = {"value": json.dumps({"rented": {"address": "a.b"}})}
    changing.satellite("up", "--yes")
    words = next(words for words in changing.engine() if words[0] == "up")
    assert words[words.index("--parallel") + 1] == "31"


@pytest.mark.parametrize(
    ("known", "ends"),
    [
        ({"revision": COMMIT}, "follows main again"),
        ({"revision": COMMIT, "branch": "staging", "heroku": "{}"}, "follows staging again"),
        ({"revision": COMMIT, "heroku": "{}"}, "says how it follows Heroku again"),
        ({"revision": "heroku", "heroku": "{}"}, ""),
        ({}, ""),
    ],
)
def test_a_pinned_stack_says_so(changing: Desk, known: dict[str, str], ends: str) -> None:
    """What a colleague has pushed since a rollback is not deployed by an update."""
    changing.config |= {f"satellite:{key}": {"value": value} for key, value in known.items()}
    remark = f"pinned to {COMMIT[:12]}; satellite deploy {ends}\n" if ends else ""
    for words in (["up", "--yes"], ["preview"]):
        assert changing.satellite(*words).err == (f"staging is {remark}" if ends else "")
    assert changing.satellite("up", "--same-commit", "--yes").err == ""
    second = changing.satellite("info").out.splitlines(keepends=True)[1]
    assert second.startswith(remark or "HOST ")
    pinned = changing.satellite("info", "--json").json()["pinned"]
    assert pinned == (COMMIT if ends else None)


def test_a_preview_shows_what_differs_on_a_host(changing: Desk) -> None:
    assert changing.satellite("preview").out == (
        f"worker-1 release: update\n    - revision: {COMMIT}\n    + revision: {NEW}\n1 to update\n"
    )
    assert changing.satellite("preview", "--json").json() == {
        "stack": "staging",
        "changes": {"update": 1},
        "revision": NEW,
    }


def asking(op: str = "create-replacement") -> list[Any]:
    """A host that is asked before it is sent something, as the engine has it."""
    return [
        step("worker-1-reach", op),
        ended("worker-1-reach", op),
        step("worker-1-reach", "replace"),
        ended("worker-1-reach", "replace"),
        step("worker-1-reach", "delete-replaced"),
        ended("worker-1-reach", "delete-replaced"),
    ]


def test_a_host_that_is_asked_is_not_called_replaced(changing: Desk) -> None:
    changing.events["up"][:0] = asking()
    changing.events["up"][-1] = counts(same=9, update=1, replace=1)
    changing.events["preview"][-1] = counts(update=1, replace=2)
    for event in asking():
        if outputs := event.get("resOutputsEvent"):
            outputs["planning"] = True
        changing.events["preview"].append(event)
    lines = changing.satellite("up", "--yes").out.splitlines()
    assert lines[0] == "worker-1 reach: asks"
    assert lines[1].startswith("worker-1 reach: answers in ")
    assert lines[2] == "worker-1 release: changes"
    assert lines[-2] == "1 host asked, 9 unchanged, 1 changed"
    lines = changing.satellite("preview").out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "worker-1 release: update",
        "worker-1 reach: asks",
        "1 host to ask, 1 to update, 1 to replace",  # the other one is a machine
    ]


def test_a_host_that_does_not_answer_is_said_to_fail(changing: Desk) -> None:
    failed = {"metadata": {"urn": urn("worker-1-reach", "command:local:Command")}}
    changing.events["up"] = [asking("create")[0], {"resOpFailedEvent": failed}]
    changing.pulumi["up"] = (255, "", "")
    lines = changing.satellite("up", "--yes").out.splitlines()
    assert lines[0] == "worker-1 reach: asks"
    assert lines[1].startswith("worker-1 reach: FAILED")


def asked(desk: Desk, answer: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command on a terminal where somebody answers."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    return desk.satellite(*words)


class Terminal:
    """Standard input where somebody sits."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self, *_: int) -> str:
        return f"{self.answer}\n"


def test_what_was_shown_is_what_is_done(changing: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = asked(changing, "y", "up", monkeypatch=monkeypatch)
    assert ran.status == 0, ran
    assert settings(changing, "preview.settings") == "config:\n"
    assert settings(changing, "up.settings") == f"config:\n# set satellite:revision {NEW}\n"
    assert settings(changing) == "config:\n"


LEFT = """\
Attempting to deploy or update resources with 2 pending operations from previous deployment.
{}These resources are in an unknown state because the Pulumi CLI was interrupted while waiting.

Once you have confirmed it, you can repair your stack using `pulumi refresh`.
"""


def test_what_a_killed_update_has_left_is_told_as_it_is(changing: Desk) -> None:
    """The engine's advice, to repair it by hand, is none for what hosts end themselves."""

    def told(*left: tuple[str, str]) -> str:
        lines = "".join(f"  * {what}, interrupted while {doing}\n" for what, doing in left)
        found = {"severity": "warning", "message": LEFT.format(lines)}
        changing.events["up"] = [{"diagnosticEvent": found}, root(NEW), counts(same=10)]
        return changing.satellite("up", "--yes").err

    hosts = "  Hosts end it themselves. What differs after this update: satellite doctor\n"
    until = "  This is said until: pulumi refresh --clear-pending-creates\n"
    release = urn("worker-1-release")
    begin = "warning: an update was killed in the middle of: worker-1 release"
    assert told((release, "updating")) == f"{begin} (updating)\n{hosts}"
    assert told((release, "creating")) == f"{begin} (creating)\n{hosts}{until}"
    machine, name = "aws:ec2/instance:Instance", "worker-2 (aws:ec2/instance:Instance)"
    assert told((urn("worker-2", machine), "creating")) == (
        f"warning: an update was killed in the middle of: {name} (creating)\n"
        f"  AWS may have it all the same, unknown to the stack: {name}\n"
        f"  What to do then: docs/runbook.md\n{until}"
    )


def test_a_no_does_nothing(changing: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = asked(changing, "n", "scale", "worker=4", monkeypatch=monkeypatch)
    assert (ran.status, settings(changing)) == (4, "config:\n")
    assert ran.err.endswith("error: nothing was done\n")
    assert not (changing.place / "up.settings").exists()


@pytest.mark.parametrize("words", [["up"], ["up", "--json"], ["roll", "worker-1"]])
def test_where_nobody_can_be_asked_it_wants_a_yes(changing: Desk, words: list[str]) -> None:
    ran = changing.satellite(*words)
    assert (ran.status, ran.err) == (4, "error: nobody is there to ask: say --yes\n")
    assert not (changing.place / "up.settings").exists()


@pytest.mark.parametrize(
    ("words", "known", "lines"),
    [
        (["deploy"], {}, []),
        (["deploy"], {"revision": COMMIT}, ["rm satellite:revision"]),
        (["deploy"], {"revision": "heroku"}, []),
        (["deploy", "--branch", "next"], {}, ["set satellite:branch next"]),
        (["deploy", "--revision", NEW], {}, [f"set satellite:revision {NEW}"]),
    ],
)
def test_what_succeeded_stays_in_the_file(
    changing: Desk, words: list[str], known: dict[str, str], lines: list[str]
) -> None:
    changing.config |= {f"satellite:{key}": {"value": value} for key, value in known.items()}
    ran = changing.satellite(*words, "--yes")
    assert ran.status == 0, ran
    changed = "config:\n" + "".join(f"# {line}\n" for line in lines)
    assert settings(changing, "up.settings") == changed
    assert settings(changing) == changed
    assert ("Pulumi.staging.yaml says so now: commit it" in ran.out) == bool(lines)


@pytest.mark.parametrize(
    ("words", "known", "said"),
    [
        (["deploy"], {}, "main is at ffffffffffff, which all hosts have already: is yours pushed?"),
        (["up"], {"branch": "staging"}, "staging is at ffffffffffff, which all hosts have already"),
        (["deploy", "--branch", "next"], {"revision": "heroku"}, "next is at ffffffffffff, which "),
        (["deploy"], {"revision": "heroku"}, "all hosts have ffffffffffff already\n"),
        (["up"], {"revision": NEW}, "all hosts have ffffffffffff already\n"),
        (["deploy", "--revision", NEW], {}, "all hosts have ffffffffffff already\n"),
        (
            ["deploy"],
            {"revision": "heroku", "hosts": '{"worker-2": {"lost": true}}'},
            "all hosts that are not lost have ffffffffffff already\n",
        ),
    ],
)
def test_what_changes_nothing_says_what_the_hosts_have(
    changing: Desk, words: list[str], known: dict[str, str], said: str
) -> None:
    """As after a push that was forgotten."""
    changing.config |= {f"satellite:{key}": {"value": value} for key, value in known.items()}
    changing.events["up"] = [root(NEW), counts(same=10)]
    ran = changing.satellite(*words, "--yes")
    assert (ran.status, ran.out.startswith(f"10 unchanged\n{said}")) == (0, True), ran
    assert "hosts have" not in changing.satellite("scale", "worker=4", "--yes").out


def test_a_stack_that_followed_heroku_is_told_how_to_do_so_again(changing: Desk) -> None:
    """And does not follow a branch because nobody said anything."""
    changing.config |= {"satellite:revision": {"value": "heroku"}}
    again = "pulumi config set satellite:revision heroku --stack staging, then satellite up"
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good(NEW, COMMIT)))
    for words in (["rollback"], ["deploy", "--revision", NEW]):
        ran = changing.satellite(*words, "--yes")
        assert (ran.status, again in ran.err) == (0, True)
    changing.config["satellite:revision"] = {"value": NEW}
    changing.config["satellite:heroku"] = {"value": '{"app": "shop"}'}
    ran = changing.satellite("deploy", "--yes")
    assert (ran.status, again in ran.err) == (2, True)
    assert "say what it shall follow now" in ran.err
    assert changing.satellite("deploy", "--branch", "main", "--yes").status == 0
    changing.config["satellite:branch"] = {"value": "main"}
    assert changing.satellite("deploy", "--yes").status == 0


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["scale", "worker=4"], ["set satellite:processes.worker.quantity 4"]),
        (["scale", "2fast=1000"], ["set satellite:processes.2fast.quantity 1000"]),
        (["lost", "worker-2"], ["set satellite:hosts.worker-2.lost true"]),
        (
            ["lost", "worker-1", "worker-2"],
            [f"set satellite:hosts.worker-{n}.lost true" for n in (1, 2)],
        ),
    ],
)
@pytest.mark.parametrize("answer", ["", "y"])
def test_what_is_no_deploy_goes_on_with_the_commit_that_runs(
    changing: Desk,
    words: list[str],
    lines: list[str],
    answer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not the branch's head, and not what was tried last, which may have failed."""
    changing.outputs["revision"] = NEW
    if words[0] == "lost":
        changing.hosts["worker-2"] = DEAD
    if len(words) == 3:
        changing.hosts["worker-1"] = DEAD
    runs = NEW if len(words) == 3 else COMMIT  # where nobody is left to say so
    changing.events["preview"][1] = root(runs)
    more = [] if answer else ["--yes"]
    if answer:
        ran = asked(changing, answer, *words, monkeypatch=monkeypatch)
    else:
        ran = changing.satellite(*words, *more)
    assert ran.status == 0, ran
    kept = "config:\n" + "".join(f"# {line}\n" for line in lines)
    pinned = f"{kept}# set satellite:revision {runs}\n"
    assert settings(changing, "up.settings") == pinned
    if answer:
        assert settings(changing, "preview.settings") == pinned
    assert settings(changing) == kept
    assert "Pulumi.staging.yaml says so now: commit it" in ran.out


def test_up_brings_settings_alone_where_that_is_said(changing: Desk) -> None:
    words = ("up", "--same-commit", "--again", "--host", "worker-2", "--yes")
    assert changing.satellite(*words).status == 0
    assert settings(changing, "up.settings") == f"config:\n# set satellite:revision {COMMIT}\n"
    assert settings(changing) == "config:\n"
    (up,) = [line for line in changing.engine() if line[0] == "up"]
    assert "--replace=**::worker-2-reach" in up
    changing.says("worker-1", status("worker-1", revision=NEW))
    ran = changing.satellite("up", "--same-commit", "--yes")
    assert (ran.status, "the hosts run different commits" in ran.err) == (1, True)
    changing.outputs = {}  # it was never up: nothing runs yet
    assert changing.satellite("up", "--same-commit", "--yes").status == 0
    assert settings(changing, "up.settings") == "config:\n"


@pytest.mark.parametrize(
    ("pinned", "head"),
    [
        ("", "the branch's head"),
        ("heroku", "what Heroku runs"),
        (NEW, "ffffffffffff, as the stack's"),
    ],
)
def test_where_nothing_runs_yet_it_is_said_that_it_is_a_deploy(
    changing: Desk, pinned: str, head: str
) -> None:
    if pinned:
        changing.config["satellite:revision"] = {"value": pinned}
    changing.says("worker-1", status("worker-1", revision=None, current=None, manifest=None))
    changing.hosts["worker-2"] = {"status": 113}  # is not prepared
    ran = changing.satellite("up", "--same-commit", "--yes")
    assert ran.status == 0
    assert f"no host runs anything yet: this deploys {head}" in ran.err
    assert settings(changing, "up.settings") == "config:\n"
    changing.says("worker-1", status("worker-1"))
    ran = changing.satellite("up", "--same-commit", "--yes")
    assert (ran.status, ran.err) == (0, "")


def test_a_visit_that_is_no_deploy_only_warns_of_others_that_are_silent(changing: Desk) -> None:
    silent = {"status": 255, "err": "no route"}
    visit = ("up", "--same-commit", "--again", "--yes", "--host")
    changing.outputs["hosts"].append(host("worker-3", "i-3", "192.0.2.3"))
    third = "  HostName 192.0.2.3\n  KnownHostsCommand /bin/echo worker-3 ssh-ed25519 AAAA\n"
    changing.outputs["ssh_config"] += f"\nHost worker-3\n{third}"
    changing.says("worker-3", status("worker-3"))
    changing.hosts["worker-1"] = silent
    ran = changing.satellite(*visit, "worker-2")
    assert ran.status == 0
    assert "warning: worker-1 does not answer now: no route\n" in ran.err
    assert settings(changing, "up.settings") == f"config:\n# set satellite:revision {COMMIT}\n"
    # the one that it is about has to answer, and those that do have to agree
    ran = changing.satellite(*visit, "worker-1")
    assert (ran.status, "do not answer as themselves\n  worker-1: no route" in ran.err) == (1, True)
    changing.says("worker-3", status("worker-3", revision=NEW))
    ran = changing.satellite(*visit, "worker-2")
    assert (ran.status, "satellite rollback, or satellite deploy" in ran.err) == (1, True)
    # nobody has said what it is to go on with
    changing.hosts["worker-3"] = silent
    changing.says("worker-2", status("worker-2", revision=None, current=None))
    ran = changing.satellite(*visit, "worker-2")
    assert (ran.status, "worker-1: no route\n  worker-3: no route" in ran.err) == (1, True)
    assert len([words for words in changing.engine() if words[0] == "up"]) == 1


def test_a_host_whose_agent_fails_gets_it_anew(changing: Desk) -> None:
    """It lets in, so it is not dead; what it goes on with another one says."""
    fails = {"status": 1, "err": "marshal data too short\n"}
    changing.hosts["worker-2"] = fails
    visit = ("up", "--same-commit", "--again", "--yes")
    ran = changing.satellite(*visit, "--host", "worker-2")
    why = "its agent fails: marshal data too short"
    assert ran.status == 0
    assert f"warning: worker-2 does not answer now: {why}\n" in ran.err
    assert settings(changing, "up.settings") == f"config:\n# set satellite:revision {COMMIT}\n"
    # what visits nobody would fail there in the middle
    refused = (
        "error: nothing was changed: these hosts let in, and cannot say what they run\n"
        f"  worker-2: {why}\n  What mends it: satellite doctor\n"
    )
    for words in (visit, ("rollback", "--yes"), ("scale", "worker=4", "--yes")):
        ran = changing.satellite(*words)
        assert (ran.status, ran.err) == (1, refused), words
    # one beside it may be dead
    changing.hosts["worker-1"] = {"status": 255, "err": "no route"}
    ran = changing.satellite(*visit)
    assert f"do not answer as themselves\n  worker-1: no route\n  worker-2: {why}\n" in ran.err
    changing.hosts["worker-1"] = fails
    ran = changing.satellite(*visit, "--host", "worker-2")
    assert (ran.status, "cannot say what they run\n  worker-1: " in ran.err) == (1, True)
    # a deploy asks whether it lets in, and no more
    assert changing.satellite("up", "--again", "--yes").status == 0


def test_a_host_whose_disk_is_not_mounted_gets_no_visit(changing: Desk) -> None:
    """Its workers run, and a bootstrap would make a new host of what is below its disk."""
    changing.hosts["worker-2"] = {"status": 1, "err": f"{missed()}\n"}
    visit = ("up", "--same-commit", "--again", "--yes", "--host")
    refused = (
        "error: nothing was changed: these hosts let in, and cannot say what they run\n"
        f"  worker-2: it knows nothing of itself: {missed()}\n  What mends it: satellite doctor\n"
    )
    for words in ((*visit, "worker-2"), ("rollback", "--yes"), ("scale", "worker=4", "--yes")):
        ran = changing.satellite(*words)
        assert (ran.status, ran.err) == (1, refused), words
    assert changing.satellite(*visit, "worker-1").status == 0  # it stops nobody else's


@pytest.mark.parametrize("words", [["scale", "worker=4"], ["up", "--same-commit"]])
@pytest.mark.parametrize("reached", [["worker-1"], []])
def test_where_settings_were_stopped_it_is_said_who_has_them(
    changing: Desk, monkeypatch: pytest.MonkeyPatch, words: list[str], reached: list[str]
) -> None:
    """The commits, which are told as well, are the same everywhere."""
    more: dict[str, Any] = {name: {"manifest": {"gate_seconds": "0123"}} for name in reached}
    said = {name: status(name, **more.get(name, {})) for name in ("worker-1", "worker-2")}

    def stopped(project: Project, *_: Any, **__: Any) -> Any:
        raise making.StoppedError("interrupted", (project.fleet(), [], said, {}))

    monkeypatch.setattr(making, "update", stopped)
    ran = changing.satellite(*words, "--yes")
    lines = ["error: interrupted", "No host has other settings than before"]
    if reached:
        lines[1] = "With other settings than before: worker-1; as before: worker-2"
    if reached and words[0] == "scale":
        back = "to take it back: satellite up --same-commit"
        lines.append(f"Pulumi.staging.yaml says what was before; {back}")
    assert (ran.status, ran.err.splitlines()) == (130, lines)
    assert settings(changing) == "config:\n"


def test_the_host_that_was_left_behind_is_rolled_to_what_the_others_run(changing: Desk) -> None:
    changing.says("worker-1", status("worker-1", revision=NEW))
    assert changing.satellite("roll", "worker-2", "--yes").status == 0
    assert settings(changing, "up.1.settings").endswith(f"# set satellite:revision {NEW}\n")


@pytest.mark.parametrize(
    ("runs", "but", "chosen"),
    [("aa", "", "a"), ("ab", "2", "a"), ("aab", "3", "a"), ("abb", "2", None), ("a", "1", "")],
)
def test_the_others_decide(runs: str, but: str, chosen: str | None) -> None:
    said = {str(n): {"revision": commit} for n, commit in enumerate(runs, 1)}
    found = Running(said, Check(Future()))
    if chosen is None:
        with pytest.raises(SatelliteError, match="run different commits"):
            found.commit(but=but)
    else:
        assert found.commit(but=but) == chosen


def test_what_the_file_says_of_a_lost_host_counts(changing: Desk) -> None:
    """An update that failed has left the outputs as it wanted them to be."""
    second = changing.outputs["hosts"][1]
    second |= HERE
    second["lost"] = True
    changing.hosts["worker-1"] = DEAD
    assert changing.satellite("lost", "worker-1", "worker-2", "--yes").status == 0
    assert settings(changing).count("lost true") == 2
    second["lost"] = False
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    assert changing.satellite("lost", "worker-2", "--undo", "--yes").status == 0
    assert "# rm satellite:hosts\n" in settings(changing)


OLD, NEXT = "ssh-ed25519 AAAAold x", "ssh-ed25519 AAAAnew satellite-staging"


def let_in(desk: Desk, today: str) -> None:
    """Both halves' keys are on the hosts, and the settings have this one alone."""
    desk.config["satellite:public_key"] = {"value": today, "secret": False}
    script = f"deployer_keys.1: {OLD}\ndeployer_keys.2: {NEXT}\n"
    kind = "command:remote:Command"
    bootstrap = {
        "urn": f"urn:pulumi:staging::satellite::{kind}::worker-1-bootstrap",
        "type": kind,
        "inputs": {"create": script},
    }
    state = {"deployment": {"resources": [bootstrap]}}
    desk.pulumi["stack export"] = (0, json.dumps(state), "")


def test_a_first_half_that_was_given_up_is_no_second_one(changing: Desk) -> None:
    """Whoever took the next key out of the settings again wants another one."""
    let_in(changing, OLD)
    ran = changing.satellite("keys", "rotate", "--yes")
    assert "its update is left" not in ran.out
    assert "satellite:next_private_key" in ran.err  # it makes one, which these settings do not keep


def test_the_second_half_of_a_rotation_that_was_left_is_done_alone(changing: Desk) -> None:
    """Another key would be a third one."""
    let_in(changing, NEXT)
    ran = changing.satellite("keys", "rotate", "--yes")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"satellite:public_key is {NEXT} already: its update is left\n")
    assert settings(changing) == "config:\n"
    assert [words[0] for words in changing.engine()].count("up") == 1
    assert settings(changing, "up.settings").endswith(f"# set satellite:revision {COMMIT}\n")


@pytest.mark.parametrize("words", [["scale", "worker=4"], ["keys", "rotate"]])
def test_what_is_no_deploy_does_not_choose_between_commits(
    changing: Desk, words: list[str]
) -> None:
    changing.says("worker-1", status("worker-1", revision=NEW))
    ran = changing.satellite(*words, "--yes")
    assert (ran.status, ran.err) == (
        1,
        "error: nothing was done: the hosts run different commits (worker-1: ffffffffffff, "
        "worker-2: 0123456789ab). Bring them to one first: satellite rollback, or satellite "
        "deploy\n",
    )
    assert settings(changing) == "config:\n"


@pytest.mark.parametrize(
    ("runs", "chosen"), [("aab", "a"), ("abb", "b"), ("ab", "a"), ("a", "a"), ("", "")]
)
def test_a_dead_host_is_lost_whatever_the_others_run(
    runs: str, chosen: str, capfd: pytest.CaptureFixture[str]
) -> None:
    said = {f"worker-{n}": {"revision": commit} for n, commit in enumerate(runs, 1)}
    found = Running({**said, "new": {"revision": None}}, Check(Future()))
    assert found.most() == chosen
    assert bool(capfd.readouterr().err) == (len({*runs}) > 1)


def test_a_host_without_a_release_is_no_reason_to_do_nothing(changing: Desk) -> None:
    changing.hosts["worker-2"] = {"status": 113}
    assert changing.satellite("scale", "worker=4", "--yes").status == 0
    assert settings(changing, "up.settings").endswith(f"# set satellite:revision {COMMIT}\n")


LIVES = """\
error: nothing was done: worker-1 answers, and what it works on would be done twice. Switch off \
first:
  aws ec2 terminate-instances --instance-ids i-1
  To declare lost what lives all the same: --although-it-answers
  To drain and replace it: satellite roll worker-1 --again
"""


@pytest.mark.parametrize(
    "answer", [{}, {"status": 1}, {"status": 255, "err": "admin@192.0.2.1: Permission denied.\n"}]
)
def test_a_host_that_lives_is_not_lost(changing: Desk, answer: dict[str, Any]) -> None:
    """Its jobs would be done by others while it works on them."""
    changing.hosts |= {"worker-1": answer, "worker-2": DEAD}
    ran = changing.satellite("lost", "worker-1", "worker-2", "--yes")
    assert (ran.status, ran.err) == (4, LIVES)
    assert not (changing.place / "up.settings").exists()
    words = ("lost", "worker-1", "--although-it-answers", "--yes")
    assert changing.satellite(*words).status == 0
    assert "# set satellite:hosts.worker-1.lost true\n" in settings(changing)


def test_each_host_that_lives_is_named_and_how_it_is_switched_off(changing: Desk) -> None:
    changing.outputs["hosts"][1]["machine"] = "1"  # it was there before
    changing.hosts = {}
    ran = changing.satellite("lost", "worker-1", "worker-2", "--yes")
    assert ran.status == 4
    assert "worker-1, worker-2 answer, and what they work on would be done twice" in ran.err
    assert "\n  satellite ssh worker-2 -- sudo poweroff\n" in ran.err
    # which is for instances alone
    assert "satellite roll worker-1 --again\n" in ran.err
    assert "roll worker-2" not in ran.err


def test_why_a_host_is_held_to_be_dead_is_in_the_question(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing.hosts["worker-2"] = DEAD
    silent = "worker-2 does not answer (connect to host 192.0.2.2 port 22: Connection timed out)."
    ran = asked(changing, "n", "lost", "worker-2", monkeypatch=monkeypatch)
    assert (ran.status, f"{silent} Is it off for good?" in ran.err) == (4, True)
    assert "no other host is left" not in ran.err
    assert changing.satellite("lost", "worker-2", "--yes").err == f"{silent}\n"
    changing.hosts["worker-1"] = DEAD
    both = ("lost", "worker-1", "worker-2", "--although-it-answers")
    ran = asked(changing, "n", *both, monkeypatch=monkeypatch)
    assert "Are worker-1, worker-2 off for good?" in ran.err
    ran = asked(changing, "n", *both[:3], monkeypatch=monkeypatch)
    assert "; it may be this machine's network. Are they off for good?" in ran.err
    assert "no other host is left: nobody gives back jobs before there is one: docs/" in ran.err


def test_what_is_lost_already_is_said_and_nothing_is_done(changing: Desk) -> None:
    changing.outputs["hosts"][1]["lost"] = True
    changing.given["worker-2"] = ["i-2"]
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    ran = changing.satellite("lost", "worker-2")
    assert (ran.status, ran.err) == (
        0,
        "worker-2 is lost already; to replace it: satellite roll worker-2\n",
    )
    assert not (changing.place / "up.settings").exists()
    assert changing.satellite("lost", "worker-2", "--json").json()["changes"] == {}
    changing.hosts["worker-1"] = DEAD  # the other one is declared so all the same
    assert changing.satellite("lost", "worker-1", "worker-2", "--yes").status == 0
    assert settings(changing) == "config:\n# set satellite:hosts.worker-1.lost true\n"


@pytest.mark.parametrize("given", [None, [], ["i-0"]])
def test_what_is_lost_already_and_still_holds_jobs_is_updated_again(
    changing: Desk, given: list[str] | None
) -> None:
    """As after a `pulumi up` that failed at it; `given` is None where that ended before."""
    changing.outputs["hosts"][1]["lost"] = True
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    changing.given |= {"worker-2": given} if given is not None else {}
    ran = changing.satellite("lost", "worker-2", "--yes")
    assert (ran.status, ran.err) == (
        0,
        "worker-2 is lost already, and what it held is not given back yet: this does it\n",
    )
    assert (changing.place / "up.settings").exists()
    # where nobody is there to do it, no update does
    changing.outputs["hosts"][0]["lost"] = True
    ran = changing.satellite("lost", "worker-2", "--yes")
    assert ran.err == "worker-2 is lost already; to replace it: satellite roll worker-2\n"


def test_what_is_taken_back_while_it_is_dead_is_said_to_be(changing: Desk) -> None:
    """No more than said: a machine that is gone is replaced by the same command."""
    changing.outputs["hosts"][1]["lost"] = True
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        own = {"lost": True, "address": "127.0.0.1", "port": port}
        changing.config["satellite:hosts"] = {"value": json.dumps({"worker-2": own})}

        def greet() -> None:
            with server.accept()[0] as peer:
                peer.sendall(b"SSH-2.0-x\r\n")

        threading.Thread(target=greet).start()
        ran = changing.satellite("lost", "worker-2", "--undo", "--yes")
        assert (ran.status, ran.err) == (0, "")
    ran = changing.satellite("lost", "worker-2", "--undo", "--yes")
    assert (ran.status, ran.err) == (
        0,
        "worker-2 does not answer: connection refused. Is it the same dead machine, it would be "
        "waited for in vain: rather replace it: satellite roll worker-2\n",
    )
    changing.outputs["ssh_config"] += "  ProxyJump bastion.shop\n"
    assert changing.satellite("lost", "worker-2", "--undo", "--yes").err == ""


def test_a_lost_host_is_taken_back(changing: Desk) -> None:
    changing.outputs["hosts"][1]["lost"] = True
    changing.outputs["hosts"][1] |= HERE
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    assert changing.satellite("lost", "worker-2", "--undo", "--yes").status == 0
    assert settings(changing) == "config:\n# rm satellite:hosts\n"


@pytest.mark.parametrize(
    ("hosts", "removed"),
    [
        ({"worker-2": {"lost": True, "protect": False}}, ["hosts.worker-2.lost"]),
        ({"worker-2": {"lost": True}, "worker-3": {"protect": False}}, ["hosts.worker-2"]),
        (
            {"worker-1": {"lost": True}, "worker-2": {"lost": True}},
            ["hosts.worker-1", "hosts"],
        ),
    ],
)
def test_of_a_host_that_is_not_lost_any_more_no_empty_entry_stays(
    changing: Desk, hosts: dict[str, Any], removed: list[str]
) -> None:
    """Once its host is taken out of the stack, that would be one of no host."""
    lost = [name for name, own in hosts.items() if own.get("lost")]
    for known in changing.outputs["hosts"]:
        known |= {**HERE, "lost": known["name"] in lost}
    changing.config["satellite:hosts"] = {"value": json.dumps(hosts)}
    assert changing.satellite("lost", *lost, "--undo", "--yes").status == 0
    said = "".join(f"# rm satellite:{path}\n" for path in removed)
    assert settings(changing) == f"config:\n{said}"


def test_what_a_machine_held_that_was_gone_before_it_was_declared_lost_is_given_back(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing.hosts["worker-2"] = {"status": 255, "err": "ssh: connect to host x: timed out\n"}
    changing.says("worker-1", "looking\njobs of worker-2, machine i-2, were given back\n")

    def anew(*_: object, **__: object) -> None:
        changing.outputs["hosts"][1].update(lost=True, machine="i-9")
        changing.tell()

    monkeypatch.setattr("satellite_cli.machines.keeping", anew)
    ran = changing.satellite("lost", "worker-2", "--yes")
    assert (ran.status, ran.err.splitlines()[-1]) == (
        0,
        "worker-1: jobs of worker-2, machine i-2, were given back",
    )
    asked = changing.seen("worker-1")["command"]
    assert asked[-1].endswith("give-back --app shop --host worker-2 --machine i-2")


def test_what_a_machine_that_was_replaced_held_is_given_back(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = changing.outputs["hosts"][1]
    second |= {**HERE, "lost": True}

    def replaced(*_: object, **__: object) -> None:
        second.update(lost=False, machine="i-9")
        changing.tell()

    changing.says("worker-1", "looking\njobs of worker-2, machine i-2, were given back\n")
    # where the update fails that makes the new one, which nobody could know later
    changing.pulumi["up"] = (255, "", "error: no capacity")
    ran = changing.satellite("lost", "worker-2", "--undo", "--yes")
    assert ran.status == 1
    assert "give-back --app shop --host worker-2 --machine i-2\n" in ran.err
    monkeypatch.setattr("satellite_cli.machines.keeping", replaced)
    monkeypatch.setattr("satellite_cli.machines._dead", lambda *_: [])
    ran = changing.satellite("lost", "worker-2", "--undo", "--yes")
    assert (ran.status, ran.err) == (
        0,
        "worker-1: jobs of worker-2, machine i-2, were given back\n",
    )
    asked = changing.seen("worker-1")["command"]
    assert asked[-1].endswith("give-back --app shop --host worker-2 --machine i-2")
    # and where it cannot be done it is said how
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    second.update(lost=True, machine="i-2")
    changing.hosts["worker-1"] = {"status": 1, "err": "no release\n"}
    ran = changing.satellite("lost", "worker-2", "--undo", "--yes")
    assert ran.status == 1
    assert "are not given back: no release. Do it by: satellite ssh worker-1 -- sudo " in ran.err


def test_what_failed_stays_out_of_it_and_the_resources_own_error_comes_first(
    changing: Desk,
) -> None:
    own = (
        "worker-1: release of fff FAILED in phase `build`: no\nworker-1 runs its last good release"
    )
    changing.events["up"] = [
        step("worker-1-release"),
        error(
            "worker-1-release",
            '<{%reset%}>Process exited with status 1: running "# R\\nx \\"y\\"":\n' + own,
        ),
        {"resOpFailedEvent": {"metadata": {"op": "update", "urn": urn("worker-1-release")}}},
        error(
            "satellite-staging",
            "update failed\nTraceback (most recent call last):\n  File x\nboom",
            "pulumi:pulumi:Stack",
        ),
    ]
    changing.pulumi["up"] = (255, "", "error: update failed")
    ran = changing.satellite("scale", "worker=4", "--yes")
    assert ran.status == 1
    assert ran.err == f"error: worker-1 release: Process exited with status 1: {own}\n"
    assert ran.out.splitlines()[-1].startswith("worker-1 release: FAILED in ")
    assert settings(changing) == "config:\n"


def test_a_terminal_obeys_nothing_of_what_a_worker_has_said(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "worker-1: release FAILED\n  | worker.1 said:\n  | \x1b]0;owned\x07\x1b[2J\tno"
    changing.events["up"] = [error("worker-1-release", own)]
    changing.pulumi["up"] = (255, "", "error: update failed")
    assert "  | \x1b]0;owned\x07" in changing.satellite("deploy", "--yes").err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "  | ·]0;owned··[2J\tno\n" in changing.satellite("deploy", "--yes").err


def test_a_machine_that_is_not_reached_for_its_drain_may_be_gone(changing: Desk) -> None:
    own = "after 2 failed attempts: ssh: handshake failed: ssh: host key mismatch"
    changing.events["up"] = [error("worker-1-drain", own)]
    changing.pulumi["up"] = (255, "", "error: update failed")
    assert changing.satellite("up", "--yes").err == (
        f"error: worker-1 drain: {own}\n"
        "  Is what worker-1 was gone for good: docs/tasks/a-host-died.md\n"
    )
    changing.drains["worker-1"] = "i-0"  # of which nobody else knows
    assert changing.satellite("up", "--yes").err == (
        f"error: worker-1 drain: {own}\n"
        "  i-0, which worker-1 was, is not drained; i-1 is there now\n"
        "  Is what worker-1 was off for good: satellite lost worker-1\n"
    )
    changing.pulumi["stack export"] = (255, "", "error: no such backend")
    assert "  Is what worker-1 was gone for good: docs/" in changing.satellite("up", "--yes").err


def test_what_was_not_drained_is_lost_and_not_the_machine_after_it(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which answers, and may be at work by then."""
    changing.drains["worker-2"] = "i-0"
    back = "jobs of worker-2, machine i-0, were given back"
    changing.says("worker-1", back)
    ran = asked(changing, "n", "lost", "worker-2", monkeypatch=monkeypatch)
    assert (ran.status, "Is i-0, which worker-2 was, off for good?" in ran.err) == (4, True)
    assert "terminate" not in ran.err
    assert not (changing.place / "up.settings").exists()

    ran = changing.satellite("lost", "worker-2", "--yes")
    assert (ran.status, ran.err) == (0, f"worker-1: {back}\n")
    drain, rest = ([*line] for line in changing.engine() if line[0] == "up")
    assert "--target=**::command:remote:Command::worker-2-drain" in drain
    assert not [word for word in rest if word.startswith("--target")]
    # the host is lost for its drain alone
    assert "lost" not in settings(changing, "up.settings")
    assert settings(changing) == "config:\n"
    asked_for = changing.seen("worker-1")["command"]
    assert asked_for[-1].endswith("give-back --app shop --host worker-2 --machine i-0")

    changing.pulumi["up"] = (255, "", "error: no capacity")
    ran = changing.satellite("lost", "worker-2", "--yes")
    assert (ran.status, ran.err.endswith("--host worker-2 --machine i-0\n")) == (1, True)
    # the outputs have what was tried: it goes on, and nobody is declared lost who works
    changing.outputs["hosts"][1]["lost"] = True
    changing.pulumi["up"] = (0, "", "")
    assert changing.satellite("lost", "worker-2", "--yes").status == 0
    assert settings(changing) == "config:\n"


def test_a_machine_that_died_after_one_that_was_not_drained_is_lost_with_it(
    changing: Desk,
) -> None:
    changing.drains["worker-2"] = "i-0"
    changing.hosts["worker-2"] = DEAD
    ran = changing.satellite("lost", "worker-2", "--yes")
    assert (ran.status, settings(changing)) == (
        0,
        "config:\n# set satellite:hosts.worker-2.lost true\n",
    )
    asked_for = changing.seen("worker-1")["command"]
    assert asked_for[-1].endswith("give-back --app shop --host worker-2 --machine i-0")


def test_the_programs_own_problems_are_the_message(changing: Desk) -> None:
    text = "2 problems in this stack's settings:\n  satellite:app: is missing"
    changing.events["up"] = [error("satellite-staging", text, "pulumi:pulumi:Stack")]
    changing.pulumi["up"] = (255, "", "error: update failed")
    assert changing.satellite("up", "--yes").err == f"error: {text}\n"


def test_an_engine_that_never_began_says_why(changing: Desk) -> None:
    changing.events["up"] = []
    said = "error: yaml: unmarshal errors:\n  line 13: a name twice\n\nerror: and this"
    changing.pulumi["up"] = (255, "", f"warning: of something\n{said}")
    assert changing.satellite("up", "--yes").err == (
        "error: yaml: unmarshal errors:\n  line 13: a name twice\nand this\n"
    )


LOCKED = """\
error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or \
delete the lock file with `pulumi cancel`.
  s3://states?region=eu-west-1/.pulumi/locks/organization/shop/staging/a-b.json: created by \
ada@laptop (pid 7) at 2026-11-25T10:00:00+01:00"""


def test_a_locked_stack_says_who_is_at_work_and_cancels_nothing(changing: Desk) -> None:
    changing.events["up"] = []
    changing.pulumi["up"] = (255, "", LOCKED)
    ran = changing.satellite("up", "--yes")
    assert (ran.status, ran.err) == (
        1,
        "error: the stack is currently locked by another command: this update has changed nothing\n"
        "  ada@laptop (pid 7), since 2026-11-25T10:00:00+01:00\n"
        "  Look who it is: satellite lock status --stack staging\n"
        "  Only if it was killed: satellite lock release --stack staging\n",
    )


def test_roll_names_the_host_for_this_update_alone(changing: Desk) -> None:
    changing.config["satellite:roll"] = {"value": '["worker-2"]'}
    assert changing.satellite("roll", "worker-1", "--yes").status == 0
    assert settings(changing, "up.1.settings") == (
        f"config:\n# set satellite:roll[1] worker-1\n# set satellite:revision {COMMIT}\n"
    )
    assert settings(changing) == "config:\n"


def test_after_a_roll_the_order_without_it_is_noted(changing: Desk) -> None:
    """Else none of the others could be deployed to alone."""
    assert changing.satellite("roll", "worker-1", "--yes").status == 0
    assert settings(changing, "up.2.settings") == f"config:\n# set satellite:revision {COMMIT}\n"
    assert "--replace" not in " ".join(updates(changing)[1])
    changing.pulumi["up"] = (255, "", "error: no capacity")
    assert changing.satellite("roll", "worker-1", "--yes").status == 1
    assert len(updates(changing)) == 3


INSTANCE = "--replace=**::aws:ec2/instance:Instance::worker-2"


def updates(changing: Desk) -> list[list[str]]:
    """The command lines of all updates."""
    return [line for line in changing.engine() if line[0] == "up"]


def test_roll_replaces_what_is_right_where_that_is_said(changing: Desk) -> None:
    assert changing.satellite("roll", "worker-2", "--yes").status == 0
    assert changing.satellite("roll", "worker-2", "--again", "--yes").status == 0
    assert [INSTANCE in line for line in updates(changing)] == [False, False, True, False]


def test_a_roll_that_replaces_nothing_says_so(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other settings that wait may restart workers, which looks like a roll."""
    stays = (
        "worker-2 is not replaced: its image, type and key are as the settings say; to replace it "
        "all the same: satellite roll worker-2 --again\n"
    )
    assert changing.satellite("roll", "worker-2", "--yes").err == stays
    ran = asked(changing, "n", "roll", "worker-2", monkeypatch=monkeypatch)
    assert (ran.status, stays in ran.err) == (4, True)
    assert "Do this all the same?" in ran.err + ran.out
    new = step("worker-2", "replace")
    new["resourcePreEvent"]["metadata"]["urn"] = urn("worker-2", "aws:ec2/instance:Instance")
    for verb in ("preview", "up"):
        changing.events[verb].insert(0, new)
    assert changing.satellite("roll", "worker-2", "--yes").err == ""
    ran = asked(changing, "n", "roll", "worker-2", monkeypatch=monkeypatch)
    assert (ran.status, "is not replaced" in ran.err) == (4, False)
    assert "Replace worker-2?" in ran.err + ran.out


def test_what_no_drain_reaches_is_not_rolled(changing: Desk) -> None:
    """Or its successor would stand there, and of its own jobs nobody would know."""
    changing.hosts["worker-2"] = DEAD
    ran = changing.satellite("roll", "worker-2", "--again", "--yes")
    assert (ran.status, ran.err) == (
        1,
        "error: nothing was done: what is replaced is drained before it goes, and does not answer\n"
        "  worker-2: connect to host 192.0.2.2 port 22: Connection timed out\n"
        "  Look at it: satellite doctor --host worker-2\n"
        "  Is it dead for good: satellite lost worker-2, then this again\n",
    )
    changing.config["satellite:roll"] = {"value": '["worker-2"]'}  # it goes with the other
    assert "  worker-2: connect" in changing.satellite("roll", "worker-1", "--yes").err
    changing.hosts["worker-1"] = DEAD
    ran = changing.satellite("roll", "worker-1", "--yes")
    assert "  It may be this machine's network: look there first\n" in ran.err
    assert "satellite lost worker-1 worker-2, then this again\n" in ran.err
    assert not (changing.place / "up.settings").exists()
    changing.config.pop("satellite:roll")
    changing.says("worker-2", status("worker-2"))
    assert changing.satellite("roll", "worker-2", "--yes").status == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 113},
        {"status": 1, "err": "no ledger\n"},
        {"status": 255, "err": "admin@192.0.2.2: Permission denied (publickey).\n"},
        {"status": 255, "err": "Host key verification failed.\n"},
    ],
)
def test_what_is_there_is_rolled_whatever_it_says(changing: Desk, answer: dict[str, Any]) -> None:
    """It was never prepared, is broken, or gets another key for that."""
    changing.hosts["worker-2"] = answer
    assert changing.satellite("roll", "worker-2", "--yes").status == 0


def test_roll_gives_a_lost_host_another_machine(changing: Desk) -> None:
    changing.outputs["hosts"][1]["lost"] = True
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    changing.hosts["worker-2"] = DEAD
    ran = changing.satellite("roll", "worker-2", "--yes")
    assert (ran.status, ran.err) == (0, "")
    assert [INSTANCE in line for line in updates(changing)] == [True, False]
    assert settings(changing) == "config:\n# rm satellite:hosts\n"
    # or the engine would make it of the old one's image
    assert "# set satellite:roll[0] worker-2\n" in settings(changing, "up.1.settings")
    # and what it held is given back, as after `lost --undo`
    changing.pulumi["up"] = (255, "", "error: no capacity")
    ran = changing.satellite("roll", "worker-2", "--yes")
    assert ran.status == 1
    assert "give-back --app shop --host worker-2 --machine i-2\n" in ran.err
    # the outputs have what was tried, and the file what was: no second machine is thrown away
    changing.outputs["hosts"][1] |= {"lost": False, "machine": "i-9"}
    (changing.place / "up.settings").unlink()
    ran = changing.satellite("roll", "worker-2", "--yes")
    assert (ran.status, ran.err) == (
        2,
        "error: worker-2 is lost by Pulumi.staging.yaml, and was not by the last update\n"
        "  To go on with the machine that it has: satellite lost worker-2 --undo\n"
        "  Is that one dead: satellite lost worker-2, then this again\n",
    )
    assert not (changing.place / "up.settings").exists()


def test_a_machine_of_ones_own_is_not_rolled(changing: Desk) -> None:
    changing.outputs["hosts"][1] |= {"machine": "1", "lost": True}
    changing.given["worker-2"] = ["1"]
    ran = changing.satellite("roll", "worker-2", "--yes")
    assert ran.status == 2
    assert "is no instance, but a machine of your own: docs/tasks/a-host-died.md" in ran.err
    changing.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    assert changing.satellite("lost", "worker-2").err == (
        "worker-2 is lost already; to replace it: docs/tasks/a-host-died.md\n"
    )


def good(*revisions: str) -> list[dict[str, str]]:
    return [{"release": f"2026112510000{n}", "revision": r} for n, r in enumerate(revisions)]


def test_rollback_goes_to_the_good_release_before(changing: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good("a" * 40, NEW, COMMIT)))
    ran = changing.satellite("rollback", "--yes")
    assert (ran.status, ran.err) == (0, f"from {COMMIT[:12]} back to {NEW}\n")
    assert settings(changing) == f"config:\n# set satellite:revision {NEW}\n"
    changing.satellite("rollback", "aaa", "--yes")
    assert f"# set satellite:revision {'a' * 40}" in settings(changing)
    ran = changing.satellite("rollback", "b", "--yes")
    assert (ran.status, ran.err) == (
        2,
        "error: no good release of b is on the hosts (0123456789ab, ffffffffffff, aaaaaaaaaaaa)\n",
    )
    changing.satellite("rollback", "b" * 40, "--yes")
    assert f"# set satellite:revision {'b' * 40}" in settings(changing)


def test_a_deploy_takes_what_releases_shows(changing: Desk) -> None:
    """Which has the first digits of a commit; the hosts know the others."""
    first, second = f"{'ab' * 6}{'c' * 28}", f"{'ab' * 5}{'d' * 30}"
    for name, commits in (("worker-1", [first, NEW]), ("worker-2", [first, second])):
        told = [{"outcome": "good", "revision": commit} for commit in commits]
        changing.hosts[name] = {
            remote.agent("history", "--app", "shop", "--json"): {"out": json.dumps(told)},
            "true": {"out": ""},
        }
    for typed, whole in (("abababababab", first), ("ABABABABABAB", first), ("fff", NEW)):
        assert changing.satellite("deploy", "--revision", typed, "--yes").status == 0
        assert settings(changing).endswith(f"# set satellite:revision {whole}\n")
    for typed, why in (
        ("abababab", "several commits begin with abababab (ababababab"),
        ("cccc", "no commit that was released begins with cccc; all 40 digits"),
    ):
        ran = changing.satellite("deploy", "--revision", typed, "--yes")
        assert (ran.status, f"error: --revision: {why}" in ran.err) == (2, True), ran
    changing.outputs = {}  # it was never up
    ran = changing.satellite("deploy", "--revision", "ABCD", "--yes")
    assert ran.err.endswith(
        " begins with abcd; all 40 digits, in the app's checkout: git rev-parse abcd\n"
    )


def test_a_rollback_to_what_runs_is_said_to_pin_it(changing: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good(NEW, COMMIT)))
    ran = changing.satellite("rollback", COMMIT[:12].upper(), "--yes")
    runs = "the hosts run 0123456789ab already; Pulumi.staging.yaml"
    assert (ran.status, ran.err) == (0, f"{runs} pins it once this has succeeded\n")
    assert settings(changing) == f"config:\n# set satellite:revision {COMMIT}\n"
    changing.config["satellite:revision"] = {"value": COMMIT}
    ran = changing.satellite("rollback", COMMIT[:12], "--yes")
    assert (ran.status, ran.err) == (0, f"{runs} has it pinned\n")


def test_a_wrong_passphrase_is_told_with_what_to_do(changing: Desk) -> None:
    wrong = "error: getting stack configuration: get stack secrets manager: incorrect passphrase"
    changing.pulumi["up"] = (255, "", wrong)
    changing.events["up"] = []
    ran = changing.satellite("deploy", "--yes")
    assert ran.status == 1
    assert ran.err.endswith(
        f"{wrong}\n  PULUMI_CONFIG_PASSPHRASE should be what this stack began with\n"
    )


def test_a_stack_that_is_none_is_told_with_those_that_there_are(changing: Desk) -> None:
    """Its file is there, and the engine alone knows better."""
    changing.pulumi["up"] = (255, "", "error: no stack named 'staging' found")
    changing.pulumi["stack ls"] = (0, '[{"name": "demo"}]', "")
    changing.events["up"] = []
    ran = changing.satellite("deploy", "--yes")
    assert ran.status == 2
    assert ran.err.endswith(
        "error: no stack named 'staging' found\n  make it: pulumi stack init NAME\n"
        "  known here: demo\n"
    )


def test_rollback_needs_somewhere_to_go(changing: Desk) -> None:
    def said(**has: Any) -> str:
        for name in ("worker-1", "worker-2"):
            changing.says(name, status(name, **has))
        ran = changing.satellite("rollback", "--yes")
        assert ran.status == 2
        return ran.err

    other = "Any other commit: satellite deploy --revision COMMIT\n"
    none = "error: the hosts have no good release"
    oldest = f"{none} before 0123456789ab (they have"
    assert said(good=good(COMMIT)) == f"{oldest} 0123456789ab). {other}"
    first, second = good(COMMIT, NEW)  # it was rolled back to already
    assert said(good=[second, first]) == f"{oldest} ffffffffffff, 0123456789ab). {other}"
    assert said(good=[], revision=None) == f"{none}. {other}"


def test_a_rollback_of_a_rollback_goes_further_back(changing: Desk) -> None:
    """And not to what was rolled back, which somebody had a reason for."""
    first, second, third = good("a" * 40, COMMIT, NEW)
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=[first, third, second]))  # as an agent keeps them
    ran = changing.satellite("rollback", "--yes")
    assert (ran.status, ran.err) == (0, f"from {COMMIT[:12]} back to {'a' * 40}\n")


def test_a_rollback_of_a_commit_that_was_built_anew_goes_further_back(changing: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good("a" * 40, COMMIT, NEW, COMMIT)))
    assert changing.satellite("rollback", "--yes").err == f"from {COMMIT[:12]} back to {'a' * 40}\n"


def test_a_deploy_that_reached_some_hosts_goes_back_on_all_of_them(changing: Desk) -> None:
    failed = {"outcome": "failed", "revision": NEW}
    every = good("a" * 40, COMMIT, NEW)
    changing.says("worker-1", status("worker-1", revision=NEW, good=every))
    changing.says("worker-2", status("worker-2", good=every[:2], last_release=failed))
    ran = changing.satellite("rollback", "--yes")
    assert (ran.status, ran.err) == (0, f"from {COMMIT[:12]}, {NEW[:12]} back to {COMMIT}\n")


REFUSED = """\
error: nothing was done: the last deploy, of ffffffffffff, has not succeeded, and all hosts \
run 0123456789ab, as before it. To go further back: satellite rollback aaaaaaaaaaaa
"""


@pytest.mark.parametrize("how", ["failed", "killed", "of one release"])
def test_after_a_deploy_that_failed_there_is_nothing_to_go_back_from(
    changing: Desk, how: str
) -> None:
    failed = {"outcome": "failed", "revision": NEW}
    both = good("a" * 40, COMMIT)[how == "of one release" :]
    changing.says("worker-1", status("worker-1", good=both))
    changing.says("worker-2", status("worker-2", good=both, last_release={"outcome": "good"}))
    if how == "killed":  # or ended before the host could write anything down
        changing.outputs["revision"] = NEW
    else:
        changing.says("worker-1", status("worker-1", good=both, last_release=failed))
    ran = changing.satellite("rollback", "--yes")
    further = " To go further back" if len(both) == 1 else "\n"
    assert (ran.status, ran.err) == (4, REFUSED.partition(further)[0].strip() + "\n")
    assert not [words for words in changing.engine() if words[0] == "up"]
    assert changing.satellite("rollback", "a" * 40, "--yes").status == 0


def test_after_settings_that_failed_there_is_nothing_to_go_back_from(changing: Desk) -> None:
    failed = {"outcome": "failed", "revision": COMMIT}
    both = good("a" * 40, COMMIT)
    changing.says("worker-1", status("worker-1", good=both, last_release=failed))
    changing.says("worker-2", status("worker-2", good=both))
    ran = changing.satellite("rollback", "--yes")
    assert (ran.status, ran.err) == (
        4,
        "error: nothing was done: the last change, of settings, has not succeeded, and all hosts "
        f"run 0123456789ab, as before it. To go further back: satellite rollback {'a' * 12}\n",
    )


def test_a_new_host_that_was_left_behind_is_no_reason_to_stay(changing: Desk) -> None:
    changing.says("worker-1", status("worker-1", good=good("a" * 40, COMMIT)))
    failed = {"outcome": "failed", "revision": COMMIT}
    empty = status("worker-2", revision=None, current=None, good=[], last_release=failed)
    changing.says("worker-2", empty)
    assert changing.satellite("rollback", "--yes").err == f"from {COMMIT[:12]} back to {'a' * 40}\n"


def test_a_rollback_that_did_not_come_to_its_end_goes_on(changing: Desk) -> None:
    """The stack's output says where to; that is no deploy which failed."""
    changing.outputs["revision"] = "a" * 40
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good("a" * 40, COMMIT)))
    assert changing.satellite("rollback", "--yes").err == f"from {COMMIT[:12]} back to {'a' * 40}\n"


@pytest.mark.parametrize(
    ("ways", "back"),
    [
        (["abc", "abc"], "b"),
        (["T", "ab"], "b"),  # it reached a new machine alone
        (["T", "aT", "ab"], "b"),
        (["aT", "ab"], "b"),
        (["bT", "T"], "b"),
        (["T"], ""),
        (["ab", "abc"], "b"),  # it reached the second host alone
        (["c", "abc"], "b"),  # the first one is new
        (["a", "abc"], "b"),
        (["a", "a"], ""),
        (["", "ab"], "a"),  # nothing was ever released to the first
        ([], ""),
    ],
)
def test_back_from_the_newest_that_runs(ways: list[str], back: str) -> None:
    assert before(ways, "T") == back
    assert before(ways[::-1], "T") == back


@pytest.mark.parametrize(
    ("kept", "runs", "way"),
    [
        ("a1 b2 c3", "c", "abc"),
        ("b2 a1 c3", "c", "ac"),  # b was rolled back to a; then c
        ("b2 c3 a1", "a", "a"),  # all was
        ("a1 b2 c3 b4", "b", "ab"),  # it was, and built anew, as settings had changed
        ("a1 c3 b42", "b", "ab"),  # the same, where a host keeps the newest of each commit
        ("a1 a2", "a", "a"),  # other settings
        ("a1 b2", "c", "abc"),  # somebody moved it
        ("a1 b2", None, "ab"),
        ("", None, ""),
    ],
)
def test_what_was_rolled_back_is_on_no_way_back(kept: str, runs: str | None, way: str) -> None:
    releases = [
        {"release": one[1], "revision": one[0], **({"first": one[2]} if one[2:] else {})}
        for one in kept.split()
    ]
    assert "".join(way_back({"good": releases, "revision": runs})) == way


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["scale", "worker=0"], "None for good, where others are left: pulumi config rm --path"),
        (["scale", "worker=0"], "Of the only type: satellite stop TYPE, or satellite destroy\n"),
        (["scale", "worker"], "should be TYPE=N with N from 1 to 1000, got worker\n"),
        (["scale", "worker=1001", "wörker=1"], "got worker=1001 wörker=1\n"),
        (["scale", "worker=-1"], "None for a while: satellite stop TYPE\n"),
        (["scale", "worker", "3"], "got worker 3, did you mean satellite scale worker=3?\n"),
        (["scale", "a", "1", "b=2"], "got a 1, did you mean satellite scale a=1 b=2?\n"),
        (["scale", "web", "1", "2", "3"], "did you mean satellite scale web=1 2 3?\n"),
        (["scale", "2", "3"], "got 2 3\n"),
        (["deploy", "--revision", "v1.2"], "got v1.2; of a branch or tag, in the app's checkout"),
        (["deploy", "--branch=--help"], "--branch: should not begin with a dash, got --help"),
        (["deploy", "--revision", NEW, "--branch", "b"], "not both"),
        (["lost", "worker-9"], "no host worker-9"),
        (["lost", "worker-9", "--undo"], "no host worker-9"),
        (["lost", "worker-2", "--undo"], "worker-2 is not declared lost"),
    ],
)
def test_a_wrong_line_does_nothing(changing: Desk, words: list[str], rule: str) -> None:
    ran = changing.satellite(*words, "--yes")
    assert ran.status == 2
    assert rule in ran.err
    assert not (changing.place / "up.settings").exists()


def test_only_what_the_app_has_is_scaled(changing: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, procfile=["mail", "web", "worker"]))
    ran = changing.satellite("scale", "mial=1", "wroker=2", "worker=3", "--yes")
    rule = "should be in the Procfile (it has: mail, web, worker) or have satellite:processes."
    assert (ran.status, ran.err) == (
        2,
        f"error: nothing was done:\n  mial: {rule}mial.command\n  wroker: {rule}wroker.command\n",
    )
    assert settings(changing) == "config:\n"
    changing.config["satellite:processes"] = {"value": '{"mial": {"command": "x"}, "web": 1}'}
    assert changing.satellite("scale", "mial=1", "mail=1", "--yes").status == 0
    changing.says("worker-1", status("worker-1", procfile=None))
    assert changing.satellite("scale", "other=1", "--yes").status == 2
    changing.says("worker-2", status("worker-2"))  # an older agent
    assert changing.satellite("scale", "other=1", "--yes").status == 0


def destroyed(desk: Desk) -> bool:
    return any(words[0] == "destroy" for words in desk.engine())


def test_production_is_destroyed_by_its_name_alone(changing: Desk) -> None:
    changing.config["satellite:environment"] = {"value": "production"}
    for words in (["--yes"], ["--confirm", "production"], []):
        ran = changing.satellite("destroy", *words)
        assert (ran.status, destroyed(changing)) == (4, False)
        assert ran.err == "error: nothing was done; to be sure, say --confirm staging\n"
    assert changing.satellite("destroy", "--confirm", "staging").status == 0
    assert destroyed(changing)


def test_production_asks_for_its_name(changing: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    changing.config["satellite:environment"] = {"value": "production"}
    assert asked(changing, "y", "destroy", monkeypatch=monkeypatch).status == 4
    assert not destroyed(changing)
    assert asked(changing, "staging", "destroy", monkeypatch=monkeypatch).status == 0
    assert destroyed(changing)


def test_another_environment_wants_a_yes(changing: Desk) -> None:
    assert changing.satellite("destroy").status == 4
    assert not destroyed(changing)
    assert changing.satellite("destroy", "--yes").status == 0
    assert destroyed(changing)


def test_a_file_that_was_changed_meanwhile_stays(changing: Desk) -> None:
    from satellite_cli.problems import SatelliteError
    from satellite_cli.project import Project

    with Project("staging", changing.place / "Pulumi.staging.yaml").draft() as draft:
        draft.file.write_text("config: mine\n")
        draft.project.file.write_text("config: theirs\n")
        with pytest.raises(SatelliteError, match="was changed meanwhile"):
            draft.keep()
    assert settings(changing) == "config: theirs\n"


SLOW = """\
#!{python}
import os, signal, sys, time
from pathlib import Path
place = Path({place!r})
count = 0
def hear(*_):
    global count
    count += 1
    (place / "signals").write_text(str(count))
    while not Path(os.environ["SATELLITE_INTERRUPTED"]).exists():
        time.sleep(0.05)
    (place / "told").touch()
signal.signal(signal.SIGINT, hear)
(place / "began").touch()
end = time.monotonic() + 60
while not (place / "go").exists() and time.monotonic() < end:
    time.sleep(0.05)
sys.exit(1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_reaches_the_engine_once(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text(SLOW.format(python=sys.executable, place=str(tmp_path)))
    program.chmod(0o755)
    code = (
        "from satellite_cli.main import outside\n"
        "from satellite_cli.update import Update\n"
        "outside()\n"
        "done = Update('up', 's', [], print).run()\n"
        "print(done.interrupted, done.status)\n"
    )
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        wait_until("the engine begins", (tmp_path / "began").exists)
        os.killpg(process.pid, number)  # as a terminal does: the whole group
        said = [process.stderr.readline()]
        wait_until("what only waits is ended", (tmp_path / "told").exists)
        os.killpg(process.pid, number)
        said.append(process.stderr.readline())  # then the second one is done with
        (tmp_path / "go").touch()
        said += process.stderr
        out = process.stdout.read()
    assert out == "True 1\n"
    assert (tmp_path / "signals").read_text() == "1"
    assert [line.strip() for line in said] == [
        "stopping: nothing new begins, and what has begun on a host ends there first",
        "stopping already: what has begun on a host ends there first",
    ]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("<{%fg 1%}>no<{%reset%}>", "no"),
        ('status 3: running "a\\"b\\n...":\nout', "status 3: out"),
        (
            'status 3: running "a":\n== build\nout\n  | == it said\n== gate',
            "status 3: out\n  | == it said",
        ),
        ("boom\nTraceback (most recent call last):\n  x\nE: y", "boom"),
        ("Traceback (most recent call last):\n  x\nValueError: y\n", "ValueError: y"),
    ],
)
def test_an_error_is_what_the_resource_said(text: str, own: str) -> None:
    assert update.own_error(text) == own


def test_names_of_resources() -> None:
    assert update.named(urn("worker-1-release")) == "worker-1 release"
    assert update.named(urn("worker-1", "aws:ec2/instance:Instance")) == (
        "worker-1 (aws:ec2/instance:Instance)"
    )
    assert update.named(urn("release-phase-abc")) == "release-phase-abc (command:remote:Command)"


def test_again_visits_the_named_hosts_and_no_other(changing: Desk) -> None:
    ran = changing.satellite("up", "--again", "--host", "worker-2", "--yes")
    assert ran.status == 0
    (up,) = [words for words in changing.engine() if words[0] == "up"]
    visits = [word for word in up if word.startswith("--replace")]
    phases = ("reach", "agent", "bootstrap")
    assert visits == [f"--replace=**::worker-2-{phase}" for phase in phases]
    ran = changing.satellite("up", "--again", "--yes")
    (_, up) = [words for words in changing.engine() if words[0] == "up"]
    assert len([word for word in up if word.startswith("--replace")]) == 6


def test_one_host_alone_is_visited_only_again(changing: Desk) -> None:
    ran = changing.satellite("up", "--host", "worker-2", "--yes")
    assert ran.status == 2
    assert "--host: only with --again" in ran.err


@pytest.mark.parametrize("broken", ["the state", "an agent", "no agent"])
def test_a_deploy_that_succeeded_is_none_that_failed_for_what_is_not_known_of_the_others(
    changing: Desk, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def targets(*_: object) -> list[str]:
        if broken == "the state":  # from now on
            changing.pulumi["stack output"] = (255, "", "error: no connection")
            changing.tell()
        return []

    monkeypatch.setattr("satellite_cli.partial.targets", targets)
    second = {"status": 113} if broken == "no agent" else {"out": "no JSON"}
    changing.hosts = {"worker-1": {"out": "{}"}, "worker-2": second}
    ran = changing.satellite("deploy", "--host", "worker-1", "--yes")
    assert ran.status == 0, ran
    assert "9 unchanged, 1 changed" in ran.out
    unknown = {
        "the state": "What the other hosts run is not known: ",
        "an agent": "worker-2 stays as it is: no answer: its answer cannot be read: no JSON",
        "no agent": "worker-2 stays as it is: not prepared yet: satellite up",
    }
    assert unknown[broken] in ran.err
    assert ran.err.endswith("The stack's file stays as it is, too. All hosts: satellite deploy\n")


GOES = (
    "Resource 'urn:pulumi:staging::satellite::command:remote:CopyToRemote::worker-2-agent' will be "
    "destroyed but was not specified in --target list.\nEither include resource in --target list "
    "or pass --target-dependents to proceed."
)


@pytest.mark.parametrize(
    ("said", "drain", "way"),
    [
        (GOES, "i-0", "  Is what worker-2 was off for good: satellite lost worker-2\n"),
        (GOES, "", "  To do that first: satellite up --same-commit\n"),
        ("Duplicate resource URN 'urn:…'; try giving it a unique name", "", "up --same-commit\n"),
        (
            "Resource 'a' depends on 'b' which was was not specified in --target list.",
            "",
            "deploy\n",
        ),
    ],
)
def test_some_hosts_alone_are_refused_before_anything_where_the_engine_cannot(
    changing: Desk, monkeypatch: pytest.MonkeyPatch, said: str, drain: str, way: str
) -> None:
    """It would say so at its end only, once they have the commit, and advise to touch others."""
    monkeypatch.setattr("satellite_cli.partial.targets", lambda *_: ["--target=urn:…::worker-1"])
    if drain:
        changing.drains["worker-2"] = drain
    snapshot = "failed to verify snapshot: resource urn:… refers to missing dependency urn:…"
    said = "\n".join(f"error: {text}" for text in ("preview failed", snapshot, said))
    changing.pulumi["preview"] = (255, "", said)
    ran = changing.satellite("deploy", "--host", "worker-1", "--yes")
    assert (ran.status, "--target" in ran.err, "rn:" in ran.err) == (1, False, False), ran
    assert "some hosts alone cannot be updated now:\n" in ran.err
    assert way in ran.err
    assert not (changing.place / "up.settings").exists()


def test_each_phase_of_what_takes_long_is_shown(changing: Desk) -> None:
    changing.events["up"][1:1] = [
        said("worker-2-reach", "== no answer yet (15 of 300 s)"),
        said("worker-1-release", "waiting for release of 0123 by ada@laptop"),
        said("worker-1-release", "== build\n"),
        said("worker-1-release", "worker-1: 20261125-0123: 0123 is live"),
    ]
    lines = changing.satellite("up", "--yes").out.splitlines()
    assert lines[:4] == [
        "worker-1 release: changes",
        "worker-2 reach: no answer yet (15 of 300 s)",
        "worker-1 release: waiting for release of 0123 by ada@laptop",
        "worker-1 release: build",
    ]
    assert lines[4].startswith("worker-1 release: changed in ")
    assert changing.satellite("up", "--yes", "--json").json()["changes"] == {"same": 9, "update": 1}


def test_a_commit_that_the_engine_hides_in_part_is_not_pinned(
    changing: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing.events["preview"][-2] = changing.events["up"][-2] = root(f"{NEW[:8]}[secret]")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    assert changing.satellite("up").status == 0
    assert "revision" not in (changing.place / "up.settings").read_text()
    assert changing.satellite("up", "--yes", "--json").json()["revision"] == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("names", "worker-1"),
        ("count", "two"),
        ("hosts", "x"),
        ("hosts", "[1]"),
        ("roll", "worker-1"),
        ("roll", "{}"),
    ],
)
def test_settings_of_the_wrong_kind_are_the_programs_to_tell(
    changing: Desk, key: str, value: str
) -> None:
    changing.config[f"satellite:{key}"] = {"value": value}
    for verb in ("up", "preview"):
        changing.pulumi[verb] = (1, "", "")
        changing.events[verb] = [
            error("satellite-staging", f"satellite:{key}: should be", "pulumi:pulumi:Stack")
        ]
    for words in (["preview"], ["up", "--yes"], ["deploy", "--yes"]):
        ran = changing.satellite(*words)
        assert (ran.status, ran.err) == (1, f"error: satellite:{key}: should be\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "--revision", "", "--yes"], "--revision is empty"),
        (["deploy", "--branch", "", "--yes"], "--branch is empty"),
        (["deploy", "--host", "", "--yes"], "--host is empty"),
        (["up", "--stack", "", "--yes"], "--stack is empty"),
        (["run", "--host", "", "ls"], "--host is empty"),
        (["rollback", "", "--yes"], "REVISION is empty"),
        (["scale", "worker=2", "worker=3", "--yes"], "each process type once, got worker again"),
        (["run", "--hots", "worker-1", "ls"], "No such option '--hots'"),
        (["logs", "--since", ""], "--since is empty"),
        (["destroy", "--confirm", ""], "--confirm is empty"),
        (["config", "import", "x", "--environment", ""], "--environment is empty"),
        (["ssh", "worker-1", "-s", "other"], "-s stands where the command should"),
        (["info", "--timeout", "nan"], "nan"),
        (["info", "--timeout", "inf"], "inf"),
        (["logs", "--since", "99999999999d"], "--since: should be such as"),
        (["logs", "--since", "0001-01-01T00:00+14:00"], "--since: should be such as"),
    ],
)
def test_what_is_no_use_is_refused_before_anything(
    changing: Desk, words: list[str], said: str
) -> None:
    ran = changing.satellite(*words)
    assert (ran.status, said in ran.err) == (2, True), ran
    assert not (changing.place / "pulumi.seen").exists()
