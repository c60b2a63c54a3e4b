"""The files of a host that are no units, compared whole; tests/e2e has their programs read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from satellite_infra.agent import accounts, logrotate, needrestart, sshd, sudoers, upgrades
from satellite_infra.agent.layout import Layout
from tests.agent.machine import new_machine, preparation

GOLDEN = Path(__file__).parent / "golden/host"
STEPS = (
    logrotate.rotate,
    needrestart.leave_workers,
    sshd.protect,
    sudoers.allow,
    upgrades.set_up,
)


def test_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path / "machine", monkeypatch)
    host = preparation(machine)
    accounts.user(host)
    assert [[step(host) for step in STEPS] for _ in range(2)] == [[True] * 5, [False] * 5]
    root = str(machine.root)
    found = {
        str(path.relative_to(machine.root)): path.read_text().replace(root, "")
        for path in (machine.root / "etc").rglob("*")
        if path.is_file()
    }
    expected = {
        str(path.relative_to(GOLDEN)): path.read_text()
        for path in GOLDEN.rglob("*")
        if path.is_file()
    }
    assert found == expected
    assert (machine.root / "etc/sudoers.d/satellite-shop").stat().st_mode & 0o777 == 0o440


def test_logs_are_rotated_as_a_user_that_was_there_before_in_a_shared_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = new_machine(tmp_path / "machine", monkeypatch)
    machine.group = "users"
    host = preparation(machine)
    accounts.user(host)
    assert logrotate.rotate(host)
    assert "    su shop users\n" in host.layout.logrotate.read_text()


def test_no_upgrades_where_the_team_says_so() -> None:
    lines = upgrades.render(Layout("shop"), False).splitlines()
    assert lines[1:] == [
        'APT::Periodic::Update-Package-Lists "0";',
        'APT::Periodic::Unattended-Upgrade "0";',
        'Unattended-Upgrade::Automatic-Reboot "false";',
    ]


def test_without_sudo_there_is_nothing_to_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = new_machine(tmp_path / "machine", monkeypatch)
    host = preparation(machine)
    assert sudoers.allow(host)
    host.layout.visudo.unlink()
    assert [sudoers.allow(host), sudoers.allow(host)] == [True, False]
    assert not host.layout.sudoers.exists()
