"""The health gate: a release is good when all its workers stayed up for a while."""

from __future__ import annotations

from . import workers
from .converge import POLL
from .layout import Layout
from .ledger import Target
from .system import System, UnitState

START_LIMIT = 30  # seconds for a worker to be started at all


class UnhealthyError(Exception):
    """A worker of the new release did not stay up; the text says which and how it ended."""


def watch(layout: Layout, target: Target, system: System) -> None:
    """Wait until every worker runs, then see each keep its process for the gate's seconds."""
    names = [layout.worker_unit(type_, number) for type_, number in target.manifest.slots()]
    first = _started(layout, target, names, system)
    end = system.now() + target.manifest.gate_seconds
    while system.now() < end:
        system.sleep(POLL)
        _same(first, system.units(names))


def _started(
    layout: Layout, target: Target, names: list[str], system: System
) -> dict[str, tuple[int, int]]:
    end = system.now() + START_LIMIT
    while True:
        units, live = system.units(names), workers.live(layout)
        first = {name: (unit.pid, unit.restarts) for name, unit in units.items()}
        waiting = [name for name in names if not _runs(name, target, units, live)]
        if not waiting:
            return first
        if system.now() > end:
            unit = units.get(waiting[0])
            how = (
                f"{unit.active} ({unit.result}), {unit.restarts} restarts" if unit else "not loaded"
            )
            raise UnhealthyError(f"{waiting[0]}: did not start within {START_LIMIT} s: {how}")
        system.sleep(POLL)


def _runs(
    name: str, target: Target, units: dict[str, UnitState], live: dict[str, workers.Note]
) -> bool:
    unit, note = units.get(name), live.get(name)
    if unit is None or note is None:
        return False
    return unit.active == "active" and note.release == target.release and note.pid == unit.pid


def _same(first: dict[str, tuple[int, int]], units: dict[str, UnitState]) -> None:
    for name, (pid, restarts) in first.items():
        unit = units.get(name)
        if unit is None or unit.active != "active" or (unit.pid, unit.restarts) != (pid, restarts):
            how = f"{unit.result}, {unit.restarts - restarts} restarts" if unit else "unit gone"
            raise UnhealthyError(f"{name}: ended while its health was watched ({how})")
