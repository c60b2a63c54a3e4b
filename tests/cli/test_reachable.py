"""A change of all hosts is refused at once where some do not answer as themselves."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path

import pytest

from satellite_cli import reachable
from satellite_cli.fleet import Fleet
from satellite_cli.project import Project
from satellite_cli.reachable import Check, Gate, hosts_found
from tests.cli.conftest import COMMIT, Desk, status
from tests.cli.test_change import changing as changing
from tests.cli.test_change import good

REFUSAL = """\
error: nothing was changed: these hosts do not answer as themselves
  worker-1: it shows another host key than the pinned one; nothing was sent: satellite preview
  worker-2: connect to host 192.0.2.2 port 22: Connection refused
  Look at one: satellite doctor --host worker-1
  Is one, or are several, dead for good: satellite lost HOST...
  satellite up waits for them, and does what the stack's file says
"""


AWAY = (
    "ssh: connect to host 192.0.2.9 port 22: Connection refused\n"
    "kex_exchange_identification: Connection closed by remote host\n"
)
NOBODY = """\
error: nothing was changed: no host answers
  worker-1: the bastion: connect to host 192.0.2.9 port 22: Connection refused
  worker-2: no answer from beyond
  It may be the bastion, or this machine's network: look there first
  To ask all hosts again: satellite doctor
"""


OFFLINE = """\
error: nothing was changed: no host answers
  worker-1: connect to host 192.0.2.2 port 22: Network is unreachable
  worker-2: connect to host 192.0.2.2 port 22: Network is unreachable
  It may be this machine's network: look there first
  To ask all hosts again: satellite doctor
  Only where they are dead all the same: satellite lost HOST...
