"""Which unit each worker of a formation runs as: its own lane of its slot.

A slot is a process type and a number. Its worker is `TYPE@NUMBER`, and a second one that runs while
the first still finishes its job `TYPE@NUMBER.1`, and so on: the first lane that is free. Nothing is
remembered but in systemd and the notes, so that after a kill anywhere the same question has a right
answer again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from . import notes, workers
from .layout import Layout
from .ledger import Target
from .release_manifest import Slot
from .system import UnitState


def place(
    layout: Layout,
    target: Target | None,
    loaded: Mapping[str, UnitState],
    without: Collection[Slot] = (),
) -> dict[str, str]:
    """Unit -> shape of each worker that shall run; `loaded`: all units of workers.

    `without`: the slots that shall have none.
    """
    if target is None:
        return {}
    live = notes.live(layout)
    placed: dict[str, str] = {}
    present: dict[tuple[str, int], list[str]] = {}
    for name in running(loaded):
        present.setdefault(layout.slot(name)[:2], []).append(name)
    for type_, number in target.manifest.slots():
        if (type_, number) in without:
            continue
        process = target.manifest.process(type_)
        shape = workers.shape(target.release, process)
        busy = present.get((type_, number), [])
        right = [name for name in busy if is_right(loaded[name], shape, live)]
        if not process.overlap:  # the one that runs is started again when it has ended
            right += [name for name in busy if loaded[name].active != "deactivating"] + busy
        lanes = {layout.slot(name)[2] for name in busy}
        free = min(set(range(len(lanes) + 1)) - lanes)
        placed[right[0] if right else layout.worker_unit(type_, number, free)] = shape
    return placed


def names(slots: Iterable[Slot]) -> str:
    """Their workers as people name them."""
    return ", ".join(f"{type_}.{number}" for type_, number in slots)


def running(loaded: Mapping[str, UnitState], queued: bool = False) -> list[str]:
    """The units that have a process, or soon will, by name.

    `queued`: those, too, that systemd has still to start, as while a boot waits for the network.
    """
    down = {n for n, unit in loaded.items() if unit.active in ("inactive", "failed")}
    return sorted(n for n, unit in loaded.items() if n not in down or (queued and unit.job))


def is_right(unit: UnitState, shape: str, live: Mapping[str, notes.Note]) -> bool:
    """The unit's own process is a worker of that shape, and nobody has told it to end."""
    note = live.get(unit.name)
    if note is None or unit.job or unit.active != "active":
        return False
    return note.pid == unit.pid and note.shape == shape
