"""What this host is and runs, as data: for the operator's commands, and for whoever looks."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from . import (
    backoff,
    converge,
    examine,
    flat,
    held,
    installed,
    lanes,
    measured,
    moments,
    notes,
    procfile,
    storage,
)
from .layout import Layout, instance
from .ledger import ROTATION, Ledger, Target
from .release_manifest import ReleaseManifest
from .system import System, UnitState

LOCKS = Path("/proc/locks")


def report(layout: Layout, system: System) -> dict[str, Any]:
    """All of it; nothing secret. LookupError where this host is not bootstrapped."""
    ledger = Ledger(layout)
    identity = ledger.identity()
    target = None
    with contextlib.suppress(LookupError):  # a finding
        target = current(layout)
    free, total = storage.room(layout.base)
    holder, found, clock = lock(layout), _workers(layout, target, system), time.time()
    return {
        "host": identity["host"],
        "machine": identity["machine"],
        "app": layout.app,
        "environment": identity["environment"],
        "now": moments.stamp(clock),
        "clock": clock,
        "agent": installed.installed(layout),
        "launched": _launched(layout.first_boot),
        "booted": moments.stamp(_booted()),
        "current": target.release if target else None,
        "revision": target.manifest.revision if target else None,
        "good": _good(ledger),
        "last_release": _last_release(ledger),
        "unfinished": layout.journal.is_file(),
        "lock": holder,
        "disk": {"free": free, "total": total},
        "workers": found,
        "procfile": _procfile(layout, target),
        "manifest": flat.digests(flat.load(target.manifest.text())) if target else None,
        "queue": measured.last(layout, clock),
        "findings": examine.examine(layout, system, found, holder),
    }


def current(layout: Layout) -> Target | None:
    """The release that `current` points to, by the manifest that it runs by.

    LookupError where somebody has moved it to what is none.
    """
    release = Ledger(layout).current()
    if release is None:
        return None
    try:
        text = layout.manifest(release).read_text(encoding="utf-8")
        return Target(release, ReleaseManifest.parse(text))
    except (OSError, ValueError):
        raise LookupError(
            f"{layout.current} is no release, or its manifest cannot be read: "
            "satellite up --same-commit --again"
        ) from None


def _procfile(layout: Layout, target: Target | None) -> list[str] | None:
    """The process types in that of the release; None where nobody knows."""
    if target is None:
        return None
    try:
        return sorted(procfile.read(layout.releases / target.release))
    except (OSError, ValueError):  # a finding
        return None


def _good(ledger: Ledger) -> list[dict[str, str]]:
    """What is kept, oldest first; `first`: which release of its commit came before all others."""
    with contextlib.suppress(ValueError):  # a finding
        return [
            {"release": target.release, "revision": target.manifest.revision, "first": first}
            for target, first in ledger.builds()
        ]
    return []


def _last_release(ledger: Ledger) -> dict[str, Any] | None:
    """How the newest one ended, `good` or `failed`; None where the history has none.

    A rotation is nobody's deploy.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):  # somebody has changed it
        for event in reversed(ledger.history()):
            if event["outcome"] in ("good", "failed") and event.get("by") != ROTATION:
                return {key: event.get(key) for key in ("at", "outcome", "revision")}
    return None


def lock(layout: Layout, locks: Path = LOCKS) -> str | None:
    """What the holder of the app's lock says of itself; None where nobody holds it.

    Looked up, not tried: a lock that is held for a moment would send a recovery away.
    """
    try:
        found = layout.lock.stat()
    except FileNotFoundError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in locks.read_text(encoding="ascii").splitlines():
        words = line.split()
        if "FLOCK" in words and "->" not in words and device in words:
            return storage.holder(layout.lock)
    return None


def _launched(marks: Path) -> str | None:
    """When the machine booted first, some seconds after its launch; None where nothing knows.

    cloud-init marks what it does once for an instance, by its id, at that moment:
    https://docs.cloud-init.io/en/latest/explanation/boot.html#first-boot-determination
    """
    try:
        return moments.stamp(min(mark.stat().st_mtime for mark in marks.iterdir()))
    except (OSError, ValueError):
        return None


def _booted() -> float:
    """When the first process of this machine began."""
    ticks = int(notes.process_start(1)) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks


def _workers(layout: Layout, target: Target | None, system: System) -> list[dict[str, Any]]:
    """Those that shall run, those that are stopped for now, and old ones that still end."""
    loaded = system.units([layout.worker_units])
    live = notes.live(layout)
    wanted = set(converge.wanted_units(layout)) if (layout.units / layout.target).is_file() else ()
    slots = {layout.slot(unit)[:2] for unit in (*wanted, *lanes.running(loaded))}
    missing = [
        layout.worker_unit(*slot)
        for slot in (target.manifest.slots() if target else ())
        if slot not in slots
    ]
    names = sorted({*wanted, *lanes.running(loaded), *missing}, key=layout.slot)
    gone = UnitState("", "inactive", "dead", 0, 0, "", False)
    return [
        _worker(layout, name, loaded.get(name, gone), live.get(name), name in missing)
        for name in names
    ]


def _worker(
    layout: Layout, name: str, unit: UnitState, note: notes.Note | None, stopped: bool
) -> dict[str, Any]:
    type_, number, lane = layout.slot(name)
    runs = note is not None and note.pid == unit.pid and unit.active == "active"
    ends = backoff.ends(layout, name)
    since, revision = None, None
    if note:
        since = moments.stamp(time.time() - (time.monotonic() - note.since))
        with contextlib.suppress(OSError, ValueError):  # a release that is being removed
            text = layout.manifest(note.release).read_text(encoding="utf-8")
            revision = ReleaseManifest.parse(text).revision
    return {
        "name": f"{type_}.{instance(number, lane)}",
        "unit": name,
        "state": "stopped" if stopped else _state(unit, runs, ends),
        "since": since,
        "pid": unit.pid or None,
        "memory": held.memory(layout, unit.group, unit.memory),
        "ends": ends,
        "restarts": unit.restarts,
        "release": note.release if note else None,
        "revision": revision,
    }


def _state(unit: UnitState, runs: bool, ends: int) -> str:
    """In one word; `waiting`: it ended early again and again, and is started later."""
    if runs:
        return "running"
    if unit.active == "deactivating":
        return "ending"
    if unit.active in ("active", "activating"):
        return "waiting" if ends > 1 else "starting"
    return "failed" if unit.active == "failed" else "down"
