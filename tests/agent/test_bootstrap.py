"""All steps of bootstrap on a machine that is a directory: once, again, and cut off anywhere."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import authorized, storage
from satellite_infra.agent.bootstrap import STEPS, bootstrap
from satellite_infra.agent.bootstrap_manifest import AptSource, Monit, Queue, Rotation, Watch
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.preparation import Preparation
from satellite_infra.agent.system import CommandError, UnitState
from tests.agent.conftest import Killed
from tests.agent.machine import Machine, files, new_machine, preparation

NAMES = [name for name, _ in STEPS]
SOURCE = AptSource("pgdg", "https://apt.example.com/debian", "bookworm-pgdg", ("main",), "KEY\n")
MONIT = Monit(
    mail_to=("ops@example.com", "ada@example.com"),
    mail_from="satellite@example.com",
    smtp_host="smtp.example.com",
    smtp_port=587,
    smtp_tls=True,
    watches=(Watch("worker", "300M", "90%", 1), Watch("mailer", restarts=3)),
)
ROTATION = Rotation("shop-staging", minutes=60, place=2, hosts=3, token="0123456789abcdef")
QUEUE = Queue("default", every_minutes=5, sql="SELECT 1, 2")
NEVER = {"cloud-init", "environment", "ruby"}  # nothing to wait for or to refuse, none declared


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return new_machine(tmp_path / "machine", monkeypatch)


def whole(machine: Machine, number: str = "i-1", **changes: str) -> Preparation:
    """Something to do in each step, but for those that never have."""
    packages = ("libpq-dev", "ruby=1:3.1")
    found = preparation(
        machine,
        apt_sources=(SOURCE,),
        packages=packages,
        monit=MONIT,
        rotation=ROTATION,
        queue=QUEUE,
        **changes,
    )
    return found._replace(bundle={**found.bundle, "machine": number})


def identity(host: Preparation) -> dict[str, str]:
    return Ledger(host.layout).identity()


def test_each_step_says_what_it_did_and_the_last_line_sums_up(machine: Machine) -> None:
    lines = bootstrap(whole(machine)).splitlines()
    did = {name: "already right" if name in NEVER else "changed" for name in NAMES}
    assert lines[:-1] == [f"{name}: {what}" for name, what in did.items()]
    changed = ", ".join(name for name in NAMES if name not in NEVER)
    assert lines[-1] == f"changed: {changed}; already right: cloud-init, environment, ruby"


def test_each_step_is_named_as_it_begins(machine: Machine) -> None:
    began: list[str] = []
    bootstrap(whole(machine), began.append)
    assert began == list(NAMES)


def test_it_says_for_which_app_it_waits(machine: Machine) -> None:
    began: list[str] = []
    waits = threading.Event()

    def hear(name: str) -> None:
        began.append(name)
        waits.set()

    def other(name: str) -> None:
        if not threads:  # once, in the middle
            threads.append(threading.Thread(target=bootstrap, args=(whole(machine), hear)))
            threads[0].start()
            assert waits.wait(60)

    threads: list[threading.Thread] = []
    bootstrap(preparation(machine, app="other"), other)
    threads[0].join()
    assert re.fullmatch(r"waiting for bootstrap of other, since .+", began[0])
    assert began[1:] == list(NAMES)


def test_an_app_may_be_called_bootstrap(machine: Machine) -> None:
    host = preparation(machine, app="bootstrap")
    bootstrap(host)
    with storage.locked(host.layout.lock):  # as a release does
        bootstrap(host)


def test_a_second_run_changes_nothing_and_asks_no_network(machine: Machine) -> None:
    bootstrap(whole(machine))
    before, machine.calls = files(machine.root), []
    last = bootstrap(whole(machine)).splitlines()[-1]
    assert last == f"changed: nothing; already right: {', '.join(NAMES)}"
    assert files(machine.root) == before
    assert {call[:2] for call in machine.calls} == {("systemctl", "show")}


def test_a_failure_names_its_step(machine: Machine) -> None:
    machine.visudo = 1, "shop: syntax error near line 3\n"
    with pytest.raises(CommandError) as failure:
        bootstrap(whole(machine))
    assert str(failure.value) == (
        "bootstrap FAILED in step `sudo`: visudo does not take the file for shop: "
        "shop: syntax error near line 3"
    )
    assert not (machine.root / "etc/sudoers.d/satellite-shop").exists()


def test_a_host_of_another_environment_is_not_taken_over(machine: Machine) -> None:
    """A copied stack file still has the address of the other's host."""
    theirs = whole(machine, environment="production", number="1")
    bootstrap(theirs)
    before = files(machine.root)
    mine = whole(machine, number="1")
    with pytest.raises(CommandError) as failure:
        bootstrap(mine)
    assert str(failure.value) == (
        "bootstrap FAILED in step `environment`: this host is prepared for shop production, and "
        "this stack is staging: correct satellite:hosts.worker-1.address; to have this host here, "
        "destroy it there first; where only the environment's name is another, write it into "
        f"{mine.layout.identity}"
    )
    assert files(machine.root) == before
    bootstrap(theirs)  # which goes on

    storage.write_json(mine.layout.identity, {**identity(theirs), "environment": "staging"})
    bootstrap(mine)
    assert identity(mine)["environment"] == "staging"


