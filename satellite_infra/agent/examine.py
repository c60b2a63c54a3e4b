"""What of this host is not as its last good release and its bootstrap made it.

It looks and changes nothing, waits for nobody and asks no network.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

from . import compiled, converge, installed, metadata, moments, notes, seal, storage, units
from .layout import Layout
from .ledger import Ledger, Target
from .system import System

LOW, FULL = 10, 50  # free: less than one part of so many
ENOUGH = 1 << 30  # bytes; less is little on a large disk, too
LONG = 3600  # seconds for which a lock is held without anybody's wondering
TRIED = 60  # seconds for which a queue may not answer without anybody's wondering
LONGEST = 500  # characters of why it does not
SHOWN = "Id,LoadState,FragmentPath,DropInPaths,ActiveState,NeedDaemonReload"
SINCE = re.compile(r"since (\S+Z)$")
STATES = {
    "stopped": ("worker_stopped", "was stopped by a person"),
    "down": ("worker_down", "should run and does not"),
    "failed": ("worker_down", "should run and has failed"),
    "waiting": ("worker_waiting", "ended early again and again, and waits for its next start"),
}


class Finding(NamedTuple):
    """One thing that is not as it should be; `about`: the file or worker; nothing secret."""

    code: str
    text: str
    about: str = ""


Found = Iterator[Finding]


def examine(
    layout: Layout, system: System, workers: Sequence[Mapping[str, Any]], lock: str | None
) -> list[dict[str, str]]:
    """All findings; `workers` and `lock` as `state` has found them."""
    last = None
    with contextlib.suppress(ValueError):  # a finding
        last = Ledger(layout).last_good()
    looks: list[Callable[[], Found]] = [lambda: _disk(layout), lambda: _agent(layout)]
    looks += [lambda: _memory(layout)]
    looks += [lambda: _sealed(layout.seal), lambda: _systemd(layout, system, workers)]
    looks += [lambda: _enabled(layout), lambda: _wall(layout, system), lambda: _held_jobs(layout)]
    if lock:  # whoever holds it is about to change the rest
        looks = [looks[0], lambda: _held(lock)]
    elif layout.journal.is_file():
        looks += [_cut_off]
    elif last:
        looks += [
            lambda: _current(layout, last),
            lambda: _units(layout, last),
            lambda: _sealed(layout.release_seal(last.release)),
            lambda: _workers(last, workers),
            lambda: _followed(layout, last),
        ]
    return [finding._asdict() for look in looks for finding in _looked(look)]


def _looked(look: Callable[[], Found]) -> Found:
    """One file that nobody can read hides nothing else."""
    try:
        yield from look()
    except (OSError, ValueError, LookupError) as problem:
        yield Finding("unreadable", f"could not be examined: {problem}")


def _disk(layout: Layout) -> Found:
    written = (layout.units, layout.base, layout.state, layout.logs)
    fixed = [str(p) for p in written if p.is_dir() and os.statvfs(p).f_flag & os.ST_RDONLY]
    if fixed:
        yield Finding("read_only", f"the disk is read-only: {', '.join(fixed)}", fixed[0])
    for path in {p.stat().st_dev: p for p in reversed(layout.places) if p.is_dir()}.values():
        disk = os.statvfs(path)
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        room = f"{free >> 20} of {total >> 20} MB are free at {path}"
        few = f"{disk.f_favail} of {disk.f_files} inodes are free at {path}"
        for left, of, enough, text in (
            (free, total, min(ENOUGH, total // 2), room),
            (disk.f_favail, disk.f_files, 0, few),
        ):
            if left * FULL < of:
                yield Finding("disk_full", f"the disk is full: {text}", str(path))
            elif left * LOW < of or left < enough:
                yield Finding("disk_low", f"the disk is nearly full: {text}", str(path))


def _held(lock: str) -> Found:
    since = SINCE.search(lock)
    held = time.time() - moments.seconds(since[1]) if since else 0
    if held > LONG:
        yield Finding("lock_long", f"has been at work for {held / 3600:.0f} h: {lock}")


def _cut_off() -> Found:
    yield Finding("cut_off", "a release was cut off, and nothing has put the host back yet")


def _agent(layout: Layout) -> Found:
    wanted = installed.installed(layout)
    if not wanted:
        return
    directory = layout.agent.parent / wanted
    about = str(directory)
    if installed.digest(installed.contents(directory)) != wanted:
        yield Finding("agent_edited", f"the agent in {about} was changed by hand", about)
    elif slow := compiled.wrong(directory / "agent"):
        text = f"each start of the agent in {about} takes longer: it compiles up to {len(slow)}"
        yield Finding("agent_slow", f"{text} of its modules anew", about)


def _memory(layout: Layout) -> Found:
    """What nobody can read of what the host remembers, without which nothing is released."""
    ledger = Ledger(layout)
    for path, read in (
        (layout.good, ledger.good),
        (layout.journal, ledger.unfinished),
        (layout.prepared, ledger.prepared),
        (layout.phases, lambda: ledger.phase_succeeded("")),
    ):
        try:
            read()
        except ValueError as problem:
            yield Finding("unreadable", str(problem), str(path))


def _sealed(path: Path) -> Found:
    for name, how in seal.broken(path):
        code = "config_changed" if Path(name).name == "config.json" else "file_changed"
        yield Finding(code, f"{name} {how}", name)


def _systemd(layout: Layout, system: System, workers: Sequence[Mapping[str, Any]]) -> Found:
    """What systemd has read of the workers' units and of our own, wherever it found that."""
    own = (
        *(layout.target, layout.recover_unit, layout.reap_unit, layout.metadata_unit),
        *(layout.rotate_unit, layout.rotate_timer, layout.queue_unit, layout.queue_timer),
    )
    names = (layout.worker_units, *(worker["unit"] for worker in workers), *own)
    shown = {block["Id"]: block for block in system.show(names, SHOWN)}
    # of a masked one systemd says that for as long as it is
    stale = sorted(u for u, b in shown.items() if b["NeedDaemonReload"] == "yes" and not _masked(b))
    if stale:
        text = f"systemd has not read the files of {', '.join(stale)} again"
        yield Finding("not_reloaded", text, stale[0])
    for unit, block in sorted(shown.items()):
        yield from _stands_in(layout, unit, block)
    for path in sorted({path for block in shown.values() for path in _added(layout, block)}):
        yield Finding("drop_in", f"somebody has added {path}", path)
    for unit in (layout.metadata_unit, layout.rotate_timer, layout.queue_timer):
        there = (layout.units / unit).exists() and unit in shown
        if there and shown[unit]["ActiveState"] in ("inactive", "failed"):
            yield Finding("unit_stopped", f"{unit} should run and does not", unit)


