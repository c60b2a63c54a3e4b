"""Package sources: there while they are declared, and fetched when they changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import apt_sources, storage
from satellite_infra.agent.bootstrap_manifest import AptSource
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.system import CommandError, Say, System
from tests.agent.machine import Machine, files, new_machine, preparation

UPDATE = ("apt-get", "-o", "APT::Update::Error-Mode=any", "update")
ARMOURED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBE\n-----END PGP PUBLIC KEY BLOCK-----\n"
PGDG = AptSource(
    "pgdg", "https://apt.example.com/debian", "bookworm-pgdg", ("main", "16"), ARMOURED
)
OTHER = ARMOURED.replace("mQINBE", "mQINBF")
FLAT = AptSource("flat", "https://other.example.com", "./", (), OTHER)
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
        "/etc/apt/sources.list.d/satellite-shop.pgdg.sources": (
            GOLDEN / "satellite-shop.pgdg.sources"
        ).read_text(),
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
    for sources, count in (((PGDG, FLAT), 2), ((FLAT,), 1), ((), 0)):
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


@dataclass
class Apt(Machine):
    """The real one reads the sources, and fetches nothing."""

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        assert argv[0] == "apt-get"
        parts, lists = self.root / "etc/apt/sources.list.d", self.root / "lists"
        own = ("Dir::Etc::SourceList=/dev/null", f"Dir::Etc::SourceParts={parts}")
        options = (*own, f"Dir::State::Lists={lists}", "Dir::Cache::pkgcache=")
        return System.output(self, [argv[0], *(f"-o{one}" for one in options), *argv[1:]])


def test_two_apps_of_one_machine_have_the_same_source(tmp_path: Path) -> None:
    machine = Apt(tmp_path)
    for app in ("shop", "other"):
        assert apt_sources.declare(preparation(machine, app=app, apt_sources=(PGDG, FLAT)))
    assert len(names(machine)) == 4


@pytest.mark.parametrize("theirs", ["pgdg.list", "satellite-other.pgdg.sources"])
def test_a_source_that_apt_would_not_read_ends_no_apt(tmp_path: Path, theirs: str) -> None:
    machine = Apt(tmp_path)
    folder = machine.root / "etc/apt/sources.list.d"
    host = preparation(machine, apt_sources=(FLAT,))
    apt_sources.declare(host)
    if theirs.endswith(".list"):
        line = "deb [signed-by=/k.asc] https://apt.example.com/debian/ bookworm-pgdg main\n"
        (folder / theirs).write_text(line)
    else:
        other = PGDG._replace(key=OTHER)
        apt_sources.declare(preparation(machine, app="other", apt_sources=(other,)))
    before = files(machine.root)
    found = "/k.asc" if theirs.endswith(".list") else "(a key)"
    both = preparation(machine, apt_sources=(FLAT._replace(suite="new/"), PGDG))
    for cut_off in (False, True):
        if cut_off:  # before apt was asked
            for path, content in apt_sources.render(both.layout, (PGDG,)).items():
                path.write_text(content)
        with pytest.raises(CommandError) as failure:
            apt_sources.declare(both)
        assert str(failure.value).startswith(
            "apt does not take the package sources of shop: E: Conflicting values set for option "
            "Signed-By regarding source https://apt.example.com/debian/ bookworm-pgdg: "
        )
        assert found in str(failure.value)
        assert str(failure.value).endswith(f"; the same source is in {folder / theirs}")
        assert files(machine.root) == before
    (folder / theirs).unlink()
    assert apt_sources.declare(both)


def test_the_key_of_an_older_agent_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = preparation(new_machine(tmp_path / "machine", monkeypatch), apt_sources=(PGDG,))
    key = host.layout.apt_key("pgdg")
    storage.write(key, ARMOURED, 0o644)
    assert apt_sources.declare(host)
    assert not key.exists()
