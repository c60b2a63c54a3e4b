"""New workers beside old ones: who runs when, in which unit, and what a failure leaves."""

from __future__ import annotations

import pytest

from satellite_infra.agent import lanes, notes
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger, Target
from satellite_infra.agent.release import Release, ReleaseError, Request, recover
from satellite_infra.agent.release_manifest import Process
from satellite_infra.agent.system import UnitState
from tests.agent.conftest import FakeSystem, Killed, Origin, request

OVERLAP = (Process("worker", 2, grace=5, overlap=True),)
FIRST = ["satellite-shop.worker@1.service", "satellite-shop.worker@2.service"]
SECOND = ["satellite-shop.worker@1.1.service", "satellite-shop.worker@2.1.service"]
THIRD = ["satellite-shop.worker@1.2.service", "satellite-shop.worker@2.2.service"]


def deploy(layout: Layout, system: FakeSystem, wanted: Request) -> list[str]:
    """What the release says."""
    said: list[str] = []
    Release(layout, system, said.append).run(wanted)
    return said


def wants(layout: Layout) -> list[str]:
    """The units that the next boot starts."""
    lines = (layout.units / layout.target).read_text().splitlines()
    return [line.removeprefix("Wants=") for line in lines if line.startswith("Wants=")]


def states(system: FakeSystem) -> dict[str, str]:
    return {name: unit.active for name, unit in system.loaded.items()}


@pytest.mark.parametrize(
    ("unit", "slot"), [(FIRST[1], ("worker", 2, 0)), (THIRD[0], ("worker", 1, 2))]
)
def test_the_slot_of_a_unit(unit: str, slot: tuple[str, int, int], layout: Layout) -> None:
    assert layout.slot(unit) == slot
    assert layout.worker_unit(*slot) == unit


@pytest.mark.parametrize("instance", ["x", "01", "1.0", "1.2.3", ""])
def test_an_instance_that_is_not_ours_is_in_no_slot(
    instance: str, layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    unit = f"satellite-shop.worker@{instance}.service"
    assert layout.slot(unit) == ("worker", 0, 0)
    deploy(layout, system, request(origin, origin.commit(), processes=OVERLAP))
    system.loaded[unit] = system.loaded[FIRST[0]]._replace(name=unit)
    deploy(layout, system, request(origin, origin.commit(a="2"), processes=OVERLAP))
    assert sorted(system.loaded) == SECOND  # it was stopped as the old ones were


def test_old_workers_are_told_to_end_only_when_the_new_ones_are_good(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="1"), processes=OVERLAP))
    old = system.running()
    assert sorted(old) == FIRST
    seen: list[dict[str, str]] = []
    watched = Release(
        layout,
        system,
        lambda _: None,
        lambda phase: seen.append(system.running()) if phase in ("gate", "close") else None,
    )
    system.slow = True
    watched.run(request(origin, origin.commit(a="2"), processes=OVERLAP))
    new = dict.fromkeys(SECOND, Ledger(layout).current())
    assert seen == [{**old, **new}] * 2
    assert system.running() == new
    assert states(system) == {
        **dict.fromkeys(FIRST, "deactivating"),
        **dict.fromkeys(SECOND, "active"),
    }
    assert wants(layout) == SECOND
    names = [note.name for note in notes.of(layout)]
    assert len(names) == len(set(names)) == 4


def test_a_deploy_does_not_wait_for_those_that_still_finish_a_job(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    system.slow = True
    for number in (1, 2, 3):
        wanted = request(origin, origin.commit(a=str(number)), processes=OVERLAP)
        deploy(layout, system, wanted)
    assert states(system) == {
        **dict.fromkeys((*FIRST, *SECOND), "deactivating"),
        **dict.fromkeys(THIRD, "active"),
    }
    # the release that the oldest of them run from is not pruned, and their lanes are taken again
    assert len(list(layout.releases.iterdir())) == 3
    system.slow = False
    system.systemctl("stop", *FIRST)
    deploy(layout, system, request(origin, origin.commit(a="4"), processes=OVERLAP))
    assert sorted(system.running()) == FIRST
    assert wants(layout) == FIRST


def test_a_failed_gate_never_touches_the_old_workers(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(), processes=OVERLAP))
    old, calls = dict(system.loaded), len(system.calls)
    with pytest.raises(ReleaseError, match=r"worker@1\.1.*ended while its health was watched"):
        deploy(layout, system, request(origin, origin.commit(CRASH="yes"), processes=OVERLAP))
    assert system.loaded == old
    touched = {name for call in system.calls[calls:] for name in call if "@" in name}
    assert touched == set(SECOND)
    assert wants(layout) == FIRST