def _masked(block: Mapping[str, str]) -> bool:
    return block["LoadState"] == "masked"


def _stands_in(layout: Layout, unit: str, block: Mapping[str, str]) -> Found:
    """A file that systemd reads in place of ours; what is wrong with ours is told elsewhere."""
    path, ours = block["FragmentPath"], layout.units / re.sub("@.*[.]", "@.", unit)
    if path in ("", str(ours)):
        return
    if _masked(block):
        yield Finding("unit_masked", f"{unit} is masked: nothing can start it", unit)
    else:
        yield Finding("unit_replaced", f"somebody has put {path} in the place of {ours}", path)


def _added(layout: Layout, block: Mapping[str, str]) -> Iterator[str]:
    """What is added to our units alone: what is about all services is the machine's own."""
    for path in shlex.split(block["DropInPaths"]):
        folder = Path(path).parent
        # not what the agent itself sets at runtime, a worker's limits
        if folder.name.startswith("satellite-") and folder.parent != layout.runtime_units:
            yield path


def _enabled(layout: Layout) -> Found:
    """Our own units are started at every boot."""
    booted = (layout.recover_unit, layout.reap_unit, layout.metadata_unit)
    links = [layout.wants / unit for unit in booted]
    links += [layout.timers / timer for timer in (layout.rotate_timer, layout.queue_timer)]
    for link in links:
        if (layout.units / link.name).exists() and not link.is_symlink():
            text = f"{link.name} is not enabled: no boot starts it"
            yield Finding("unit_edited", text, link.name)


def _wall(layout: Layout, system: System) -> Found:
    if layout.metadata_rules.exists() and not metadata.stands(layout, system):
        text = f"the app can reach the instance's metadata: {layout.table} is no table of the "
        yield Finding("metadata_open", f"{text}firewall any more")


def _held_jobs(layout: Layout) -> Found:
    """Jobs of dead workers that nobody can give back, though it has been tried for a while."""
    for path in notes.damaged(layout):
        text = f"{path} cannot be read: what that worker may hold stays as it is"
        yield Finding("unreadable", text, str(path))
    dead, now = {note.name for note in notes.of(layout) if not note.alive()}, time.monotonic()
    noted = storage.read_json(layout.unreaped, {})
    tried = {name: one for name, one in noted.items() if name in dead}
    held = sorted((one["since"], name) for name, one in tried.items() if now - one["since"] > TRIED)
    if held:
        began, name = held[0]
        whose = name if len(held) == 1 else f"{name} and {len(held) - 1} others that ended"
        why = " ".join(tried[name]["why"].split())[:LONGEST]
        since = moments.stamp(time.time() - now + began)
        text = f"jobs of {whose} could not be given back since {since}: {why}"
        yield Finding("jobs_held", text, name)


def _current(layout: Layout, last: Target) -> Found:
    link, wanted = layout.current, layout.releases / last.release
    there = str(link.readlink()) if link.is_symlink() else "is no link"
    if there != str(wanted):
        text = f"`current` was moved: {there}; the last good release is {last.release}"
        yield Finding("current_moved", text, str(link))
    elif not storage.same(layout.manifest(last.release), last.manifest.text(), 0o600):
        name = str(layout.manifest(last.release))
        yield Finding("file_changed", f"{name} was changed by hand", name)


def _units(layout: Layout, last: Target) -> Found:
    target, slots = layout.units / layout.target, set(last.manifest.slots())
    wanted = converge.wanted_units(layout) if target.is_file() else []
    kept = [unit for unit in wanted if layout.slot(unit)[:2] in slots]
    for file in units.render(last.manifest, kept):
        path = layout.units / file.name
        if not storage.same(path, file.content, 0o644):
            how = "is not as the release wrote it" if path.exists() else "is gone"
            yield Finding("unit_edited", f"{path} {how}", file.name)
    if not (layout.wants / layout.target).is_symlink():
        yield Finding("unit_edited", f"{layout.target} is not enabled: no worker starts at a boot")


def _workers(last: Target, workers: Sequence[Mapping[str, Any]]) -> Found:
    for worker in workers:
        name = worker["name"]
        if worker["state"] in STATES:
            code, how = STATES[worker["state"]]
            yield Finding(code, f"{name} {how}", name)
        elif worker["state"] == "running" and worker["release"] != last.release:
            text = f"{name} runs {worker['release']}, not the last good {last.release}"
            yield Finding("worker_old", text, name)


def _followed(layout: Layout, last: Target) -> Found:
    """Whether the last look at Heroku told what the workers shall have."""
    memory = storage.read_json(layout.rotation, {})
    if last.manifest.inherited and "since" in memory:
        since = moments.stamp(memory["since"])
        yield Finding("not_followed", f"Heroku is not followed since {since}: {memory['trouble']}")
