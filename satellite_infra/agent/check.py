"""What monit is told of a process type's workers: who is above a threshold, and what to do."""

from __future__ import annotations

from . import backoff, held, storage
from .layout import Layout, instance
from .system import System, whole

QUIET = 600  # seconds without an unclean end after which it is over
SHOWN = "Id,InvocationID,ControlGroup,MemoryCurrent,CPUUsageNSec"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def check(
    layout: Layout, type_: str, memory: str, cpu: str, restarts: int, system: System
) -> list[str]:
    """A line for each worker and threshold that it is above; each names the worker."""
    found: list[str] = []
    shown = _shown(layout, type_, system, note=bool(cpu)) if memory or cpu else {}
    for worker, (used, share) in sorted(shown.items()):
        if memory and used > int(memory[:-1]) * UNITS[memory[-1]]:
            found.append(
                f"{worker}: memory {used >> 20} MB, more than {memory}: look at its jobs, or set "
                f"satellite:processes.{type_}.memory_max"
            )
        if cpu and share is not None and share > int(cpu[:-1]):
            found.append(
                f"{worker}: CPU {share:.0f}%, more than {cpu}: look at its jobs, or set "
                f"satellite:processes.{type_}.cpu"
            )
    return found + (_ends(layout, type_, restarts) if restarts else [])


def _shown(
    layout: Layout, type_: str, system: System, note: bool
) -> dict[str, tuple[int, float | None]]:
    """Worker -> bytes of memory, and percent of a core since the last look that was noted."""
    store = layout.run / "checks" / f"{type_}.json"
    before, after, now = storage.read_json(store, {}), {}, system.now()
    found: dict[str, tuple[int, float | None]] = {}
    for pairs in system.show([layout.worker_units], SHOWN):
        kind, number, lane = layout.slot(pairs.get("Id", ""))
        if kind != type_ or not number:
            continue
        spent, run = whole(pairs.get("CPUUsageNSec")), pairs.get("InvocationID", "")
        after[run] = [spent, now]
        then = before.get(run)
        share = (spent - then[0]) / 1e7 / (now - then[1]) if then and now > then[1] else None
        worker = f"{type_}.{instance(number, lane)}"
        counted = whole(pairs.get("MemoryCurrent"))
        found[worker] = held.memory(layout, pairs.get("ControlGroup", ""), counted), share
    if note:
        storage.write_json(store, after)
    return found


def _ends(layout: Layout, type_: str, restarts: int) -> list[str]:
    known = [path.name for path in sorted(layout.ends.glob("*"))]
    # a deploy may just now forget one
    recent = [unit for unit in known if 0 <= backoff.age(layout, unit) < QUIET]
    found = []
    for unit in (unit for unit in recent if layout.slot(unit)[0] == type_):
        ends = backoff.ends(layout, unit)
        if ends >= restarts:
            times = "once" if ends == 1 else f"{ends} times in a row"
            found.append(
                f"{unit}: ended early {times} and was started again: "
                f"journalctl -u '{unit}' says why"
            )
    return found