def test_a_host_that_was_drained_may_be_another_environments(machine: Machine) -> None:
    theirs = whole(machine, environment="production", number="1")
    bootstrap(theirs)
    ledger = Ledger(theirs.layout)
    ledger.mark_phase("a" * 40)
    good = {"outcome": "good", "release": "1-a", "revision": "a" * 40}
    storage.write_json(theirs.layout.good, [])
    theirs.layout.current.symlink_to(theirs.layout.releases / "1-a")
    ledger.record(**good)
    assert ledger.ever_good()
    ledger.record("drained", workers=2)
    mine = whole(machine, number="1")
    bootstrap(mine)
    assert identity(mine)["environment"] == "staging"
    # of theirs nothing is gone back to, and no release phase has run here
    assert not ledger.ever_good()
    assert not ledger.phase_succeeded("a" * 40)
    assert not ledger.current()
    bootstrap(theirs)  # nothing has run here since
    bootstrap(mine)
    storage.write_json(mine.layout.good, [])
    with pytest.raises(CommandError, match="is prepared for shop staging, and this stack is prod"):
        bootstrap(theirs)


def test_over_the_empty_place_of_a_disk_nothing_is_written_while_workers_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written there it would be a new host, whose first release may stop what has no way back."""
    host = whole(machine)
    before = files(machine.root)
    unit = UnitState("satellite-shop.worker@1.service", "active", "running", 7, 0, "x", False)
    monkeypatch.setattr(machine, "units", lambda _: {unit.name: unit})
    with pytest.raises(CommandError, match="in step `environment`: nothing was changed: workers"):
        bootstrap(host)
    changed = {name for name in files(machine.root) if name not in before}
    assert not any("var/lib/satellite" in name for name in changed), changed
    other = unit._replace(name="satellite-other.worker@1.service")
    monkeypatch.setattr(machine, "units", lambda _: {other.name: other})
    bootstrap(host)
    monkeypatch.setattr(machine, "units", lambda _: {unit.name: unit})
    bootstrap(host)  # a first release is under way, which its journal tells


def test_the_same_host_may_have_another_name_and_number(machine: Machine) -> None:
    bootstrap(whole(machine, number="1"))
    other = whole(machine, host="rented", number="2")
    bootstrap(other)
    assert (identity(other)["host"], identity(other)["machine"]) == ("rented", "2")


def test_an_instance_is_its_own_stacks(machine: Machine) -> None:
    """Of a renamed stack, or of an image that another environment's host became."""
    bootstrap(whole(machine, environment="production", number="i-0a1"))
    mine = whole(machine, number="i-0b2")
    bootstrap(mine)
    assert (identity(mine)["environment"], identity(mine)["machine"]) == ("staging", "i-0b2")


def test_an_instance_whose_stack_was_renamed_keeps_what_it_runs(machine: Machine) -> None:
    theirs = whole(machine, environment="production", number="i-0a1")
    bootstrap(theirs)
    Ledger(theirs.layout).mark_phase("a" * 40)
    bootstrap(whole(machine, number="i-0a1"))
    assert Ledger(theirs.layout).phase_succeeded("a" * 40)


def test_an_app_may_be_called_as_an_older_agents_lock(machine: Machine) -> None:
    host = whole(machine)
    old = host.layout.run.parent / "bootstrap"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.touch()
    bootstrap(host)
    storage.directory(old, 0o700)  # as its release would


@pytest.mark.parametrize("damaged", ["", '{\n "app": "sh', "null", "[]", "{}", '"x"', "\0"])
@pytest.mark.parametrize("name", ["identity", "logins"])
def test_what_is_damaged_is_written_anew(machine: Machine, name: str, damaged: str) -> None:
    bootstrap(whole(machine))
    before = files(machine.root)
    getattr(whole(machine).layout, name).write_text(damaged)
    bootstrap(whole(machine))
    assert files(machine.root) == before


class Axe:
    """Kills the program after so many of the things that it does to the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.left: int | None = None
        self.count = 0
        deeds = [
            (storage, ("write", "remove", "remove_tree", "point", "directory")),
            (authorized, ("authorize",)),
            (Machine, ("run", "systemctl")),
        ]
        for owner, names in deeds:
            for name in names:
                monkeypatch.setattr(owner, name, self.falls_after(getattr(owner, name)))
        monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut here

    def falls_after(self, deed: Callable[..., Any]) -> Callable[..., Any]:
        def do(*args: Any, **kwargs: Any) -> Any:
            result = deed(*args, **kwargs)
            self.count += 1
            if self.count == self.left:
                raise Killed
            return result

        return do


def test_cut_off_after_anything_it_does_the_next_run_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axe = Axe(monkeypatch)

    def result(folder: str, left: int | None) -> tuple[object, ...]:
        machine = new_machine(tmp_path / folder, monkeypatch)
        axe.count, axe.left = 0, left
        if left:
            with pytest.raises(Killed):
                bootstrap(whole(machine))
            axe.left = None
        bootstrap(whole(machine))
        assert machine.read == machine.units_on_disk()
        touched = {c for c in machine.calls if c[0] == "systemctl" and c[1] not in HARMLESS}
        assert touched <= {
            ("systemctl", "restart", "satellite-shop-metadata.service"),
            ("systemctl", "restart", "monit.service"),
            ("systemctl", "start", "--", "satellite-shop-rotate.timer"),
            ("systemctl", "restart", "satellite-shop-queue.timer"),
        }
        assert ("systemctl", "restart", "monit.service") in touched
        assert ("systemctl", "start", "--", "satellite-shop-rotate.timer") in touched
        assert ("systemctl", "restart", "satellite-shop-queue.timer") in touched
        fetched = ("apt-get", "-o", "APT::Update::Error-Mode=any", "update") in machine.calls
        found = str(sorted(files(machine.root).items())).replace(str(machine.root), "")
        found = re.sub("[0-9a-f]{64}", "", found)  # some hold the machine's root
        return machine.installed, len(machine.tables), fetched, found

    expected = result("whole", None)
    deeds = axe.count
    assert deeds > 40
    for left in range(1, deeds + 1):
        assert result(f"cut-{left}", left) == expected, left


HARMLESS = {"daemon-reload", "show"}