def test_a_type_that_goes_is_not_stopped_before_the_gate_is_good(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    good = origin.commit()
    deploy(layout, system, request(origin, good, processes=OVERLAP))
    old = dict(system.loaded)
    renamed = (Process("heavy", 1, command="./worker", grace=5, overlap=True),)
    with pytest.raises(ReleaseError, match="ended while its health was watched"):
        deploy(layout, system, request(origin, origin.commit(CRASH="y"), processes=renamed))
    assert system.loaded == old
    deploy(layout, system, request(origin, good, processes=renamed))
    assert sorted(system.running()) == ["satellite-shop.heavy@1.service"]


def test_what_systemd_still_has_to_start_of_a_release_that_was_cut_off_is_taken_back(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="1"), processes=OVERLAP))
    old = Ledger(layout).current()

    def cut(phase: str) -> None:
        if phase == "mark good":
            raise Killed

    with pytest.raises(Killed):
        Release(layout, system, lambda _: None, cut).run(
            request(origin, origin.commit(a="2"), processes=OVERLAP)
        )
    for path in layout.notes.glob("*.json"):  # the power was cut: nobody lives
        path.unlink()
    waits = UnitState("", "inactive", "dead", 0, 0, "", True)
    system.loaded = {name: waits._replace(name=name) for name in SECOND}
    recover(layout, system, lambda _: None, wait=False)
    assert system.running() == dict.fromkeys(FIRST, old)
    assert sorted(system.loaded) == FIRST


def test_scaling_keeps_each_worker_where_it_is(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit(a="2")
    deploy(layout, system, request(origin, origin.commit(a="1"), processes=OVERLAP))
    deploy(layout, system, request(origin, revision, processes=OVERLAP))
    before = dict(system.loaded)
    more = (OVERLAP[0]._replace(quantity=3),)
    deploy(layout, system, request(origin, revision, processes=more))
    assert {n: u for n, u in system.loaded.items() if n in before} == before
    assert wants(layout) == [*SECOND, "satellite-shop.worker@3.service"]
    deploy(layout, system, request(origin, revision, processes=(OVERLAP[0]._replace(quantity=1),)))
    assert list(system.running()) == SECOND[:1]


def test_a_type_that_overlaps_no_more_stays_in_its_lane(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    for number in (1, 2):
        deploy(layout, system, request(origin, origin.commit(a=str(number)), processes=OVERLAP))
    before = dict(system.loaded)
    deploy(layout, system, request(origin, origin.git("rev-parse", "HEAD")))
    assert system.loaded == before
    deploy(layout, system, request(origin, origin.commit(a="3")))
    assert sorted(system.running()) == SECOND
    assert set(system.running().values()) == {Ledger(layout).current()}


def test_a_worker_that_crashes_again_and_again_is_replaced_beside_and_stopped(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="1"), processes=OVERLAP))
    crashed = system.loaded[FIRST[0]]._replace(active="activating", sub="auto-restart", pid=0)
    system.loaded[FIRST[0]] = crashed
    target = Ledger(layout).last_good()
    assert target is not None
    placed = lanes.place(layout, target, system.loaded)
    assert list(placed) == [SECOND[0], FIRST[1]]
    without = target.manifest._replace(processes=(OVERLAP[0]._replace(overlap=False),))
    placed = lanes.place(layout, Target(target.release, without), system.loaded)
    assert list(placed) == FIRST
    assert lanes.place(layout, None, system.loaded) == {}
