"""What doctor says of the hosts and of this machine, and which command it names for each."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from satellite_cli import doctor, doctor_local, remote, screen
from satellite_cli.finding import MENDS, RUNBOOK, Finding
from satellite_cli.fleet import Fleet
from satellite_cli.project import Project
from satellite_infra.agent import flat
from satellite_infra.agent.examine import STATES
from satellite_infra.host_identity import host_identity
from tests.cli.conftest import COMMIT, MANIFEST, Desk, host, missed, status

NEW = "f" * 40


@pytest.fixture
def clinic(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Two hosts as they should be, and a machine without findings."""
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    monkeypatch.setattr(doctor_local, "examine", lambda *_: [])
    return desk


def manifest(**changes: str) -> dict[str, str]:
    """What a host says of its own."""
    pairs = flat.load(f"{MANIFEST}{flat.END}\n")
    return flat.digests({**pairs, **{k.replace("__", "."): v for k, v in changes.items()}})


def told(ran: Any) -> list[tuple[str | None, str, str]]:
    return [(f["host"], f["code"], f["mend"]) for f in ran.json()["findings"]]


def test_nothing_is_found(clinic: Desk) -> None:
    ran = clinic.satellite("doctor")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "this machine: nothing found\nworker-1: nothing found\nworker-2: nothing found\n"
    )
    assert clinic.satellite("doctor", "--json").json() == {"stack": "staging", "findings": []}


VISIT = "satellite up --same-commit --again --host worker-2"
DEPLOYING = VISIT.replace(" --same-commit", "")


@pytest.mark.parametrize(
    ("says", "code", "mend"),
    [
        ({"revision": NEW}, "revision", DEPLOYING),
        ({"manifest": manifest(config__TOKEN="other")}, "config_differs", VISIT),
        ({"manifest": manifest(processes__worker__quantity="4")}, "formation_differs", VISIT),
        ({"manifest": manifest(gate_seconds="4")}, "manifest_differs", VISIT),
        ({"manifest": manifest(host="worker-2", soak_seconds="60", revision=NEW)}, "", ""),
        ({"agent": "0123"}, "agent_differs", "satellite up --same-commit"),
    ],
)
def test_what_differs_from_the_stack(
    clinic: Desk, says: dict[str, Any], code: str, mend: str
) -> None:
    clinic.says("worker-2", status("worker-2", **says))
    ran = clinic.satellite("doctor", "--json")
    assert told(ran) == ([("worker-2", code, mend)] if code else [])
    assert ran.status == bool(code)


def test_what_the_stack_has_no_more_is_told_apart(clinic: Desk) -> None:
    clinic.outputs["manifest"] = MANIFEST + "config.NEW: 1\nconfig.TOKEN: 1\n"
    theirs = manifest(config__TOKEN="other", config__OLD="1", config__OLDER="1")
    clinic.says("worker-2", status("worker-2", manifest=theirs))
    (_, one) = clinic.satellite("doctor", "--json").json()["findings"]
    assert one["text"] == (
        "lacks config.NEW; has another config.TOKEN; still has config.OLD, config.OLDER"
    )


def test_a_config_var_that_follows_heroku_may_differ(clinic: Desk) -> None:
    clinic.outputs["manifest"] = MANIFEST + "inherited.1: TOKEN\nconfig.TOKEN: 0123\n"
    rotated = manifest(config__TOKEN="rotation", inherited__1="TOKEN")
    for name in ("worker-1", "worker-2"):
        clinic.says(name, status(name, manifest=rotated))
    assert told(clinic.satellite("doctor", "--json")) == []


def test_where_current_was_moved_that_is_the_finding(clinic: Desk) -> None:
    finding = {"code": "current_moved", "text": "it is so", "about": "current"}
    moved = status("worker-2", revision=None, manifest=None, findings=[finding])
    clinic.says("worker-2", moved)
    assert told(clinic.satellite("doctor", "--json")) == [("worker-2", "current_moved", VISIT)]


def test_a_machine_that_is_not_as_declared_is_to_be_rolled(clinic: Desk) -> None:
    differs = "has t3.small, and satellite:instance_type says m5.4xlarge"
    clinic.outputs["to_roll"] = {"worker-2": differs}
    out = clinic.satellite("doctor").out
    assert f"  to_roll: {differs}\n    > satellite roll worker-2\n" in out


def test_who_is_on_what(clinic: Desk) -> None:
    clinic.says("worker-2", status("worker-2", revision=NEW))
    out = clinic.satellite("doctor").out
    assert (
        "  revision: runs ffffffffffff, the last update 0123456789ab; worker-1\n"
        f"    0123456789ab. All hosts to the branch's head:\n    > {DEPLOYING}\n"
    ) in out


