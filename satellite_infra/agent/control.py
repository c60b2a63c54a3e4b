"""Workers stopped, started and restarted by a person.

What is stopped is left out of the target that the machine's boot starts; so it stays stopped over a
reboot and a crash, until it is started here or another commit is deployed.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Sequence
from typing import Callable

from . import backoff, drain, lanes, state, storage, units
from .converge import begin, patience, settle, wanted_units
from .deadlines import LOCK_LIMIT
from .layout import Layout
from .ledger import Ledger, Target
from .naming import named
from .release_manifest import ReleaseManifest, Slot
from .system import Say, System

NOTE = 4096  # bytes of the disk that one takes
Work = Callable[["Control", list[Slot]], "tuple[list[Slot], str]"]


def chosen(manifest: ReleaseManifest, words: Sequence[str]) -> list[Slot]:
    """The workers that `TYPE` and `TYPE.N` name, all without a word; ValueError for all others."""
    found, wrong = named(words, {p.type: p.quantity for p in manifest.processes})
    if wrong:
        raise ValueError("; ".join(wrong))
    return [slot for slot in manifest.slots() if slot in found or not words]


class Control:
    """One act upon the workers of the current release."""

    def __init__(self, layout: Layout, system: System, wait: bool = True):
        self.layout, self.system, self.wait = layout, system, wait

    def stop(self, words: Sequence[str], by: str = "") -> str:
        """Have these workers end within their grace, and stay so; what was done."""
        return self._under_lock("stop", Control._stop, words, by)

    def start(self, words: Sequence[str], by: str = "") -> str:
        """Start those of these workers that do not run; what was done."""
        return self._under_lock("start", Control._start, words, by)

    def restart(self, words: Sequence[str], by: str = "") -> str:
        """Have each end within its grace and start anew; what is stopped stays so."""
        return self._under_lock("restart", Control._restart, words, by)

    def _under_lock(self, verb: str, work: Work, words: Sequence[str], by: str) -> str:
        why = f"{verb} of workers" + (f" by {by}" if by else "")
        try:
            with storage.locked(self.layout.lock, why, limit=LOCK_LIMIT):
                return self._done(work, words, by)
        except storage.HeldError as holder:
            host = Ledger(self.layout).identity()["host"]
            raise TimeoutError(
                f"nothing was done: {holder}, holds this host; to end a release: "
                f"satellite lock release --host {host}"
            ) from None

    def _done(self, work: Work, words: Sequence[str], by: str) -> str:
        target = state.current(self.layout)
        if target is None:
            raise LookupError("no release runs here yet: deploy first")
        self.target: Target = target
        done, text = work(self, chosen(target.manifest, words))
        if done:
            details = {"by": by} if by else {}
            names = [f"{type_}.{number}" for type_, number in done]
            Ledger(self.layout).record(f"{text.split()[0]}", names=names, **details)
        return text

    def _stop(self, slots: list[Slot]) -> tuple[list[Slot], str]:
        # first of all: from here on neither a recovery, a boot nor a crash brings them back
        gone = why_not = ""
        try:
            why_not = self._keep_stopped(slots)
        except LookupError as problem:  # no boot starts any; what runs is ended all the same
            gone = f"; {problem}"
        running = lanes.running(self.system.units([self.layout.worker_units]), queued=True)
        mine = [unit for unit in running if self.layout.slot(unit)[:2] in slots]
        if mine:
            began = self.system.now()
            self.system.systemctl("stop", "--no-block", "--", *mine)
            self._settle(mine, began)
            backoff.forget(self.layout, mine)
        if why_not:
            self._keep_on_full_disk(slots)
        if not mine:
            return [], f"stopped already: {lanes.names(slots)}{gone}"
        done = sorted({self.layout.slot(unit)[:2] for unit in mine})
        ends = ("" if self.wait else "; each ends within its grace") + gone
        again = "until `satellite start`, or until another commit is deployed"
        return done, f"stopped {lanes.names(done)}, {again}{ends}"

    def _keep_stopped(self, slots: list[Slot]) -> str:
        """Write down that they are to stay stopped; why not, where a disk is full or read-only."""
        try:
            Ledger(self.layout).note_stopped(slots, True)
            wanted = wanted_units(self.layout)
            self._want([unit for unit in wanted if self.layout.slot(unit)[:2] not in slots])
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EROFS):
                raise
            return str(problem.strerror)
        return ""

    def _keep_on_full_disk(self, slots: list[Slot]) -> None:
        """The same in the room held for a way back, once those have ended that may have filled it.

        OSError where there is none. The next release holds it again before it touches anything.
        """
        with contextlib.suppress(OSError):  # a disk that is read-only
            storage.remove(self.layout.reserve)
        why_not = self._keep_stopped(slots)
        if self.layout.journal.is_file():
            with contextlib.suppress(OSError):  # for the recovery that is due
                storage.reserve(self.layout.reserve, storage.RESERVE)
        if why_not:
            raise OSError(
                f"{lanes.names(slots)}: stopped now, but the next boot starts them again: "
                f"{self.layout.units / self.layout.target} cannot be written: {why_not}; "
                "satellite doctor says what to do; then stop them again"
            )

    def _start(self, slots: list[Slot]) -> tuple[list[Slot], str]:
        loaded = self.system.units([self.layout.worker_units])
        before = {self.layout.slot(unit)[:2]: unit for unit in wanted_units(self.layout)}
        placed = {
            self.layout.slot(unit)[:2]: unit
            for unit in lanes.place(self.layout, self.target, loaded)
        }
        units_of = {**{slot: placed[slot] for slot in slots}, **before}
        present = lanes.running(loaded)
        down = [units_of[slot] for slot in slots if units_of[slot] not in present]
        # one that still ends is started when it has ended
        ending = [u for u in present if loaded[u].active == "deactivating"]
        down += [units_of[slot] for slot in slots if units_of[slot] in ending]
        if down:
            self._prove(len(down))
        Ledger(self.layout).note_stopped(slots, False)
        self._want([units_of[slot] for slot in self.target.manifest.slots() if slot in units_of])
        if not down:
            return [], f"started already: {lanes.names(slots)}"
        self._begin(down)
        done = sorted(self.layout.slot(unit)[:2] for unit in down)
        return done, f"started {lanes.names(done)}"

    def _restart(self, slots: list[Slot]) -> tuple[list[Slot], str]:
        mine = [u for u in wanted_units(self.layout) if self.layout.slot(u)[:2] in slots]
        done = sorted(self.layout.slot(unit)[:2] for unit in mine)
        still = [slot for slot in slots if slot not in done]
        rest = f"; stopped, and stays so: {lanes.names(still)}" if still else ""
        if not mine:
            return [], f"restarted nothing{rest}"
        self._prove(len(mine))
        self._begin(mine)
        return done, f"restarted {lanes.names(done)}{rest}"

    def _prove(self, count: int) -> None:
        """OSError where so many workers could not start: each writes its note first."""
        probe = self.layout.notes / ".probe"
        try:
            storage.write(probe, " " * NOTE * count)
            storage.remove(probe)
        except OSError as problem:
            raise OSError(
                f"nothing was done: no worker could start, as nothing can be written to "
                f"{self.layout.notes}: {problem.strerror}; satellite doctor says what to do"
            ) from None

    def _begin(self, names: list[str]) -> None:
        began, limit = self.system.now(), self._limit() if self.wait else 0
        self._settle(begin(self.layout, names, self.system, limit), began)

    def _settle(self, names: list[str], began: float) -> None:
        if self.wait:
            settle(names, self.system, self._limit(), began)

    def _limit(self) -> int:
        return patience(self.layout, self.target)

    def _want(self, names: Iterable[str]) -> None:
        """Have the target want exactly these units."""
        file = units.render(self.target.manifest, names)[-1]
        if storage.write(self.layout.units / file.name, file.content, 0o644):
            self.system.systemctl("daemon-reload")


def end_release(layout: Layout, system: System, say: Say) -> str:
    """End the release that runs here, so that the host goes back to its last good one."""
    holder = state.lock(layout)
    if not drain.end_release(layout, system, say):
        return f"no release runs here{f'; {holder} holds the lock' if holder else ''}"
    if layout.journal.is_file():
        return f"ended; {layout.recover_unit} still puts the last good release back"
    target = state.current(layout)
    return f"ended; runs {target.release if target else 'no release'} now"
