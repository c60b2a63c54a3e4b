"""Make the host run one release and nothing else: forward and back are the same code.

Every step can be repeated, so after a kill anywhere the next run of it ends in the same place.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping

from . import backoff, lanes, limits, notes, storage, units
from .deadlines import longest_grace
from .layout import Layout
from .ledger import Ledger, Target
from .release_manifest import Slot
from .system import Say, System, UnitState

POLL = 0.2  # seconds between two looks at units
SOON = (0.05, 0.1)  # and before the first ones: most workers end and start at once
MARGIN = 30  # seconds beyond the longest grace, for systemd's own work


class MissingReleaseError(Exception):
    """The release that shall run is not on disk."""


def converge(
    layout: Layout,
    target: Target | None,
    system: System,
    say: Say,
    wait: bool = True,
    beside: bool = False,
    without: Collection[Slot] = (),
) -> bool:
    """Make the workers run `target`, or none; without `wait` systemd is only told what to do.

    With `beside`, old workers of types that may overlap are left as they are, until `retire`: True
    where there are some. `without`: what a person has stopped, and stays so.
    """
    if target is not None and not (layout.releases / target.release).is_dir():
        raise MissingReleaseError(f"{layout.releases / target.release} is not there")
    limit = patience(layout, target)
    loaded = system.units([layout.worker_units, layout.target])
    # whoever mended a worker's file by hand may have left systemd with the other one
    stale = any(unit.stale for unit in loaded.values())
    there = loaded.pop(layout.target, None)
    wanted = lanes.place(layout, target, loaded, without)
    if without:
        say(f"stopped by a person, and stays so: {lanes.names(without)}")
    write_units(layout, target, wanted, system, stale)
    switch(layout, target)
    began, so_long = system.now(), limit if wait else 0
    touched, left = restart(layout, target, wanted, loaded, system, say, beside, so_long)
    if wanted and not (there and there.active == "active" and not there.job):
        system.systemctl("start", "--no-block", "--", layout.target)
    if wait:
        settle(touched, system, limit, began)
    remove_stale(layout, target, system)
    return left


def write_units(
    layout: Layout, target: Target | None, wanted: Iterable[str], system: System, stale: bool
) -> None:
    """Write the release's unit files and have systemd read them; workers stay as they are.

    `stale`: it has to read them whether they change now or not.
    """
    files = units.render(target.manifest, wanted) if target else []
    changed = [storage.write(layout.units / file.name, file.content, 0o644) for file in files]
    enabled = layout.wants / layout.target
    if target:
        enabled.parent.mkdir(parents=True, exist_ok=True)
        changed.append(storage.point(enabled, layout.units / layout.target))
    elif enabled.is_symlink():
        storage.remove(enabled)
        changed.append(True)
    if stale or any(changed):
        system.systemctl("daemon-reload")


def switch(layout: Layout, target: Target | None) -> None:
    """Point `current` at the release, with no moment in between."""
    if target is None:
        storage.remove(layout.current)
        return
    storage.write(layout.manifest(target.release), target.manifest.text())
    storage.point(layout.current, layout.releases / target.release)


def restart(
    layout: Layout,
    target: Target | None,
    wanted: Mapping[str, str],
    loaded: Mapping[str, UnitState],
    system: System,
    say: Say,
    beside: bool,
    limit: float,
) -> tuple[list[str], bool]:
    """Tell systemd to start, restart and stop what differs, side by side.

    The units to wait for, and whether old workers are left beside; `loaded`: all units of workers.
    `limit`: seconds in which those that start are waited for here.
    """
    running = set(lanes.running(loaded))
    live = notes.live(layout)
    right = {n for n in wanted if n in running and lanes.is_right(loaded[n], wanted[n], live)}
    overlap = _overlapping(layout, target, beside)
    over = [name for name in sorted(running - set(wanted)) if layout.slot(name)[0] in overlap]
    # at boot systemd still has to start what the release that was cut off wanted
    there = set(lanes.running(loaded, queued=True))
    stop = sorted(there - set(wanted) - set(over if beside else ()))
    start = sorted(set(wanted) - right)
    if stop:
        say(f"stopping {_count(stop)}, each within its grace")
        system.systemctl("stop", "--no-block", "--", *stop)
    if start:
        again = len(running & set(start))
        say(
            f"starting {_count(start)}"
            + (f", {again} of them after the old one's end" if again else "")
        )
        start = begin(layout, start, system, limit)
    draining = {name for name in over if loaded[name].active == "deactivating"}
    return [name for name in (*stop, *start) if name not in draining], beside and bool(over)


def begin(layout: Layout, names: list[str], system: System, limit: float) -> list[str]:
    """Have these start anew, and wait so many seconds for them; those that are still not there.

    Who asks for it does not wait for what an old one did.
    """
    backoff.forget(layout, names)
    # one that lives keeps its limits to its end, and the next could begin under them as it did
    live = notes.live(layout)
    limits.lift(layout, [name for name in names if name not in live], system)
    if not limit:
        system.restart(names, 0)
        return names
    with notes.awaited(layout, names, live, system) as look:
        done = system.restart(names, limit, look)
    return [] if done else names


def _overlapping(layout: Layout, target: Target | None, beside: bool) -> set[str]:
    """The types whose old workers may stay for now; also one that goes, until the gate is good."""
    new = target.manifest.processes if target else ()
    last = Ledger(layout).last_good() if beside else None
    gone = last.manifest.processes if last else ()
    kept = {process.type for process in new}
    return {p.type for p in (*new, *(p for p in gone if p.type not in kept)) if p.overlap}


def retire(layout: Layout, system: System, say: Say) -> None:
    """Have the old workers end that were left beside the new ones; nobody waits for them."""
    loaded = system.units([layout.worker_units])
    old = sorted(set(lanes.running(loaded)) - set(wanted_units(layout)))
    if old:
        say(f"stopping {_count(old)}, each within its grace")
        system.systemctl("stop", "--no-block", "--", *old)


def wanted_units(layout: Layout) -> list[str]:
    """The units of the workers that shall run, as their target on disk says.

    LookupError where somebody has removed it.
    """
    path = layout.units / layout.target
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise LookupError(f"{path} is gone: satellite up --same-commit --again") from None
    return [line[6:] for line in text.split("\n") if line.startswith("Wants=")]


def stopped(layout: Layout, target: Target | None) -> list[Slot]:
    """What of `target`, which runs here, a person has stopped: its units on disk do not want it."""
    if target is None or not (layout.units / layout.target).is_file():
        return []
    wanted = {layout.slot(unit)[:2] for unit in wanted_units(layout)}
    return [slot for slot in target.manifest.slots() if slot not in wanted]


def settle(names: Iterable[str], system: System, limit: float, began: float) -> None:
    """Wait until systemd has no start or stop of these units left to do.

    At most so many seconds since it `began`.
    """
    wanted, end = list(names), began + limit
    for pause in pauses():
        waiting = [u for u in system.units(wanted).values() if u.job or u.active == "deactivating"]
        if not waiting:
            return
        if system.now() > end:
            late = ", ".join(sorted(unit.name for unit in waiting))
            raise TimeoutError(f"{late}: still {waiting[0].active} after {limit:.0f} s")
        system.sleep(pause)


def pauses() -> Iterator[float]:
    """Seconds before each further look."""
    return itertools.chain(SOON, itertools.repeat(POLL))


def remove_stale(layout: Layout, target: Target | None, system: System) -> None:
    """Remove the units of process types that the formation no longer has."""
    kept = {file.name for file in units.render(target.manifest, ())} if target else set()
    present = [
        layout.units / layout.target,
        *layout.units.glob(layout.template_unit("*")),
    ]
    stale = [path for path in present if path.name not in kept and path.exists()]
    if not stale:
        return
    # a worker that still ends needs its unit: it says what happens to the jobs
    ending = lanes.running(system.units([layout.worker_units]))
    needed = {layout.template_unit(layout.slot(name)[0]) for name in ending}
    gone = [path for path in stale if path.name not in needed]
    for path in gone:
        storage.remove(path)
    if gone:
        system.systemctl("daemon-reload")


def patience(layout: Layout, target: Target | None = None) -> int:
    """Seconds in which the slowest worker has ended, of the old formation and the new."""
    graces = [p.grace for p in target.manifest.processes] if target else []
    return longest_grace(layout, graces) + MARGIN


def _count(names: list[str]) -> str:
    return f"{len(names)} worker{'' if len(names) == 1 else 's'}"