def test_after_a_deploy_to_one_host_it_is_that_one_which_differs(clinic: Desk) -> None:
    """The last update was about its commit; by the stack's file, or by what most hosts run."""
    clinic.outputs["revision"] = NEW
    clinic.says("worker-2", status("worker-2", revision=NEW))
    clinic.config["satellite:revision"] = {"value": COMMIT}
    ran = clinic.satellite("doctor", "--json")
    assert told(ran) == [("worker-2", "revision", DEPLOYING)]
    text = "runs ffffffffffff, {} 0123456789ab; worker-1 0123456789ab{}. All hosts to {}:"
    file = text.format("the stack's file", "", "0123456789ab, as the stack's file says")
    assert ran.json()["findings"][0]["text"] == file
    del clinic.config["satellite:revision"]
    clinic.outputs["hosts"].append(host("worker-3", "i-3", "192.0.2.3"))
    clinic.says("worker-3", status("worker-3"))
    ran = clinic.satellite("doctor", "--json")
    assert told(ran) == [("worker-2", "revision", DEPLOYING)]
    most = text.format("most hosts", "; worker-3 0123456789ab", "the branch's head")
    assert ran.json()["findings"][0]["text"] == most
    first, _, *rows = clinic.satellite("info").out.splitlines()
    assert first == "app shop, environment staging: 0123456789ab (stack staging)"
    assert ["!" in row for row in rows] == [False, True, False]
    # where few answer, or are asked, nobody knows what most of them run
    unknown = (
        ". That may have been to some hosts alone, and what {} runs is not known here. Ask all"
    )
    ran = clinic.satellite("doctor", "--json", "--host", "worker-1")
    assert told(ran) == [("worker-1", "revision", "satellite doctor")]
    start = "runs 0123456789ab, the last update ffffffffffff"
    assert ran.json()["findings"][0]["text"] == (
        f"{start}{unknown.format('worker-2, worker-3')} hosts:"
    )
    assert "!" not in clinic.satellite("info", "--host", "worker-1").out
    most_of_them = ("--host", "worker-1", "--host", "worker-3")
    assert told(clinic.satellite("doctor", "--json", *most_of_them)) == []
    clinic.hosts["worker-3"] = {"status": 255, "err": "refused"}
    (one, _) = clinic.satellite("doctor", "--json").json()["findings"][::-1]
    assert (one["host"], one["mend"]) == ("worker-1", "satellite doctor")
    assert one["text"] == f"{start}; worker-2 ffffffffffff{unknown.format('worker-3')} hosts:"
    assert "!" not in clinic.satellite("info").out
    # what the stack's file pins they are judged by all the same
    clinic.config["satellite:revision"] = {"value": COMMIT}
    assert told(clinic.satellite("doctor", "--json", "--host", "worker-1")) == []


@pytest.mark.parametrize(
    ("pinned", "head"),
    [("", "the branch's head"), ("heroku", "what Heroku runs"), (COMMIT, "0123456789ab, as the")],
)
def test_where_no_one_commit_runs_the_mend_says_what_it_deploys(
    clinic: Desk, pinned: str, head: str
) -> None:
    """An update that kept one would be refused."""
    if pinned:
        clinic.config["satellite:revision"] = {"value": pinned}
    clinic.says("worker-1", status("worker-1", revision=NEW))
    clinic.says("worker-2", drifted("file_changed"))
    ran = clinic.satellite("doctor", "--json")
    assert told(ran)[0] == ("worker-2", "file_changed", DEPLOYING)
    said = f"it is so; the hosts run different commits. All hosts to {head}"
    assert ran.json()["findings"][0]["text"].startswith(said)
    refused = clinic.satellite(*VISIT.split()[1:], "--yes")
    assert "the hosts run different commits" in refused.err


@pytest.mark.parametrize("code", ["current_moved", "cut_off"])
def test_a_host_whose_current_is_another_runs_its_last_good_release(
    clinic: Desk, code: str
) -> None:
    good = [{"release": "1", "revision": COMMIT}]
    finding = {"code": code, "text": "it is so", "about": ""}
    clinic.says("worker-2", status("worker-2", revision=NEW, good=good, findings=[finding]))
    assert told(clinic.satellite("doctor", "--json")) == [("worker-2", code, VISIT)]
    clinic.pulumi["up"] = (0, "", "")
    assert clinic.satellite(*VISIT.split()[1:], "--yes").status == 0
    settings = clinic.settings("up.settings")
    assert settings == f"config:\n# set satellite:revision {COMMIT}\n"


def failed(revision: str) -> dict[str, str]:
    return {"at": "2026-11-25T10:00:00Z", "outcome": "failed", "revision": revision}


