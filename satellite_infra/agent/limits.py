"""A worker's limits belong to its own unit, set at its start: no new unit file changes an old one.

Systemd applies a unit file that it reads again to what runs already (cgroup v2). Limits in the
template would be those of a release before that is good, and end the workers of the last good one.
"""

from __future__ import annotations

from .layout import Layout
from .manifest import Process
from .system import System

NONE = {"MemoryMax": "infinity", "CPUQuota": ""}


def apply(layout: Layout, unit: str, process: Process, system: System) -> None:
    """Give the unit its type's limits, until it starts anew or the machine does."""
    wanted = {"MemoryMax": process.memory_max, "CPUQuota": process.cpu}
    if any(wanted.values()) or (layout.runtime_units / f"{unit}.d").is_dir():  # or had some before
        pairs = [f"{key}={value or NONE[key]}" for key, value in wanted.items()]
        system.systemctl("set-property", "--runtime", "--", unit, *pairs)
