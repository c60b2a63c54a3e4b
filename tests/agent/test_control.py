"""Workers stopped, started and restarted by a person; what the host says of itself."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from satellite_infra.agent import backoff, control, state, storage
from satellite_infra.agent.control import Control
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.manifest import Process
from satellite_infra.agent.release import Release
from tests.agent.conftest import FakeSystem, Origin, request

ONE, TWO = ("satellite-shop.worker@1.service", "satellite-shop.worker@2.service")
MAIL = "satellite-shop.mailer@1.service"
TWO_TYPES = (Process("worker", 2, grace=5), Process("mailer", 1, grace=5))


@pytest.fixture
def host(layout: Layout, system: FakeSystem, origin: Origin) -> Control:
    """Two workers and a mailer run the first commit."""
    Release(layout, system, lambda _: None).run(
        request(origin, origin.commit(), processes=TWO_TYPES)
    )
    return Control(layout, system, lambda _: None)


def states(host: Control) -> dict[str, str]:
    found = state.report(host.layout, host.system)["workers"]
    return {worker["name"]: worker["state"] for worker in found}


def wanted(host: Control) -> list[str]:
    text = (host.layout.units / host.layout.target).read_text()
    return [line.removeprefix("Wants=") for line in text.splitlines() if "Wants=" in line]


def running(host: Control) -> set[str]:
    assert isinstance(host.system, FakeSystem)
    return set(host.system.running())


def test_a_stopped_type_is_not_started_by_the_next_boot(host: Control) -> None:
    assert host.stop(["worker"], "ada@laptop") == (
        "stopped worker.1, worker.2, until `start` or the next release"
    )
    assert running(host) == {MAIL}
    assert wanted(host) == [MAIL]
    assert states(host) == {"mailer.1": "running", "worker.1": "stopped", "worker.2": "stopped"}
    last = Ledger(host.layout).history()[-1]
    assert (last["outcome"], last["names"], last["by"]) == (
        "stopped",
        ["worker.1", "worker.2"],
        "ada@laptop",
    )


def test_what_is_stopped_is_said_and_not_done_twice(host: Control) -> None:
    host.stop(["worker.2"])
    lines = len(Ledger(host.layout).history())
    assert host.stop(["worker.2"]) == "stopped already: worker.2"
    assert len(Ledger(host.layout).history()) == lines


def test_start_brings_back_what_was_named_and_no_more(host: Control) -> None:
    host.stop([])
    assert running(host) == set()
    assert host.start(["worker.2"]) == "started worker.2"
    assert running(host) == {TWO}
    assert wanted(host) == [TWO]
    assert host.start([]) == "started mailer.1, worker.1"
    assert running(host) == {ONE, TWO, MAIL}
    assert sorted(wanted(host)) == sorted([ONE, TWO, MAIL])
    assert host.start([]) == "started already: worker.1, worker.2, mailer.1"


def test_restart_leaves_what_is_stopped(host: Control) -> None:
    host.stop(["mailer"])
    backoff.count(host.layout, ONE, 0)
    assert isinstance(host.system, FakeSystem)
    before = host.system.starts
    assert host.restart([]) == "restarted worker.1, worker.2; stopped, and stays so: mailer.1"
    assert host.system.starts == before + 2
    assert backoff.ends(host.layout, ONE) == 0
    assert running(host) == {ONE, TWO}


def test_the_next_release_starts_what_is_stopped(host: Control, origin: Origin) -> None:
    host.stop([])
    Release(host.layout, host.system, lambda _: None).run(
        request(origin, origin.commit(a="b"), processes=TWO_TYPES)
    )
    assert running(host) == {ONE, TWO, MAIL}


def test_without_waiting_the_grace_goes_on(host: Control) -> None:
    assert isinstance(host.system, FakeSystem)
    host.system.slow = True
    host.wait = False
    assert host.stop(["mailer"]) == (
        "stopped mailer.1, until `start` or the next release, and each ends within its grace"
    )
    assert states(host)["mailer.1"] == "ending"


def test_every_wrong_name_is_told(host: Control) -> None:
    with pytest.raises(ValueError, match="web: should be") as problem:
        host.stop(["web", "worker.3", "worker.x", "mailer"])
    assert str(problem.value) == (
        "web: should be a process type (worker, mailer), or one with a number; "
        "worker.3: its number should be from 1 to 2; worker.x: its number should be from 1 to 2"
    )
    assert running(host) == {ONE, TWO, MAIL}


def test_nothing_is_controlled_before_the_first_release(layout: Layout, system: FakeSystem) -> None:
    with pytest.raises(LookupError, match="no release runs here yet"):
        Control(layout, system, lambda _: None).stop([])


def test_nothing_is_controlled_while_current_is_no_release(host: Control) -> None:
    host.layout.current.unlink()
    host.layout.current.symlink_to("/somewhere/else")
    for act in (host.stop, host.start, host.restart):
        with pytest.raises(LookupError, match="is no release, or its manifest cannot be read"):
            act([])
    assert running(host) == {ONE, TWO, MAIL}


def test_a_host_says_what_it_is(host: Control) -> None:
    found = state.report(host.layout, host.system)
    current = Ledger(host.layout).current()
    assert (found["host"], found["machine"], found["environment"]) == ("h", "m", "test")
    assert found["current"] == current
    assert found["good"] == [{"release": current, "revision": found["revision"]}]
    assert (found["unfinished"], found["lock"]) == (False, None)
    last = found["last_release"]
    assert (last["outcome"], last["revision"]) == ("good", found["revision"])
    worker = found["workers"][1]
    assert (worker["name"], worker["unit"], worker["pid"]) == ("worker.1", ONE, os.getpid())
    assert worker["revision"] == found["revision"]


def test_a_host_without_a_release_says_so(layout: Layout, system: FakeSystem) -> None:
    found = state.report(layout, system)
    assert (found["current"], found["revision"], found["workers"]) == (None, None, [])
    assert found["last_release"] is None


def test_what_an_operator_did_is_no_release(host: Control) -> None:
    Ledger(host.layout).record("failed", revision="f" * 40, phase="gate", reason="it ended")
    host.stop([])
    last = state.report(host.layout, host.system)["last_release"]
    assert (last["outcome"], last["revision"]) == ("failed", "f" * 40)


def test_a_lock_is_looked_up_and_not_tried(layout: Layout) -> None:
    assert state.lock(layout) is None
    with storage.locked(layout.lock, "release of abc"):
        held = state.lock(layout)
        assert held is not None
        assert held.startswith("release of abc, since ")
        with layout.lock.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert state.lock(layout) is None


def test_one_that_waits_for_the_lock_holds_none(layout: Layout, tmp_path: Path) -> None:
    layout.lock.touch()
    found = layout.lock.stat()
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    locks = tmp_path / "locks"
    locks.write_text(f"1: -> FLOCK  ADVISORY  WRITE 7 {where} 0 EOF\n")
    assert state.lock(layout, locks) is None
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 7 {where} 0 EOF\n")
    assert state.lock(layout, locks) == "other work"


def test_an_ended_release_says_what_runs_now(host: Control) -> None:
    text = control.end_release(host.layout, host.system, host.say)
    assert text == "no release runs here"
