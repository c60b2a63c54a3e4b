"""A host is told to follow Heroku, told otherwise, and told no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from satellite_infra.agent import rotation
from satellite_infra.agent.bootstrap_manifest import BootstrapManifest, Rotation
from tests.agent.machine import MANIFEST, Machine, files, new_machine, preparation

FIRST = Rotation("shop-staging", minutes=30, place=1, hosts=2, token="0123456789abcdef")
SECOND = FIRST._replace(minutes=60, place=2)
UNITS = "etc/systemd/system"
TIMER = f"{UNITS}/satellite-shop-rotate.timer"
START = ("systemctl", "start", "--", "satellite-shop-rotate.timer")
STOP = ("systemctl", "stop", "--", "satellite-shop-rotate.timer")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return new_machine(tmp_path / "machine", monkeypatch)


def test_the_token_is_in_roots_file_and_in_no_unit(machine: Machine) -> None:
    assert rotation.set_up(preparation(machine, rotation=FIRST))
    found = files(machine.root)
    secret = "var/lib/satellite/shop/heroku.json"
    assert [path for path, what in found.items() if "canary" in str(what)] == [secret]
    assert found[secret][1] == 0o600
    assert json.loads(str(found[secret][0])) == {
        "app": "shop-staging",
        "token": "canary-of-heroku",
        "minutes": 30,
        "place": 1,
        "hosts": 2,
    }
    assert "OnCalendar=*:00/30:00 UTC\n" in found[TIMER][0]
    assert START in machine.calls
    assert "canary" not in str(machine.calls)


def test_another_turn_is_read_and_the_same_one_is_no_change(machine: Machine) -> None:
    rotation.set_up(preparation(machine, rotation=FIRST))
    machine.calls = []
    assert not rotation.set_up(preparation(machine, rotation=FIRST))
    assert START not in machine.calls
    assert rotation.set_up(preparation(machine, rotation=SECOND))
    assert "OnCalendar=*:30:00 UTC\n" in files(machine.root)[TIMER][0]
    assert machine.read == machine.units_on_disk()
    assert START in machine.calls


def test_a_timer_that_somebody_has_stopped_is_started(machine: Machine) -> None:
    rotation.set_up(preparation(machine, rotation=FIRST))
    machine.calls, machine.active = [], set()
    assert rotation.set_up(preparation(machine, rotation=FIRST))
    assert START in machine.calls
    assert not rotation.set_up(preparation(machine, rotation=FIRST))


def test_without_the_setting_nothing_is_left(machine: Machine) -> None:
    before = files(machine.root)
    assert not rotation.set_up(preparation(machine))
    rotation.set_up(preparation(machine, rotation=FIRST))
    (machine.root / "var/lib/satellite/shop/rotation.json").write_text("{}")
    assert rotation.set_up(preparation(machine))
    assert files(machine.root) == before
    assert STOP in machine.calls
    assert machine.read == machine.units_on_disk()
    assert not rotation.set_up(preparation(machine))


def test_a_token_comes_with_its_manifest_or_not_at_all(machine: Machine) -> None:
    for told, bundle in ((FIRST, {}), (None, {"heroku_host_token": "canary"})):
        host = preparation(machine, rotation=told)._replace(bundle=bundle)
        with pytest.raises(
            ValueError, match=r"heroku_host_token: .* both have one or neither"
        ) as no:
            rotation.set_up(host)
        assert "canary" not in str(no.value)


def test_the_manifest_says_it_and_is_read_back() -> None:
    told = MANIFEST._replace(rotation=SECOND)
    assert set(told.text().splitlines()) - set(MANIFEST.text().splitlines()) == {
        "rotation.app: shop-staging",
        "rotation.minutes: 60",
        "rotation.place: 2",
        "rotation.hosts: 2",
        "rotation.token: 0123456789abcdef",
    }
    assert BootstrapManifest.parse(told.text()) == told
