"""Packages are installed once, also by a machine whose power was cut meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import apt, packages
from satellite_infra.agent.system import CommandError, Say
from tests.agent.machine import MANIFEST, Machine, new_machine, preparation

OURS = ["ca-certificates", "git", "logrotate", "nftables", "openssh-client", "tar"]


class Interrupted(Machine):
    """Its power was cut in the middle of dpkg, until somebody repairs that."""

    broken = True

    def run(self, argv: Sequence[str], say: Say, **options: Any) -> None:
        super().run(argv, say, **options)
        if argv[0] == "dpkg":
            self.broken = False
        elif "install" in argv and self.broken:
            raise CommandError("dpkg was interrupted")


def test_only_what_is_missing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path / "machine", monkeypatch)
    machine.installed = {*OURS, "ruby=1:3.1", "libpq-dev"}
    wanted = ("libpq-dev", "libpq-dev:amd64", "ruby=1:3.1")
    host = preparation(machine, packages=wanted, unattended_upgrades=False)
    assert [packages.install(host), packages.install(host)] == [True, False]  # the pin alone
    assert packages.install(preparation(machine, packages=("ruby=1:3.3",)))
    assert machine.calls == [
        ("apt-get", "update"),
        (
            "apt-get",
            "install",
            "--no-install-recommends",
            "--allow-downgrades",
            "--",
            "ruby=1:3.3",
            "unattended-upgrades",
        ),
    ]


def test_a_pinned_one_stays_at_its_version_until_the_settings_say_another(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    versions = ("libc6:amd64=2.36-9+deb12u9", "libpq-dev", "ruby=1:3.1~1")
    assert packages.install(preparation(machine, packages=versions))
    path = preparation(machine).layout.apt_pins
    assert path.read_text() == (
        "# Written by Satellite: satellite:packages.\n"
        "\nPackage: libc6:amd64\nPin: version 2.36-9+deb12u9\nPin-Priority: 1001\n"
        "\nPackage: ruby\nPin: version 1:3.1~1\nPin-Priority: 1001\n"
    )
    assert path.stat().st_mode & 0o777 == 0o644
    machine.installed = {*OURS, "unattended-upgrades", "libc6=2.36-9+deb12u9", "ruby=1:3.1~1"}
    machine.installed.add("libpq-dev")
    assert not packages.install(preparation(machine, packages=versions))
    assert packages.install(preparation(machine, packages=("libpq-dev",)))
    assert not path.exists()
    assert [call[1] for call in machine.calls] == ["update", "install"]


def test_an_interrupted_installation_is_finished(tmp_path: Path) -> None:
    machine = Interrupted(tmp_path)
    assert packages.install(preparation(machine))
    assert [(call[0], call[1]) for call in machine.calls] == [
        ("apt-get", "update"),
        ("apt-get", "install"),
        ("dpkg", "--force-confdef"),
        ("apt-get", "install"),
    ]


@dataclass
class Busy(Machine):
    """Another apt has the lists' lock for so many seconds; apt gives up at once."""

    left: float = 0

    def run(self, argv: Sequence[str], say: Say, **options: Any) -> None:
        super().run(argv, say, **options)
        if "update" in argv and self.left > 0:
            say("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 9 (apt-get)")
            say("E: Unable to lock directory /var/lib/apt/lists/")
            raise CommandError("`apt-get` ended with status 100")

    def sleep(self, seconds: float) -> None:
        self.left -= seconds

    def now(self) -> float:
        return -self.left


def test_another_apt_is_waited_for(tmp_path: Path) -> None:
    machine = Busy(tmp_path, left=290)
    assert packages.install(preparation(machine))
    assert machine.installed >= {*OURS}
    machine = Busy(tmp_path, left=1000)
    with pytest.raises(CommandError, match="status 100"):
        packages.install(preparation(machine))
    assert 1000 - machine.left == pytest.approx(apt.PATIENCE, abs=2 * apt.AGAIN)


def test_what_the_settings_do_not_ask_for_is_not_wanted() -> None:
    assert packages.wanted(MANIFEST) == sorted([*OURS, "unattended-upgrades"])