def test_what_a_failed_deploy_has_left_is_not_deployed_again(clinic: Desk) -> None:
    """On the host where it failed, and on those that it has not reached."""
    clinic.outputs |= {"revision": NEW, "manifest": MANIFEST + "config.TOKEN: 0123\n"}
    good = {**failed(COMMIT), "outcome": "good"}
    clinic.says("worker-1", status("worker-1", last_release=failed(NEW)))
    clinic.says("worker-2", status("worker-2", last_release=good))
    (clinic.place / "Pulumi.production.yaml").touch()
    ran = clinic.satellite("doctor", "--stack", "production")
    assert (ran.status, ran.out.count("up --again")) == (1, 0)
    assert ran.out.startswith(
        "this machine: nothing found\n"
        "worker-1: 2 found\n"
        "  revision: runs 0123456789ab, the last update ffffffffffff; worker-2\n"
        "    0123456789ab; the release of ffffffffffff failed on worker-1, and was taken\n"
        "    back there. Why; and to stay with what runs:\n"
        "    > satellite logs --stack production --release --host worker-1\n"
        f"    > satellite deploy --stack production --revision {COMMIT}\n"
        "  config_differs: lacks config.TOKEN; the release of ffffffffffff failed on\n"
    )
    stay, why = f"satellite deploy --revision {COMMIT}", "satellite logs --release --host worker-1"
    ran = clinic.satellite("doctor", "--json")
    assert told(ran) == [
        (name, code, stay)
        for name in ("worker-1", "worker-2")
        for code in ("revision", "config_differs")
    ]
    assert {one["why"] for one in ran.json()["findings"]} == {why}


def test_settings_that_failed_are_not_released_again(clinic: Desk) -> None:
    """At the commit that runs, so that no other one can be gone back to."""
    clinic.outputs["manifest"] = MANIFEST + "config.TOKEN: 0123\n"
    clinic.says("worker-2", status("worker-2", last_release=failed(COMMIT)))
    ran = clinic.satellite("doctor", "--json", "--host", "worker-2")
    why = "satellite logs --release --host worker-2"
    assert told(ran) == [("worker-2", "config_differs", why)]
    (one,) = ran.json()["findings"]
    assert one["text"].endswith("those settings back; then `satellite up --same-commit`")


def test_where_the_first_release_failed_the_command_shows_why(clinic: Desk) -> None:
    """On the host where it did, and on one that it has not reached."""
    empty: dict[str, Any] = {"revision": None, "current": None, "manifest": None}
    clinic.says("worker-1", status("worker-1", last_release=failed(COMMIT), **empty))
    clinic.says("worker-2", status("worker-2", **empty))
    ran = clinic.satellite("doctor", "--json")
    why = "satellite logs --release --host worker-1"
    assert told(ran) == [("worker-1", "revision", why), ("worker-2", "revision", why)]
    assert ran.json()["findings"][0]["text"] == (
        "runs nothing, the last update 0123456789ab; worker-2 -; the release of 0123456789ab "
        "failed on worker-1. Mend what it says; then `satellite up`"
    )
    # where others have a commit that they run, all hosts can go back to it
    clinic.outputs["revision"] = NEW
    clinic.says("worker-1", status("worker-1", last_release=failed(NEW)))
    assert told(clinic.satellite("doctor", "--json"))[1] == (
        "worker-2",
        "revision",
        f"satellite deploy --revision {COMMIT}",
    )


def test_where_a_first_release_failed_beside_others_the_cause_comes_before_the_deploy(
    clinic: Desk,
) -> None:
    """The others differ, and the one where it failed has no commit to be gone back to."""
    clinic.outputs["hosts"].append(host("worker-3", "i-3", "192.0.2.3"))
    clinic.says("worker-2", status("worker-2", revision=NEW))
    empty: dict[str, Any] = {"revision": None, "current": None, "manifest": None}
    clinic.says("worker-3", status("worker-3", last_release=failed(COMMIT), **empty))
    ran = clinic.satellite("doctor", "--json")
    why = "satellite logs --release --host worker-3"
    assert told(ran) == [("worker-2", "revision", DEPLOYING), ("worker-3", "revision", why)]
    one = ran.json()["findings"][0]
    assert one["why"] == why
    cause = "; the release of 0123456789ab failed on worker-3. Why; and once that is mended all "
    assert one["text"].endswith(f"{cause}hosts to the branch's head:")