"""


@pytest.fixture
def down(changing: Desk) -> Desk:
    """One whose hosts are another machine, and down."""
    changing.hosts = {
        "worker-1": {"status": 255, "err": "Host key verification failed.\n"},
        "worker-2": {
            "status": 255,
            "err": "ssh: connect to host 192.0.2.2 port 22: Connection refused\n",
        },
    }
    return changing


@pytest.mark.parametrize(
    "words", [["deploy"], ["rollback"], ["scale", "worker=4"], ["deploy", "--revision", "f" * 40]]
)
@pytest.mark.parametrize("runtime", ["python", "nodejs"])
def test_every_host_that_does_not_answer_is_named(
    down: Desk, words: list[str], runtime: str
) -> None:
    (down.place / "Pulumi.yaml").write_text(f"runtime: {runtime}\n")
    ran = down.satellite(*words, "--yes")
    assert ran.status == 1
    assert ran.err.endswith(REFUSAL)
    assert down.settings() == "config:\n"


@pytest.mark.parametrize("words", [["deploy"], ["rollback"]])
def test_where_no_host_answers_it_may_be_this_machines_network(
    changing: Desk, words: list[str]
) -> None:
    gone = {"status": 255, "err": "connect to host 192.0.2.2 port 22: Network is unreachable\n"}
    changing.hosts = {"worker-1": gone, "worker-2": gone}
    ran = changing.satellite(*words, "--yes")
    assert (ran.status, ran.err) == (1, OFFLINE)
    # a host that shows a key, be it the wrong one, was reached
    changing.hosts["worker-1"] = {"status": 255, "err": "Host key verification failed.\n"}
    assert "Is one, or are several, dead for good" in changing.satellite(*words, "--yes").err


@pytest.mark.parametrize("words", [["deploy"], ["rollback"]])
def test_where_the_bastion_is_away_no_host_is_called_dead(changing: Desk, words: list[str]) -> None:
    changing.outputs["ssh_config"] += "  ProxyJump bastion.shop\n"
    changing.hosts = {
        "worker-1": {"status": 255, "err": AWAY},
        "worker-2": {"status": 255, "err": "no answer from beyond\n"},
    }
    ran = changing.satellite(*words, "--yes")
    assert (ran.status, ran.err) == (1, NOBODY)
    # a host that shows its key, be it the wrong one, was reached
    changing.hosts["worker-1"] = {"status": 255, "err": "Host key verification failed.\n"}
    assert "dead for good: satellite lost" in changing.satellite(*words, "--yes").err


def test_all_hosts_together_have_so_long(changing: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reachable.SECONDS == 15
    monkeypatch.setattr(reachable, "SECONDS", 1)
    for name in ("worker-1", "worker-2"):
        changing.hosts[name] = {"sleep": 600}
    ran = changing.satellite("deploy", "--yes")
    assert ran.status == 1
    assert "worker-1: no answer within 1 s\n  worker-2: no answer within 1 s\n" in ran.err


@pytest.mark.parametrize("words", [["deploy"], ["rollback"]])
def test_who_answers_is_told_to_the_program(changing: Desk, words: list[str]) -> None:
    (changing.place / "Pulumi.yaml").write_text("runtime: nodejs\n")  # it starts after the check
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good("a" * 40, COMMIT)))
    before = time.time()
    assert changing.satellite(*words, "--yes").status == 0
    told = json.loads((changing.place / "answered").read_text())
    assert told["text"] == (
        "192.0.2.1 22 ssh-ed25519 AAAAone\n192.0.2.2 2222 ssh-ed25519 AAAAtwo\n"
    )
    assert before - 1 < told["at"] < time.time() + 1
    assert not Path(told["path"]).exists()


def test_who_does_not_answer_is_not_told(changing: Desk, tmp_path: Path) -> None:
    changing.hosts["worker-2"] = {"status": 255, "err": "Connection refused\n"}
    assert changing.satellite("preview").status == 0  # the fakes know what they say
    project = Project.of("staging")
    outputs = functools.partial(Fleet.outputs, "--stack", "staging")
    found = hosts_found(project, project.config(), outputs)
    assert found.silent == {"worker-2": "Connection refused"}
    assert found.answered == ["192.0.2.1 22 ssh-ed25519 AAAAone"]
    check = Check.of(project, strict=False)
    check.told(project.config)
    check.end()
    assert Gate(check, tmp_path / "file").passed()
    assert (tmp_path / "file").read_text() == "192.0.2.1 22 ssh-ed25519 AAAAone\n"


def test_a_host_that_lets_in_and_runs_nothing_does_not_answer(changing: Desk) -> None:
    changing.hosts["worker-2"] = {"status": 1, "out": "This account is currently not available.\n"}
    ran = changing.satellite("deploy", "--yes")
    assert ran.status == 1
    assert (
        "worker-2: lets in, and `true` ends with status 1 there: "
        "This account is currently not available.\n" in ran.err
    )


def test_up_only_warns(down: Desk) -> None:
    down.hosts["worker-2"]["sleep"] = 1  # by then the engine has ended
    ran = down.satellite("up", "--yes")
    assert ran.status == 0, ran
    assert "warning: worker-2 does not answer now: connect to host" in ran.err


@pytest.mark.parametrize(
    "known",
    [
        {"roll": ["worker-1", "worker-2"]},
        {"hosts": {"worker-1": {"lost": True}, "worker-2": {"lost": True}}},
    ],
)
def test_nobody_asks_a_host_that_is_given_up(down: Desk, known: dict[str, object]) -> None:
    down.config |= {f"satellite:{key}": {"value": json.dumps(v)} for key, v in known.items()}
    ran = down.satellite("deploy", "--yes")
    assert (ran.status, ran.err) == (0, "")


def test_a_deploy_to_some_asks_these_alone(down: Desk) -> None:
    down.hosts["worker-2"] = {}
    ran = down.satellite("deploy", "--host", "worker-2", "--revision", "f" * 40, "--yes")
    assert "do not answer as themselves" not in ran.err


def test_a_stack_that_was_never_up_has_no_hosts(down: Desk) -> None:
    down.outputs = {}
    assert down.satellite("deploy", "--yes").status == 0


def test_a_rollback_asks_each_host_once(changing: Desk) -> None:
    for name in ("worker-1", "worker-2"):
        changing.says(name, status(name, good=good(COMMIT, "f" * 40)))
    assert changing.satellite("rollback", "f" * 12, "--yes").status == 0
    assert "status" in str(changing.seen("worker-1")["command"])  # and no other question after it
