"""What monit is told, whole; and what the agent tells monit of the workers."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from satellite_infra.agent import backoff, check, monit, packages, storage
from satellite_infra.agent.bootstrap_manifest import BootstrapManifest
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.system import CommandError
from tests.agent.conftest import FakeSystem
from tests.agent.machine import MANIFEST, Machine, new_machine, preparation
from tests.agent.test_bootstrap import MONIT

GOLDEN = Path(__file__).parent / "golden/monit"
PASSWORD = "canary-5d1f"
LOGGED_IN = MONIT._replace(smtp_user="ops", password="digest")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = new_machine(tmp_path / "machine", monkeypatch)
    found.installed.add("monit")
    return found


def test_the_whole_file() -> None:
    found = monit.render(Layout("shop"), MANIFEST, LOGGED_IN, "the password")
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()
    named = monit.render(Layout("shop"), MANIFEST, MONIT._replace(smtp_host="smtp"), "")
    assert 'set mailserver "smtp" port 587 using tls' in named  # a word of monit's own


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="needs a second disk")
def test_each_disk_that_the_app_fills_is_watched_where_it_is_mounted(tmp_path: Path) -> None:
    """Once, although several places are on it; and a link says nothing of where."""
    layout = Layout("shop", tmp_path)
    layout.state.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as volume:
        (Path(volume) / "shop/shared/log").mkdir(parents=True)
        (tmp_path / "app").symlink_to(volume)
        found = monit.render(layout, MANIFEST, MONIT, "").splitlines()
    disks = [line for line in found if line.startswith("check filesystem ")]
    assert [line.startswith("check filesystem shop-disk") for line in disks] == [True, True]
    assert disks[1] == "check filesystem shop-disk-dev-shm with path /dev/shm"
    assert sum("du -xh /dev/shm | sort" in line for line in found) == len(MONIT.mail_to)


def test_it_never_starts_or_stops_anything() -> None:
    words = set(monit.render(Layout("shop"), MANIFEST, LOGGED_IN, "x").split())
    assert not words & {"start", "stop", "restart", "exec", "unmonitor"}


def test_it_is_installed_only_where_it_is_wanted() -> None:
    assert "monit" not in packages.wanted(MANIFEST)
    assert "monit" in packages.wanted(MANIFEST._replace(monit=MONIT))
    again = BootstrapManifest.parse(MANIFEST._replace(monit=LOGGED_IN).text())
    assert again.monit == LOGGED_IN


def test_the_password_is_in_the_one_file_that_root_reads(machine: Machine) -> None:
    host = preparation(machine, monit=LOGGED_IN)
    host = host._replace(bundle={**host.bundle, "monit_password": PASSWORD})
    assert [monit.set_up(host), monit.set_up(host)] == [True, False]
    files = [path for path in machine.root.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD in path.read_text()] == [host.layout.monit]
    assert host.layout.monit.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in str(machine.calls)
    other = host._replace(bundle={**host.bundle, "monit_password": "another"})
    assert monit.set_up(other)


def test_a_file_that_monit_does_not_take_goes_and_its_password_is_not_told(
    machine: Machine,
) -> None:
    machine.monit = 1, f'syntax error near "{PASSWORD}"'
    host = preparation(machine, monit=LOGGED_IN)
    host = host._replace(bundle={**host.bundle, "monit_password": PASSWORD})
    with pytest.raises(CommandError) as failure:
        monit.set_up(host)
    assert str(failure.value) == (
        'monit does not take the file for shop: syntax error near "[monit_password]"'
    )
    assert not host.layout.monit.exists()
    # where there was a good one, that is what it goes on with
    machine.monit = 0, ""
    monit.set_up(preparation(machine, monit=MONIT))
    good = host.layout.monit.read_text()
    machine.monit = 1, "syntax error"
    with pytest.raises(CommandError):
        monit.set_up(host)
    assert host.layout.monit.read_text() == good


def test_apps_of_one_machine_have_one_mail_server_and_each_its_own_sender(machine: Machine) -> None:
    other, shop = (preparation(machine, app=app, monit=LOGGED_IN) for app in ("other", "shop"))
    monit.set_up(other._replace(bundle={**other.bundle, "monit_password": PASSWORD}))
    assert monit.set_up(shop)
    globals_ = [line for line in shop.layout.monit.read_text().splitlines() if line[:4] == "set "]
    assert [line.split()[1] for line in globals_] == ["daemon", "mailserver"]
    storage.remove(shop.layout.monit)
    theirs = other.layout.monit
    storage.write(theirs, theirs.read_text().replace('"smtp.example.com"', "smtp.example.com"))
    assert monit.set_up(shop)  # as an older agent has written it
    storage.remove(shop.layout.monit)
    for change in ({"smtp_host": "b.example.com"}, {"smtp_port": 25}, {"smtp_user": "me"}):
        another = preparation(machine, monit=LOGGED_IN._replace(**change))
        with pytest.raises(ValueError, match="other on this host has its mails sent by") as failure:
            monit.set_up(another)
        assert "smtp.example.com port 587 username ops, and" in str(failure.value)
        assert PASSWORD not in str(failure.value)
        assert not another.layout.monit.exists()
        # but a server that both shall have must begin at one of them
        monit.set_up(shop)
        assert monit.set_up(another)
        storage.remove(shop.layout.monit)


def test_a_password_that_looks_like_a_word_of_the_template() -> None:
    found = monit.render(Layout("shop"), MANIFEST, LOGGED_IN, "a@HOST@b@LOAD@")
    assert 'password "a@HOST@b@LOAD@"' in found


def test_it_watches_no_more_when_the_setting_goes(machine: Machine) -> None:
    monit.set_up(preparation(machine, monit=MONIT))
    machine.calls.clear()
    host = preparation(machine)
    assert [monit.set_up(host), monit.set_up(host)] == [True, False]
    assert machine.calls == [("systemctl", "restart", "monit.service")]
    assert not host.layout.monit.exists()


def test_one_that_was_purged_by_hand_has_nothing_to_forget(machine: Machine) -> None:
    monit.set_up(preparation(machine, monit=MONIT))
    machine.active.clear()
    machine.calls.clear()
    host = preparation(machine)
    assert [monit.set_up(host), monit.set_up(host)] == [True, False]
    assert machine.calls == []


class Shown(FakeSystem):
    """Workers of which systemd knows the memory, and the CPU seconds so far."""

    workers: dict[str, tuple[int, float]]

    def systemctl(self, *argv: str) -> str:
        assert argv[0] == "show"
        blocks = [
            f"Id=satellite-shop.{name}.service\nInvocationID={name}\n"
            f"ControlGroup=/system.slice/{name}\n"
            f"MemoryCurrent={memory << 20}\nCPUUsageNSec={int(cpu * 1e9)}\n"
            for name, (memory, cpu) in self.workers.items()
        ]
        unknown = "MemoryCurrent=[not set]\nCPUUsageNSec=18446744073709551615\n"
        return "\n".join([*blocks, f"Id=satellite-shop.worker@9.service\n{unknown}"])


def test_a_worker_above_its_thresholds_is_named_and_below_again_it_is_not(layout: Layout) -> None:
    system = Shown(layout)
    system.workers = {"worker@1": (100, 5), "worker@2": (412, 5), "mailer@1": (900, 5)}

    def found() -> list[str]:
        return check.check(layout, "worker", "300M", "90%", 0, system)

    heavy = (
        "worker.2: memory 412 MB, more than 300M: look at its jobs, or set "
        "satellite:processes.worker.memory_max"
    )
    assert found() == [heavy]
    system.clock += 60
    system.workers = {"worker@1": (100, 5 + 57), "worker@2": (200, 5 + 50)}
    assert found() == [
        "worker.1: CPU 95%, more than 90%: look at its jobs, or set satellite:processes.worker.cpu"
    ]
    system.clock += 60
    assert found() == []


@pytest.mark.parametrize(
    ("place", "account", "swapped", "shown"),
    [
        ("", "anon {250}\nfile {900}\nshmem {40}\nfile_mapped 1\n", "{30}", 320),
        ("", "anon {250}\nfile {900}\nshmem {60}\n", "", 310),
        ("", "anon {250}\nfile {900}\nshmem {0}\n", "", 0),
        ("memory", "cache {900}\nrss {1}\ntotal_rss {290}\ntotal_swap {20}\n", "", 310),
        ("memory", "cache {900}\nrss {900}\ntotal_rss {290}\ntotal_cache {900}\n", "", 0),
    ],
)
def test_what_the_kernel_only_caches_for_a_worker_is_not_its_memory(
    place: str, account: str, swapped: str, shown: int, layout: Layout
) -> None:
    """Such as a large file that it has written."""
    system = Shown(layout)
    system.workers = {"worker@1": (1200, 5)}
    group = layout.control_groups / place / "system.slice/worker@1"
    group.mkdir(parents=True)
    for name, text in (("memory.stat", account), ("memory.swap.current", swapped)):
        if text:
            bytes_ = re.sub("{(.*?)}", lambda found: str(int(found[1]) << 20), text)
            (group / name).write_text(bytes_)
    found = check.check(layout, "worker", "300M", "", 0, system)
    assert [line.partition(",")[0] for line in found] == (
        [f"worker.1: memory {shown} MB"] if shown else []
    )


def test_a_worker_that_was_killed_is_told_until_ten_quiet_minutes_have_gone(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Shown(layout)
    system.workers = {}

    def found(restarts: int) -> list[str]:
        return check.check(layout, "worker", "", "", restarts, system)

    unit = layout.worker_unit("worker", 2)
    backoff.count(layout, unit, 1)
    backoff.count(layout, layout.worker_unit("mailer", 1), 1)
    why = f"and was started again: journalctl -u '{unit}' says why"
    assert found(1) == [f"{unit}: ended early once {why}"]
    assert found(2) == []
    backoff.count(layout, unit, 1)
    assert found(2) == [f"{unit}: ended early 2 times in a row {why}"]
    # a clock that steps back makes nothing newer
    monkeypatch.setattr(time, "time", lambda: 0.0)
    past = time.monotonic() - check.QUIET - 1
    os.utime(layout.ends / unit, (past, past))
    assert found(1) == []
    # as an end that is the first again, and the same number
    storage.write_json(layout.ends / unit, 1)
    os.utime(layout.ends / unit, (past, past))
    backoff.count(layout, unit, backoff.STEADY)
    assert found(1) == [f"{unit}: ended early once {why}"]
