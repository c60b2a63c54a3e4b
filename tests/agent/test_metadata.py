"""The wall before the instance's metadata, on a firewall that only remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from satellite_infra.agent import metadata, units
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.system import CommandError
from tests.agent.conftest import FakeSystem

RULES = """\
# Written by Satellite. The first two lines make it anew, in one step.
table inet satellite-shop
delete table inet satellite-shop
table inet satellite-shop {
	chain output {
		type filter hook output priority filter
		meta skuid 1001 ip daddr 169.254.169.254 reject
		meta skuid 1001 ip6 daddr fd00:ec2::254 reject
	}
}
"""


@dataclass
class Firewall(FakeSystem):
    """Has tables; `refuses` is what it says to every new one."""

    tables: set[str] = field(default_factory=set)
    refuses: str = ""
    stopped: bool = False
    purged: bool = False

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        self.calls.append(tuple(argv))
        if argv[1] == "is-active":
            return int(self.stopped), ""
        if self.purged:
            raise FileNotFoundError(2, "No such file or directory", "nft")
        if argv[:2] == ["nft", "-f"]:
            if self.refuses:
                return 1, self.refuses
            self.tables.add(self.layout.table)
        if argv[:2] == ["nft", "delete"]:
            self.tables.remove(argv[-1])
        return int(argv[-1] not in self.tables and argv[1] == "list"), ""


@pytest.fixture
def host(tmp_path: Path) -> tuple[Layout, Firewall]:
    layout = Layout("shop", tmp_path)
    layout.units.mkdir(parents=True)
    return layout, Firewall(layout)


def files(layout: Layout) -> dict[str, str]:
    """All files that there are, but for directories."""
    return {
        str(path.relative_to(layout.root)): path.read_text()
        for path in layout.root.rglob("*")
        if path.is_file()
    }


def test_the_wall_is_built_once_and_taken_away_once(host: tuple[Layout, Firewall]) -> None:
    layout, firewall = host
    assert metadata.block(layout, 1001, firewall)
    rules, unit = str(layout.metadata_rules), "satellite-shop-metadata.service"
    assert firewall.calls == [
        ("daemon-reload",),
        ("nft", "-f", rules),
        ("restart", unit),
    ]
    content = units.wall(layout).content
    assert files(layout) == {
        "var/lib/satellite/shop/metadata.nft": RULES,
        f"etc/systemd/system/{unit}": content,
        f"etc/systemd/system/multi-user.target.wants/{unit}": content,
    }
    assert not metadata.block(layout, 1001, firewall)

    assert metadata.allow(layout, firewall)
    assert (files(layout), firewall.tables) == ({}, set())
    assert not metadata.allow(layout, firewall)


def test_a_wall_that_somebody_took_down_is_built_again(host: tuple[Layout, Firewall]) -> None:
    layout, firewall = host
    metadata.block(layout, 1001, firewall)
    firewall.tables.clear()  # nft flush ruleset
    assert metadata.block(layout, 1001, firewall)
    assert firewall.tables == {"satellite-shop"}
    firewall.tables.clear()
    assert metadata.allow(layout, firewall)


def test_the_wall_of_a_firewall_that_was_purged_by_hand_is_gone(
    host: tuple[Layout, Firewall],
) -> None:
    layout, firewall = host
    metadata.block(layout, 1001, firewall)
    firewall.purged = True
    assert metadata.allow(layout, firewall)
    assert files(layout) == {}


def test_a_wall_whose_unit_was_stopped_is_built_again(host: tuple[Layout, Firewall]) -> None:
    layout, firewall = host
    metadata.block(layout, 1001, firewall)
    firewall.stopped = True
    assert metadata.block(layout, 1001, firewall)
    assert firewall.calls[-1] == ("restart", "satellite-shop-metadata.service")


def test_a_machine_without_a_firewall_says_what_to_do(host: tuple[Layout, Firewall]) -> None:
    layout, firewall = host
    firewall.refuses = "netlink: Error: cache initialization failed: Operation not permitted\n"
    with pytest.raises(CommandError) as caught:
        metadata.block(layout, 1001, firewall)
    assert str(caught.value) == (
        "nft cannot keep shop from the instance's metadata: netlink: Error: cache initialization "
        "failed: Operation not permitted; on a machine without such metadata set "
        "satellite:app_metadata to allowed"
    )
    firewall.refuses = ""
    assert metadata.block(layout, 1001, firewall)