def test_a_deploy_that_failed_where_current_was_moved_leads_to_the_last_good_release(
    clinic: Desk,
) -> None:
    clinic.outputs["revision"] = NEW
    says: dict[str, Any] = {"revision": None, "manifest": None, "last_release": failed(NEW)}
    says["good"] = [{"release": "1", "revision": COMMIT}]
    says["findings"] = [{"code": "current_moved", "text": "it is so", "about": "current"}]
    clinic.says("worker-2", status("worker-2", **says))
    assert told(clinic.satellite("doctor", "--json")) == [
        ("worker-2", "current_moved", VISIT),
        ("worker-1", "revision", f"satellite deploy --revision {COMMIT}"),
    ]


def test_what_failed_elsewhere_is_not_brought_by_a_visit(clinic: Desk) -> None:
    clinic.outputs["revision"] = NEW
    clinic.says("worker-1", status("worker-1", last_release=failed(NEW)))
    formation = manifest(processes__worker__quantity="4")
    clinic.says("worker-2", status("worker-2", revision=NEW, manifest=formation))
    assert told(clinic.satellite("doctor", "--json")) == [
        ("worker-1", "revision", f"satellite deploy --revision {COMMIT}"),
        ("worker-2", "formation_differs", f"satellite deploy --revision {COMMIT}"),
    ]
    text = "has another processes.worker.quantity; the hosts run different commits. All "
    found = clinic.satellite("doctor", "--json").json()["findings"][1]
    assert found["text"] == f"{text}hosts back to 0123456789ab:"


def test_while_a_release_runs_nothing_is_to_be_done(clinic: Desk) -> None:
    """On that host, and on those after it."""
    lock = f"release of {NEW[:12]} by ada, since 2026-11-25T10:00:00Z"
    clinic.says("worker-1", status("worker-1", revision=NEW))
    clinic.says("worker-2", status("worker-2", revision=NEW, lock=lock))
    ran = clinic.satellite("doctor", "--json")
    assert told(ran) == [
        ("worker-1", "revision", "satellite doctor"),
        ("worker-2", "revision", "satellite doctor"),
    ]
    for one in ran.json()["findings"]:
        assert one["text"].endswith(f"; worker-2 is at work: {lock}. Look again:")
    clinic.says("worker-1", status("worker-1"))
    clinic.says("worker-2", status("worker-2", revision=NEW, lock="stop worker by ada"))
    assert told(clinic.satellite("doctor", "--json")) == [("worker-2", "revision", DEPLOYING)]


def test_an_older_failure_is_none_of_this_deploy(clinic: Desk) -> None:
    clinic.says("worker-2", status("worker-2", revision=NEW, last_release=failed("a" * 40)))
    assert told(clinic.satellite("doctor", "--json")) == [("worker-2", "revision", DEPLOYING)]


def test_the_stack_is_in_the_command_where_it_was_given(clinic: Desk) -> None:
    clinic.says("worker-2", status("worker-2", revision=NEW))
    (clinic.place / "Pulumi.production.yaml").touch()
    ran = clinic.satellite("doctor", "--stack", "production")
    assert "> satellite up --stack production --again --host worker-2\n" in ran.out


def drifted(code: str, about: str = "") -> Any:
    return status("worker-2", findings=[{"code": code, "text": "it is so", "about": about}])


@pytest.mark.parametrize(
    ("code", "about", "mend"),
    [
        ("unit_edited", "a.service", VISIT),
        ("a code of a newer agent", "", VISIT),
        ("worker_stopped", "worker.1", "satellite start worker.1 --host worker-2"),
        ("worker_down", "worker.1.2", "satellite start worker.1 --host worker-2"),
        ("worker_waiting", "worker.1", "satellite restart worker.1 --host worker-2"),
        ("lock_long", "", "satellite lock release --host worker-2"),
        (
            "drop_in",
            "/a.d/x y.conf",
            "satellite ssh worker-2 -- 'sudo rm '\"'\"'/a.d/x y.conf'\"'\"' && "
            "sudo systemctl daemon-reload'",
        ),
        (
            "unit_replaced",
            "/a/b@1.service",
            "satellite ssh worker-2 -- 'sudo rm /a/b@1.service && sudo systemctl daemon-reload'",
        ),
        (
            "unit_masked",
            "b@1.service",
            "satellite ssh worker-2 -- 'sudo systemctl unmask b@1.service --runtime && "
            "sudo systemctl unmask b@1.service'",
        ),
        ("unit_stopped", "a.timer", VISIT),
        ("metadata_open", "", VISIT),
        (
            "jobs_held",
            "h.m.worker.1.aa",
            "satellite ssh worker-2 -- 'sudo journalctl -n 50 --no-pager -u satellite-shop-reap'",
        ),
        ("not_followed", "", "docs/runbook.md says what to look at"),
        (
            "disk_full",
            "/",
            "satellite ssh worker-2 -- 'sudo journalctl -q --vacuum-size=100M; sudo apt-get clean; "
            "sudo find /app/shop/shared/log -name '\"'\"'*.gz'\"'\"' -delete; "
            "sudo du -xh / | sort -h | tail'",
        ),
        ("read_only", "/", "satellite ssh worker-2 -- 'sudo dmesg -T | tail -n 50'"),
    ],
)
def test_what_a_host_finds_of_itself(clinic: Desk, code: str, about: str, mend: str) -> None:
    clinic.says("worker-2", drifted(code, about))
    ran = clinic.satellite("doctor", "--json")
    assert told(ran) == [("worker-2", code, mend)]
    assert ran.status == 1


