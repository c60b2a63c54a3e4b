"""Package sources: there while they are declared, and fetched when they changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import apt_sources
from satellite_infra.agent.bootstrap_manifest import AptSource
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.system import CommandError, Say
from tests.agent.machine import Machine, files, new_machine, preparation

UPDATE = ("apt-get", "-o", "APT::Update::Error-Mode=any", "update")
ARMOURED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBE\n-----END PGP PUBLIC KEY BLOCK-----\n"
PGDG = AptSource(
    "pgdg", "https://apt.example.com/debian", "bookworm-pgdg", ("main", "16"), ARMOURED
)
FLAT = AptSource("flat", "https://other.example.com", "./", (), "ANOTHER\n")
GOLDEN = Path(__file__).parent / "golden"


class Down(Machine):
    """One of its sources does not answer, for now."""

    down = True

    def run(self, argv: Sequence[str], say: Say, **options: Any) -> None:
        super().run(argv, say, **options)
        if self.down:
            raise CommandError("`apt-get` ended with status 100")


def names(machine: Machine) -> set[str]:
    return {name for name in files(machine.root) if name.startswith("etc/apt")}


def test_whole_files() -> None:
    found = apt_sources.render(Layout("shop"), (PGDG, FLAT))
    assert {str(path): content for path, content in found.items()} == {
        "/etc/apt/keyrings/satellite-shop.pgdg.asc": ARMOURED,
        "/etc/apt/sources.list.d/satellite-shop.pgdg.sources": (
            GOLDEN / "satellite-shop.pgdg.sources"
        ).read_text(),
        "/etc/apt/keyrings/satellite-shop.flat.asc": "ANOTHER\n",
        "/etc/apt/sources.list.d/satellite-shop.flat.sources": (
            GOLDEN / "satellite-shop.flat.sources"
        ).read_text(),
    }


def test_a_source_goes_when_it_is_declared_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = new_machine(tmp_path / "machine", monkeypatch)
    other = machine.root / "etc/apt/sources.list.d/satellite-shop-2.pgdg.sources"
    other.parent.mkdir(parents=True)
    other.touch()  # of another app
    theirs = {str(other.relative_to(machine.root))}
    assert not apt_sources.declare(preparation(machine))
    assert (machine.calls, names(machine)) == ([], theirs)
    for sources, count in (((PGDG, FLAT), 4), ((FLAT,), 2), ((), 0)):
        machine.calls = []
        host = preparation(machine, apt_sources=sources)
        assert [apt_sources.declare(host), apt_sources.declare(host)] == [True, False]
        assert machine.calls == [UPDATE]
        assert len(names(machine) - theirs) == count
    assert names(machine) == theirs


def test_a_source_that_is_down_is_tried_again(tmp_path: Path) -> None:
    machine = Down(tmp_path)
    host = preparation(machine, apt_sources=(PGDG,))
    for _ in range(2):
        with pytest.raises(CommandError, match="status 100"):
            apt_sources.declare(host)
    machine.down = False
    assert [apt_sources.declare(host), apt_sources.declare(host)] == [True, False]
