"""Draining ends the workers of this machine, and of no other."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from satellite_infra.agent import notes, storage
from satellite_infra.agent.drain import drain
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger, Target
from satellite_infra.agent.release import Release, recover
from satellite_infra.agent.release_manifest import Process
from satellite_infra.agent.system import UnitState
from tests.agent.conftest import FakeSystem, Origin, request
from tests.agent.test_control import queued


def test_all_workers_end_and_do_not_come_back_at_boot(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    wanted = request(origin, origin.commit())
    Release(layout, system, lambda _: None).run(wanted)
    Ledger(layout).open_journal(Target("a-release-that-was-stopped", wanted.manifest))
    assert drain(layout, "h", "m", system, lambda _: None) == "drained, 2 workers ended"
    assert system.running() == {}
    recover(layout, system, lambda _: None)  # one that waited for the drain
    assert system.running() == {}
    assert not (layout.units / "multi-user.target.wants" / layout.target).exists()
    last = json.loads(layout.history.read_text().splitlines()[-1])
    assert (last["outcome"], last["workers"]) == ("drained", 2)
    assert drain(layout, "h", "m", system, lambda _: None) == "drained, 0 workers ended"
    # a host that comes back into the stack runs again
    Release(layout, system, lambda _: None).run(wanted)
    assert len(system.running()) == 2
    assert (layout.units / "multi-user.target.wants" / layout.target).exists()


def test_on_a_disk_that_is_read_only_all_workers_end_and_what_they_held_is_given_back(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    storage.write_json(layout.heroku, {})
    dead = notes.Note("dead.1", "gone", 1, "r1", "s", 1, "1", "old", on_kill="echo $DEAD_WORKERS")
    storage.write_json(layout.notes / "dead.1.json", dead._asdict())
    remove = storage.remove

    def fixed(path: Path) -> bool:
        if layout.run not in path.parents and path.exists():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return remove(path)

    monkeypatch.setattr(storage, "remove", fixed)
    said: list[str] = []
    assert drain(layout, "h", "m", system, said.append) == "drained, 2 workers ended"
    assert system.running() == {}
    assert said == [
        f"{layout.heroku} cannot be removed: Read-only file system",
        f"{layout.wants / layout.target} cannot be removed: Read-only file system",
        "draining 2 workers",
        "dead.1",
    ]
    assert notes.of(layout) == []


def test_the_recovery_of_a_release_that_it_ends_starts_nobody(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was started in between would take jobs, and have its whole grace once more."""
    wanted = request(origin, origin.commit())
    Release(layout, system, lambda _: None).run(wanted)
    Ledger(layout).open_journal(Target("a-release-that-was-stopped", wanted.manifest))
    starts, systemctl = system.starts, system.systemctl

    def stop(*words: str) -> None:
        if words == ("stop", "--", layout.release_unit):
            del system.loaded[layout.release_unit]
            assert recover(layout, system, lambda _: None).endswith("it is being drained")
            return
        systemctl(*words)

    unit = UnitState(layout.release_unit, "active", "running", 1, 0, "", False)
    system.loaded[layout.release_unit] = unit
    monkeypatch.setattr(system, "systemctl", stop)
    assert drain(layout, "h", "m", system, lambda _: None) == "drained, 2 workers ended"
    assert system.starts == starts
    assert not layout.draining.exists()


def test_what_systemd_has_still_to_start_is_drained(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """As while a boot waits for the network."""
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    queued(system)
    assert drain(layout, "h", "m", system, lambda _: None) == "drained, 2 workers ended"
    assert system.loaded == {}


def test_another_machine_behind_the_address_is_left_alone(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    said = drain(layout, "h", "i-old", system, lambda _: None)
    assert said == "this is h, machine m, not h, machine i-old: nothing to drain"
    # an existing host under another name: its machine number is the same
    said = drain(layout, "old-name", "m", system, lambda _: None)
    assert said == "this is h, machine m, not old-name, machine m: nothing to drain"
    assert len(system.running()) == 2


def test_a_machine_does_not_go_before_the_jobs_of_its_dead_are_given_back(
    layout: Layout, system: FakeSystem, origin: Origin, tmp_path: Path
) -> None:
    queue = tmp_path / "queue"
    on_kill = f"test -e {queue} && echo $DEAD_WORKERS >> {queue}"
    processes = (Process("worker", 2, on_kill=on_kill),)
    wanted = request(origin, origin.commit(), processes=processes)
    Release(layout, system, lambda _: None).run(wanted)
    note = notes.of(layout)[0]._replace(name="dead", number=9, boot="old", on_kill=on_kill)
    storage.write_json(layout.notes / "dead.json", note._asdict())
    before = system.clock
    with pytest.raises(TimeoutError, match="could not be given back within 60 s"):
        drain(layout, "h", "m", system, lambda _: None)
    assert 60 <= system.clock - before < 63
    assert system.running() == {}
    queue.touch()
    assert drain(layout, "h", "m", system, lambda _: None) == "drained, 0 workers ended"
    assert queue.read_text() == "dead\n"
    assert notes.of(layout) == []


def test_a_machine_that_was_never_prepared(layout: Layout, system: FakeSystem) -> None:
    storage.remove(layout.identity)
    assert drain(layout, "h", "m", system, lambda _: None) == "not prepared: nothing to drain"