@pytest.mark.parametrize(
    ("answer", "code", "mend", "ends"),
    [
        ({"status": 255, "err": "Host key verification failed."}, "host_key", "lost worker-2", 1),
        ({"status": 255, "err": "refused"}, "no_answer", "lost worker-2", 3),
        ({"sleep": 30}, "no_answer", "lost worker-2", 3),
        ({"status": 113}, "not_prepared", "up --same-commit", 1),
        ({"status": 2, "err": "invalid choice: 'status'"}, "agent_older", "up", 1),
        ({"status": 1, "err": "no host.json\n"}, "agent_fails", VISIT.partition(" ")[2], 1),
        (
            {"status": 1, "err": f"{missed()}\n"},
            "state_missing",
            "ssh worker-2 -- 'findmnt --fstab; findmnt --real'",
            1,
        ),
    ],
)
def test_a_host_that_does_not_answer(
    clinic: Desk, answer: dict[str, Any], code: str, mend: str, ends: int
) -> None:
    clinic.hosts["worker-2"] = answer
    ran = clinic.satellite("doctor", "--json", "--timeout", "2")
    assert told(ran) == [("worker-2", code, f"satellite {mend}")]
    assert ran.status == ends


def test_where_no_agent_works_none_is_called_dead_and_it_is_said_that_it_deploys(
    clinic: Desk,
) -> None:
    fails = {"status": 1, "err": "Traceback\nEOFError: marshal data too short\n"}
    clinic.hosts = {"worker-1": fails, "worker-2": fails}
    ran = clinic.satellite("doctor", "--json")
    mends = [f"satellite up --again --host worker-{n}" for n in (1, 2)]
    assert told(ran) == [(f"worker-{n}", "agent_fails", mends[n - 1]) for n in (1, 2)]
    said = "it lets in, and its agent fails: EOFError: marshal data too short. No host says which"
    assert {one["text"] for one in ran.json()["findings"]} == {
        f"{said} commit it goes on with, so this deploys:"
    }
    # of the others it is not known
    found = told(clinic.satellite("doctor", "--host", "worker-2", "--json"))
    assert found == [("worker-2", "agent_fails", VISIT)]


def test_a_host_that_lets_nobody_in(clinic: Desk) -> None:
    clinic.hosts["worker-2"] = {"status": 255, "err": "Permission denied (publickey)."}
    found = told(clinic.satellite("doctor", "--json"))
    assert found == [("worker-2", "login", "docs/runbook.md says what to look at")]


def test_where_the_bastion_is_away_no_host_is_called_dead(clinic: Desk) -> None:
    clinic.outputs["ssh_config"] += "  ProxyJump bastion.shop\n"
    closed = "kex_exchange_identification: Connection closed by remote host\n"
    away = {"status": 255, "err": f"ssh: connect to host 192.0.2.9 port 22: refused\n{closed}"}
    clinic.hosts = {"worker-1": away, "worker-2": {"status": 255, "err": "no route"}}
    ran = clinic.satellite("doctor", "--json")
    look = "docs/runbook.md says what to look at"
    assert told(ran) == [(f"worker-{n}", "no_answer", look) for n in (1, 2)]
    assert ran.status == 3
    assert [one["text"].split(". ") for one in ran.json()["findings"]] == [
        [why, "No host answers: it may be the bastion, or this machine's network"]
        for why in ("the bastion: connect to host 192.0.2.9 port 22: refused", "no route")
    ]
    # what the bastion says of itself is never the host's
    clinic.says("worker-2", status("worker-2"))
    assert told(clinic.satellite("doctor", "--json")) == [("worker-1", "no_answer", look)]
    # and beside one that answers a silent one may be dead
    clinic.hosts["worker-1"] = {"status": 255, "err": "no route"}
    found = told(clinic.satellite("doctor", "--json"))
    assert found == [("worker-1", "no_answer", "satellite lost worker-1")]


