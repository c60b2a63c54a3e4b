"""A worker's limits belong to its own unit, set at its start: no new unit file changes an old one.

Systemd applies a unit file that it reads again to what runs already (cgroup v2). Limits in the
template would be those of a release before that is good, and end the workers of the last good one.
"""

from __future__ import annotations

from collections.abc import Iterable

from .layout import Layout
from .release_manifest import Process
from .system import System


def apply(layout: Layout, unit: str, process: Process, system: System) -> None:
    """Give the unit its type's limits, until it starts anew or the machine does."""
    if process.memory_max or process.cpu or _has_some(layout, unit):
        _set(unit, process.memory_max, process.cpu, system)


def lift(layout: Layout, units: Iterable[str], system: System) -> None:
    """Take the limits of units without a worker that are to start: the next sets its own.

    One that is too small for this very program would keep it from ever setting another.
    """
    for unit in units:
        if _has_some(layout, unit):
            _set(unit, "", "", system)


def _has_some(layout: Layout, unit: str) -> bool:
    return (layout.runtime_units / f"{unit}.d").is_dir()


def _set(unit: str, memory: str, cpu: str, system: System) -> None:
    limits = (f"MemoryMax={memory or 'infinity'}", f"CPUQuota={cpu}")
    system.systemctl("set-property", "--runtime", "--", unit, *limits)
