"""What a host finds of itself that is not as its last release and bootstrap made it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from satellite_infra.agent import (
    backoff,
    converge,
    examine,
    install,
    installed,
    jobs,
    notes,
    seal,
    state,
    storage,
)
from satellite_infra.agent.control import Control
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release, Request
from satellite_infra.agent.release_manifest import ConfigFile
from satellite_infra.agent.system import UnitState
from tests.agent.conftest import HERE, FakeSystem, Origin, request
from tests.agent.machine import new_machine, preparation

FILE = ConfigFile("config/database.yml", "digest", "0640", "app")
TEMPLATES = {FILE.path: "token: {{ TOKEN | json }}\n"}


@dataclass
class Known(FakeSystem):
    """A systemd that says what it knows of units, as the real one does; `known`: what differs."""

    known: dict[str, dict[str, str]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    def systemctl(self, *argv: str) -> str:
        if argv[0] != "show" or self.layout.target not in argv:
            return super().systemctl(*argv)
        loaded = [name for name in self.loaded if name not in argv]
        named = [name for name in argv[argv.index("--") + 1 :] if "*" not in name]
        return "\n".join(self._block(name) for name in [*named, *loaded])

    def _block(self, name: str) -> str:
        path = self.layout.units / re.sub("@.*service", "@.service", name)
        block = {
            "Id": name,
            "LoadState": "loaded" if path.exists() else "not-found",
            "FragmentPath": str(path) if path.exists() else "",
            "DropInPaths": "",
            "ActiveState": "active",
            "NeedDaemonReload": "no",
            **self.known.get(name, {}),
        }
        return "".join(f"{key}={value}\n" for key, value in block.items())

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        if argv[:2] == ["nft", "list"]:
            return int(argv[-1] not in self.tables), ""
        return super().output(argv)


@pytest.fixture
def system(layout: Layout) -> Known:
    return Known(layout)


@pytest.fixture
def wanted(origin: Origin) -> Request:
    whole = request(origin, origin.commit(), config_files=(FILE,))
    return Request(whole.manifest, whole.config, templates=TEMPLATES)


@pytest.fixture
def host(layout: Layout, system: FakeSystem, wanted: Request) -> Layout:
    """One that runs a release with a config file, as it should."""
    Release(layout, system, lambda _: None).run(wanted)
    storage.write(layout.sudoers, "may look", 0o440)
    seal.write(layout.seal, [layout.sudoers])
    layout.wants.mkdir(exist_ok=True)
    return layout


def codes(host: Layout, system: FakeSystem) -> list[tuple[str, str]]:
    found = state.report(host, system)["findings"]
    assert "canary-value" not in str(found)
    return [(one["code"], Path(one["about"]).name) for one in found]


def release(host: Layout) -> str:
    last = Ledger(host).last_good()
    assert last
    return last.release


def unit(host: Layout) -> Path:
    return host.units / host.template_unit("worker")


def edit(path: Path) -> None:
    path.chmod(0o644)
    path.write_text(path.read_text() + "\n# by hand\n")


# what is done by hand -> the finding, and whether the same release again mends it in place
HANDS: dict[str, tuple[Callable[[Layout], Any], tuple[str, str], bool]] = {
    "unit": (lambda h: edit(unit(h)), ("unit_edited", "satellite-shop.worker@.service"), True),
    "mode": (lambda h: unit(h).chmod(0o666), ("unit_edited", unit(Layout("shop")).name), True),
    "no target": (
        lambda h: (h.units / h.target).unlink(),
        ("unit_edited", "satellite-shop.target"),
        True,
    ),
    "disabled": (lambda h: (h.wants / h.target).unlink(), ("unit_edited", ""), True),
    "current": (
        lambda h: storage.point(h.current, h.shared),
        ("current_moved", "current"),
        True,
    ),
    "no current": (lambda h: h.current.unlink(), ("current_moved", "current"), True),
    "manifest": (
        lambda h: h.manifest(release(h)).chmod(0o644),
        ("file_changed", "manifest"),
        False,
    ),
    "config": (
        lambda h: h.config(release(h)).write_text('{"TOKEN": "mine"}'),
        ("config_changed", "config.json"),
        True,
    ),
    "no JSON": (
        lambda h: h.config(release(h)).write_text("mine"),
        ("config_changed", "config.json"),
        True,
    ),
    "config's mode": (
        lambda h: h.config(release(h)).chmod(0o644),
        ("config_changed", "config.json"),
        True,
    ),
    "config file": (
        lambda h: edit(h.config_files(release(h)) / FILE.path),
        ("file_changed", "database.yml"),
        True,
    ),
    "sudoers": (lambda h: edit(h.sudoers), ("file_changed", f"satellite-{'shop'}"), False),
    "no sudoers": (lambda h: h.sudoers.unlink(), ("file_changed", "satellite-shop"), False),
}


@pytest.mark.parametrize("what", HANDS)
def test_what_is_changed_by_hand_is_found_and_mended(
    host: Layout, system: FakeSystem, wanted: Request, what: str
) -> None:
    by_hand, expected, by_release = HANDS[what]
    assert codes(host, system) == []
    by_hand(host)
    assert expected in codes(host, system)
    if by_release:
        Release(host, system, lambda _: None).run(wanted)
        assert codes(host, system) == []


def test_the_same_release_again_restarts_no_worker(
    host: Layout, system: FakeSystem, wanted: Request
) -> None:
    starts = system.starts
    edit(unit(host))
    edit(host.config_files(release(host)) / FILE.path)
    Release(host, system, lambda _: None).run(wanted)
    assert (codes(host, system), system.starts) == ([], starts)


def test_workers_that_should_run(host: Layout, system: FakeSystem) -> None:
    Control(host, system).stop(["worker.1"])
    name = host.worker_unit("worker", 2)
    del system.loaded[name]
    assert codes(host, system) == [("worker_stopped", "worker.1"), ("worker_down", "worker.2")]
    system.loaded[name] = UnitState(name, "activating", "auto-restart", 0, 3, "", False)
    backoff.count(host, name, 0)
    backoff.count(host, name, 0)
    assert codes(host, system)[1] == ("worker_waiting", "worker.2")


def test_a_worker_of_another_release(
    host: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Known, "systemctl", lambda *_: "")  # it restarts nothing
    found = list(examine._workers(_last(host), [_worker("worker.1", "another")]))
    assert [(one.code, one.about) for one in found] == [("worker_old", "worker.1")]
    assert list(examine._workers(_last(host), [_worker("worker.1", release(host))])) == []


def _last(host: Layout) -> Any:
    return Ledger(host).last_good()


def _worker(name: str, of: str) -> dict[str, Any]:
    return {"name": name, "state": "running", "release": of}


def test_units_that_systemd_has_not_read_again(
    host: Layout, system: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.known = {host.target: {"NeedDaemonReload": "yes"}}
    assert codes(host, system) == [("not_reloaded", "satellite-shop.target")]
    asked: list[tuple[str, ...]] = []

    def systemctl(_: FakeSystem, *argv: str) -> str:
        asked.append(argv)
        return ""

    monkeypatch.setattr(Known, "systemctl", systemctl)
    for stale in (False, True):
        system.loaded = {name: unit._replace(stale=stale) for name, unit in system.loaded.items()}
        converge.converge(host, _last(host), system, print)
        assert (("daemon-reload",) in asked) == stale


@pytest.mark.parametrize(
    ("blocks", "free", "inodes", "code"),
    [
        (1 << 20, 1 << 19, 100, None),
        (1 << 20, 1 << 10, 100, "disk_full"),
        (1 << 20, 90_000, 100, "disk_low"),
        (1 << 23, 1 << 18, 100, "disk_low"),  # 3 %
        (1 << 20, 1 << 17, 100, "disk_low"),  # an eighth, and half a gigabyte
        (1 << 20, 1 << 19, 9, "disk_low"),
        (1 << 20, 1 << 19, 1, "disk_full"),
    ],
)
def test_a_disk_without_room(
    host: Layout,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
    blocks: int,
    free: int,
    inodes: int,
    code: str | None,
) -> None:
    disk = SimpleNamespace(
        f_bavail=free,
        f_bfree=free,
        f_blocks=blocks,
        f_frsize=4096,
        f_favail=inodes,
        f_files=100,
        f_flag=os.ST_NOSUID,
    )
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    assert [found for found, _ in codes(host, system)] == ([code] if code else [])


def test_a_disk_that_is_read_only(
    host: Layout, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.statvfs

    def fixed(path: Path) -> object:
        found = look(path)
        told = {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}
        flag = os.ST_RDONLY if path in (host.units, host.state) else 0
        return SimpleNamespace(**{**told, "f_flag": flag})

    monkeypatch.setattr(os, "statvfs", fixed)
    assert codes(host, system) == [("read_only", host.units.name)]
    (one,) = examine.examine(host, system, [], "release of abc")
    assert one["text"] == f"the disk is read-only: {host.units}, {host.state}"


def test_while_somebody_is_at_work_nothing_else_is_said(host: Layout, system: FakeSystem) -> None:
    edit(unit(host))
    with storage.locked(host.lock, "release of abc"):
        assert codes(host, system) == []
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 7200))
        host.lock.write_text(f"release of abc, since {since}")
        assert codes(host, system) == [("lock_long", "")]


def test_a_release_that_was_cut_off(host: Layout, system: FakeSystem) -> None:
    Ledger(host).open_journal(_last(host))
    assert codes(host, system) == [("cut_off", "")]


def test_one_file_that_cannot_be_read_hides_nothing_else(host: Layout, system: FakeSystem) -> None:
    host.seal.write_text("{")
    edit(unit(host))
    assert [code for code, _ in codes(host, system)] == ["unreadable", "unit_edited"]


def dead(host: Layout, name: str, on_kill: str = "", **changes: object) -> notes.Note:
    """One of this boot, which has ended."""
    mark = (name, "worker", 1, release(host), "shape", HERE, "1", notes.boot_id())
    note = notes.Note(*mark, on_kill=on_kill)._replace(**changes)  # type: ignore[arg-type]
    storage.write_json(host.notes / f"{name}.json", note._asdict())
    return note


def test_jobs_that_nobody_can_give_back(host: Layout, system: FakeSystem) -> None:
    fails = "echo gone: $TOKEN; echo ' at line 1'; exit 3"
    dead(host, "dead.1", fails)
    system.clock = time.monotonic()
    # whoever gives them back is about to, or has just begun
    assert codes(host, system) == []
    assert not jobs.reap(host, system, lambda _: None)
    assert codes(host, system) == []
    system.clock -= 2 * examine.TRIED
    storage.remove(host.unreaped)
    for _ in range(2):
        assert not jobs.reap(host, system, lambda _: None)
        system.clock += 3 * examine.TRIED
    (found,) = state.report(host, system)["findings"]
    since = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    why = re.escape(f"`/bin/bash -c {fails}` ended with status 3; it said: gone: [TOKEN]")
    text = f"jobs of dead.1 could not be given back since {since}: {why}"
    assert (found["code"], found["about"]) == ("jobs_held", "dead.1")
    assert re.fullmatch(text, found["text"])
    with storage.locked(host.lock):
        assert codes(host, system) == []
    dead(host, "dead.1", "true")
    assert jobs.reap(host, system, lambda _: None)
    assert codes(host, system) == []


def test_many_whose_jobs_nobody_can_give_back_are_one_finding(
    host: Layout, system: FakeSystem
) -> None:
    system.clock = time.monotonic() - 3 * examine.TRIED
    for number in range(3):
        dead(host, f"dead.{number}", "exit 3")
    assert not jobs.reap(host, system, lambda _: None)
    (found,) = state.report(host, system)["findings"]
    assert found["text"].startswith("jobs of dead.0 and 2 others that ended could not be given")


def test_what_is_left_of_a_worker_that_ends_still_is_no_finding(
    host: Layout, system: FakeSystem
) -> None:
    """A shell's child finishes its job, and has the worker's grace for that."""
    system.clock = time.monotonic() - 3 * examine.TRIED
    gone = dead(host, "dead.1")
    name = host.worker_unit(gone.type, gone.number)
    runs = system.loaded[name]
    for active, found in (("deactivating", []), ("active", [("jobs_held", "dead.1")])):
        system.loaded[name] = runs._replace(active=active)
        with subprocess.Popen(["sleep", "60"], env={"WORKER_NAME": "dead.1"}) as child:
            assert not jobs.reap(host, system, lambda _: None)
            child.kill()
        assert codes(host, system) == found


def test_a_note_that_cannot_be_read(host: Layout, system: FakeSystem) -> None:
    (host.notes / "a.json").write_text("{")
    assert codes(host, system) == [("unreadable", "a.json")]


def test_without_a_release_there_is_nothing_to_find(layout: Layout, system: FakeSystem) -> None:
    assert codes(layout, system) == []


def test_the_agents_own_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path / "root", monkeypatch)
    files = {"agent/cli.py": b""}
    host = preparation(machine, agent=installed.digest(files))
    install.agent(host)
    assert list(examine._agent(host.layout)) == []
    module = host.layout.agent.parent / host.manifest.agent / "agent/cli.py"
    for path, content in ((module, "changed"), (module.with_name("more.py"), "")):
        path.write_text(content)
        assert [one.code for one in examine._agent(host.layout)] == ["agent_edited"]
        assert install.agent(host)
        assert not install.agent(host)
        assert list(examine._agent(host.layout)) == []
    for path in (module.parent / "__pycache__").iterdir():
        path.write_bytes(path.read_bytes()[:20])
    (slow,) = examine._agent(host.layout)
    assert (slow.code, slow.about) == ("agent_slow", str(module.parents[1]))
    assert slow.text.endswith(" takes longer: it compiles up to 1 of its modules anew")
    assert install.agent(host)
    assert list(examine._agent(host.layout)) == []


ONE = "satellite-shop.worker@1.service"
ETC, RUN = "/etc/systemd/system", "/run/systemd/system"
TWO_FILES = f'"{ETC}/satellite-.service.d/my own.conf" {ETC}.control/{ONE}.d/b.conf'


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({"DropInPaths": f"{ETC}/{ONE}.d/mine.conf"}, [("drop_in", "mine.conf")]),
        ({"DropInPaths": f"{RUN}/satellite-.service.d/mine.conf"}, [("drop_in", "mine.conf")]),
        ({"DropInPaths": TWO_FILES}, [("drop_in", "b.conf"), ("drop_in", "my own.conf")]),
        ({"DropInPaths": f"{ETC}/service.d/all.conf /run/systemd/generator/a.d/b.conf"}, []),
        ({"FragmentPath": f"{ETC}/{ONE}"}, [("unit_replaced", ONE)]),
        ({"FragmentPath": f"{RUN}/{ONE}"}, [("unit_replaced", ONE)]),
        (
            {"FragmentPath": f"{ETC}/{ONE}", "LoadState": "masked", "NeedDaemonReload": "yes"},
            [("unit_masked", ONE)],
        ),
    ],
)
def test_what_systemd_reads_beside_or_in_place_of_a_workers_unit(
    host: Layout, system: Known, known: dict[str, str], found: list[tuple[str, str]]
) -> None:
    system.known = {ONE: known}
    assert codes(host, system) == found


def test_a_workers_own_limits_are_no_drop_in(host: Layout, system: Known) -> None:
    limit = host.runtime_units / f"{ONE}.d" / "50-MemoryMax.conf"
    system.known = {ONE: {"DropInPaths": str(limit)}}
    assert codes(host, system) == []


def test_a_worker_that_was_stopped_is_asked_for_too(host: Layout, system: Known) -> None:
    Control(host, system).stop(["worker.1"])
    system.known = {ONE: {"LoadState": "masked", "FragmentPath": f"{ETC}/{ONE}"}}
    assert codes(host, system) == [("unit_masked", ONE), ("worker_stopped", "worker.1")]


def test_our_own_units_are_enabled_and_run(host: Layout, system: Known) -> None:
    timers = (host.rotate_timer, host.queue_timer)
    units = (host.recover_unit, host.reap_unit, host.metadata_unit, *timers)
    host.timers.mkdir()
    for unit in units:
        storage.write(host.units / unit, "[Unit]\n", 0o644)
        storage.point((host.timers if unit in timers else host.wants) / unit, host.units / unit)
    assert codes(host, system) == []
    for unit in units:
        system.known = {unit: {"ActiveState": "inactive"}}
        runs = unit not in (host.recover_unit, host.reap_unit)
        assert codes(host, system) == ([("unit_stopped", unit)] if runs else [])
        system.known = {}
        link = (host.timers if unit in timers else host.wants) / unit
        link.unlink()
        assert codes(host, system) == [("unit_edited", unit)]
        link.symlink_to(host.units / unit)


def test_a_wall_that_is_gone(host: Layout, system: Known) -> None:
    storage.write(host.metadata_rules, "table")
    system.tables = {host.table}
    assert codes(host, system) == []
    system.tables.clear()
    assert codes(host, system) == [("metadata_open", "")]