def test_where_no_host_answers_none_is_called_dead(clinic: Desk) -> None:
    gone = {"status": 255, "err": "no route"}
    clinic.hosts = {"worker-1": gone, "worker-2": gone}
    ran = clinic.satellite("doctor", "--json")
    look = "docs/runbook.md says what to look at"
    assert told(ran) == [(f"worker-{n}", "no_answer", look) for n in (1, 2)]
    said = "no route. No host answers: it may be this machine's network"
    assert {one["text"] for one in ran.json()["findings"]} == {said}
    # of one that was asked alone it is not known
    found = told(clinic.satellite("doctor", "--host", "worker-1", "--json"))
    assert found == [("worker-1", "no_answer", "satellite lost worker-1")]


def test_an_agent_that_is_older_than_the_command(clinic: Desk) -> None:
    old = status("worker-2")
    for key in ("findings", "clock", "agent", "manifest", "queue"):
        del old[key]
    clinic.says("worker-2", old)
    found = told(clinic.satellite("doctor", "--json"))
    assert found == [("worker-2", "agent_older", "satellite up")]


def test_only_the_hosts_that_are_named_are_asked(clinic: Desk) -> None:
    clinic.outputs["hosts"].append(host("worker-3", "i-3", "", lost=True))
    clinic.says("worker-2", status("worker-2", revision=NEW))
    ran = clinic.satellite("doctor", "--host", "worker-1")
    assert ran.out == "this machine: nothing found\nworker-1: nothing found\n"
    assert "worker-3" not in clinic.satellite("doctor").out


def test_a_clock_that_is_off(clinic: Desk) -> None:
    clinic.says("worker-2", status("worker-2", clock=time.time() - 90))
    ran = clinic.satellite("doctor", "--json")
    assert [(f["host"], f["code"]) for f in ran.json()["findings"]] == [("worker-2", "clock")]
    text = ran.json()["findings"][0]["text"]
    assert re.match(r"its clock is (9|1\d)\d s behind", text)
    assert "systemctl restart chrony" in ran.json()["findings"][0]["mend"]


def test_where_all_are_off_by_the_same_it_is_this_machine(clinic: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        clinic.says(name, status(name, clock=time.time() + 3600))
    found = told(clinic.satellite("doctor", "--json"))
    assert found == [(None, "clock_here", "sudo timedatectl set-ntp true")]


def test_the_time_that_the_way_takes_is_allowed_for(clinic: Desk) -> None:
    clinic.satellite("info")
    fleet = Fleet.of("staging")
    for took, expected in ((1, ["clock"]), (8, [])):
        said = json.dumps(status("worker-2", clock=1000 + took / 2 - 8))
        answer = remote.Answer(out=said, began=1000, ended=1000 + took)
        found = doctor.judged(fleet, {fleet.hosts[1]: answer})
        assert [one.code for one in found] == expected


def test_lines_fit_and_a_command_is_never_broken(clinic: Desk) -> None:
    long = "it was so, " * 30
    finding = {"code": "disk_full", "text": long, "about": "/"}
    clinic.says("worker-2", status("worker-2", findings=[finding]))
    lines = clinic.satellite("doctor").out.splitlines()
    commands = [line for line in lines if line.startswith("    > ")]
    assert len(commands) == 1
    assert max(len(line) for line in lines if line not in commands) < 80


def test_lines_follow_a_narrow_terminal(clinic: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "terminal", lambda: True)
    finding = {"code": "disk_full", "text": "it was so, " * 30, "about": "/"}
    clinic.says("worker-2", status("worker-2", findings=[finding]))
    for columns, longest in (("40", 40), ("200", 79)):
        monkeypatch.setenv("COLUMNS", columns)
        lines = clinic.satellite("doctor").out.splitlines()
        folded = [line for line in lines if not line.startswith("    > ")]
        assert longest - 8 < max(map(len, folded)) <= longest


def test_a_stack_that_cannot_be_read_is_a_finding_too(clinic: Desk) -> None:
    clinic.pulumi["stack output"] = (255, "", "error: incorrect passphrase")
    ran = clinic.satellite("doctor")
    assert ran.status == 1
    assert "stack: incorrect passphrase" in ran.out


def test_each_code_is_in_the_runbook() -> None:
    checkout = Path(__file__).parents[2]
    runbook = (checkout / "docs/runbook.md").read_text("utf-8")
    examine, *here = (
        (checkout / name).read_text("utf-8")
        for name in (
            "satellite_infra/agent/examine.py",
            "satellite_cli/doctor.py",
            "satellite_cli/doctor_local.py",
        )
    )
    codes = {*MENDS, *re.findall(r'Finding\(\s*"(\w+)"', "".join([examine, *here]))}
    codes |= {code for code, _ in STATES.values()} | {"config_changed", "file_changed"}
    assert len(codes) > 30
    assert [code for code in sorted(codes) if f"`{code}`" not in runbook] == []


# this machine


@pytest.fixture
def local(desk: Desk) -> Desk:
    """A machine with an engine that answers, and settings that are not right."""
    desk.pulumi["version"] = (0, "v3.300.0", "")
    desk.pulumi["plugin ls"] = (0, "[]", "")
    desk.pulumi["whoami"] = (0, json.dumps({"url": f"file://{desk.place}/state"}), "")
    desk.pulumi["stack ls"] = (0, "[]", "")
    return desk


def here(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    desk.satellite("info")  # has `pulumi` say what it says
    return doctor_local.examine("staging", 10)


def codes(found: list[Finding]) -> list[str]:
    return [one.code for one in found]


def test_what_is_found_twice_is_told_once(local: Desk) -> None:
    none = "no stack selected; please use `pulumi stack select` to choose one"
    local.pulumi["stack"] = local.pulumi["stack output"] = (255, "", f"error: {none}")
    local.pulumi["config"] = (255, "", "error: no stack selected; and other words")
    ran = local.satellite("doctor", "--json")
    (one,) = ran.json()["findings"]
    assert (ran.status, ran.json()["stack"]) == (1, "")
    assert (one["code"], one["mend"]) == ("settings", "pulumi stack select")


def test_without_the_stacks_file_no_host_is_accused(local: Desk) -> None:
    (local.place / "Pulumi.staging.yaml").unlink()
    local.config.clear()
    told = local.satellite("doctor", "--json").json()
    (one,) = told["findings"]
    assert (told["stack"], one["host"], one["mend"]) == ("staging", None, "git pull")
    assert "Pulumi.staging.yaml is not there" in one["text"]


def test_settings_that_are_not_right(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = here(local, monkeypatch)
    assert (one.code, one.command) == ("settings", RUNBOOK)
    assert "Pulumi.staging.yaml is not right" in one.text


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("incorrect passphrase", "read -rsp 'Passphrase: ' PULUMI_CONFIG_PASSPHRASE; export"),
        ("passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "read -rsp 'Passphrase: '"),
        ("no stack named 'staging' found", "pulumi stack select"),
    ],
)
def test_settings_that_cannot_be_read_are_told_once_with_what_mends_that(
    local: Desk, said: str, mend: str
) -> None:
    wrong = (255, "", f"error: {said}\n")
    local.pulumi |= {"config": wrong, "stack output": wrong, "stack --show-name": wrong}
    found = local.satellite("doctor", "--stack", "staging", "--json").json()["findings"]
    ours = [one for one in found if said in one["text"]]
    assert [one["code"] for one in ours] == ["settings"]
    assert ours[0]["mend"].startswith(mend)


def test_an_engine_that_is_older_than_its_sdk(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    local.pulumi["version"] = (0, "v3.9.0", "")
    assert codes(here(local, monkeypatch)) == ["engine", "settings"]


def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = doctor_local.examine("staging", 10)
    assert codes(found) == ["engine", *["program"] * 5]
    assert found[-1].command == "sudo apt-get install openssh-client"


def test_a_backend_that_does_not_answer(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    local.pulumi["whoami"] = (255, "", "error: no credentials")
    (backend, _) = here(local, monkeypatch)
    assert (backend.code, backend.command) == ("backend", "pulumi login")
    assert backend.text == "the state cannot be reached: error: no credentials"


def test_what_takes_too_long_is_told(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(argv: list[str], seconds: float) -> Any:
        raise subprocess.TimeoutExpired(argv, seconds)

    monkeypatch.setattr(doctor_local, "_said", late)
    found = here(local, monkeypatch)
    assert codes(found) == ["late", "late", "settings"]
    assert found[0].text == "`pulumi version` gives no answer within 10 s"


@pytest.mark.parametrize(
    ("holder", "pid", "hours", "left"),
    [
        (socket.gethostname(), os.getpid(), 9, False),  # it is at work
        (socket.gethostname(), 1 << 22, 0, True),  # past the largest number of a process
        ("laptop", 7, 1, False),
        ("laptop", 7, 9, True),
    ],
    ids=["at work", "dead", "of another", "of another for hours"],
)
def test_a_lock_that_a_killed_update_has_left(
    local: Desk,
    monkeypatch: pytest.MonkeyPatch,
    holder: str,
    pid: int,
    hours: int,
    left: bool,
) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime(time.time() - hours * 3600))
    locked(local, {"pid": pid, "username": "ada", "hostname": holder, "timestamp": at})
    assert ("stack_locked" in codes(here(local, monkeypatch))) == left


def test_a_lock_tells_the_time_by_its_own_machines_clock(
    local: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Go writes it; an update in New York would be five hours old when it begins."""
    west = datetime.now(timezone(timedelta(hours=-5))).isoformat()
    locked(local, {"pid": 7, "username": "ada", "hostname": "laptop", "timestamp": west})
    assert "stack_locked" not in codes(here(local, monkeypatch))


def locked(desk: Desk, held: dict[str, Any]) -> None:
    lock = desk.place / "state/.pulumi/locks/organization/satellite/staging/1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps(held))


def test_git_aws_and_plugins_are_asked_for_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from satellite_infra.settings import validated

    key = host_identity("a seed of at least thirty-two characters", "login").private
    values = {
        "app": "shop",
        "environment": "staging",
        "repository": f"{tmp_path}/nowhere.git",
        "private_key": key,
        "hosts": json.dumps({"a": {"address": "192.0.2.1", "host_key": host_key()}}),
        "processes": json.dumps({"worker": {"quantity": 1}}),
        "host_key_seed": "a seed of at least thirty-two characters",
        "config": json.dumps({"TOKEN": "x"}),
    }
    settings, problems = validated(values, frozenset({"private_key", "host_key_seed", "config"}))
    assert settings, problems
    monkeypatch.setattr(Project, "of", lambda stack: Project(stack, tmp_path / "unread"))
    monkeypatch.setattr(Project, "settings", lambda _: settings)
    monkeypatch.setattr(doctor_local, "_said", lambda *_: (0, "[]", ""))
    found = list(doctor_local._settings("staging", 10))
    assert codes(found) == ["plugin", "git"]  # no instance, so no AWS
    assert found[0].command.startswith("pulumi plugin install resource command ")
    assert "cannot ask" in found[1].text
    monkeypatch.setattr(doctor_local, "_said", lambda *_: (1, "", "\nExpiredToken: it is\n"))
    (aws,) = doctor_local._aws(settings, 10)
    assert aws.text == "AWS does not take the credentials: ExpiredToken: it is"


def host_key() -> str:
    return host_identity("another seed of at least thirty-two", "a").public


def test_each_line_of_a_finding_is_a_line(clinic: Desk) -> None:
    text = (
        "the file is not right:\n  satellite:app: is missing\n  satellite:count: should be "
        + "x " * 40
    )
    clinic.says("worker-2", status("worker-2", findings=[{"code": "c", "text": text, "about": ""}]))
    lines = clinic.satellite("doctor").out.splitlines()[3:]
    assert lines[:2] == ["  c: the file is not right:", "    satellite:app: is missing"]
    assert [line[:6].strip() != "" for line in lines[2:4]] == [True, False]
    assert all(len(line) < 80 for line in lines)


def test_a_stack_that_was_never_up_is_mended_by_up(clinic: Desk) -> None:
    clinic.outputs = {}
    ran = clinic.satellite("doctor", "--json", "-s", "staging")
    assert told(ran) == [(None, "stack", "satellite up --stack staging")]


def test_a_lock_that_a_killed_first_update_has_left(clinic: Desk) -> None:
    clinic.outputs = {}
    held = clinic.place / "state/.pulumi/locks/organization/satellite/staging/a.json"
    held.parent.mkdir(parents=True)
    held.write_text(json.dumps({"pid": 1, "username": "ada", "hostname": "elsewhere"}))
    clinic.pulumi |= {
        "whoami": (0, json.dumps({"url": f"file://{clinic.place}/state"}), ""),
        "stack ls": (0, "[]", ""),
        "cancel": (0, "", ""),
    }
    ran = clinic.satellite("lock", "status")
    assert (ran.status, "ada@elsewhere (pid 1)" in ran.out) == (0, True)
    ran = clinic.satellite("lock", "release", "--yes")
    assert (ran.status, ran.out) == (0, "staging: released; the next: satellite up\n")
    clinic.pulumi["stack output"] = (255, "", "error: incorrect passphrase")
    ran = clinic.satellite("lock", "status")
    assert (ran.status, "incorrect passphrase" in ran.err) == (1, True)


def test_the_stack_stands_where_the_command_takes_it(clinic: Desk) -> None:
    findings = [{"code": code, "text": "", "about": ""} for code in ("lock_long", "disk_low")]
    clinic.says("worker-2", status("worker-2", findings=findings))
    mends = [mend for _, _, mend in told(clinic.satellite("doctor", "--json", "-s", "staging"))]
    assert mends[0] == "satellite lock release --stack staging --host worker-2"
    assert mends[1].startswith("satellite ssh --stack staging worker-2 -- ")
