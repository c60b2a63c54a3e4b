"""What the host remembers: good releases, an unfinished one, its identity, its history."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import moments, storage
from .layout import Layout
from .release_manifest import ReleaseManifest, Slot

HISTORY_KEPT = 1000  # lines
ROTATION = "rotation"
"""Who asks for a release that the host makes by itself; people are USER@MACHINE."""
GOOD, PREPARED = ("good", "rotated"), "prepared"
"""Outcomes in the history: of releases that were good, and of a host that is another environment's
from then on."""
PHASES_KEPT = 1000  # revisions whose release phase is remembered; one forgotten would run again


class Target(NamedTuple):
    """What the workers shall run: a release on disk, by that manifest."""

    release: str
    manifest: ReleaseManifest

    def record(self) -> dict[str, str]:
        """As it is written down."""
        return {"release": self.release, "manifest": self.manifest.text()}

    @classmethod
    def of(cls, record: dict[str, str], file: Path) -> Target:
        """From what was written down there; ValueError names it where that is no release."""
        try:
            return cls(_name(record["release"]), ReleaseManifest.parse(record["manifest"]))
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ValueError(
                f"{file} cannot be read: it should hold a release: {problem}"
            ) from None


class Unfinished(NamedTuple):
    """A release whose journal is there."""

    target: Target
    good: bool  # it passed its gate: only what comes after that is left to do
    noted: bool  # and history and webhook know
    by: str = ""  # who asked for it
    begun: int = 0  # in nanoseconds since 1970; an older agent's journal does not say it
    event: Mapping[str, Any] = {}  # what the history shall have of it, once it is good


def _name(release: object) -> str:
    if not isinstance(release, str) or not release:
        raise ValueError(release)
    return release


class Ledger:
    """The files of one app's memory; each write is whole and stays."""

    def __init__(self, layout: Layout):
        self.layout = layout

    def good(self) -> list[Target]:
        """The releases that passed their gate and are on disk, oldest first."""
        return [target for target, _ in self.builds()]

    def last_good(self) -> Target | None:
        """The release to go back to: the newest good one that is still on disk."""
        newest = reversed(self.good())
        return next((t for t in newest if (self.layout.releases / t.release).is_dir()), None)

    def mark_good(self, target: Target) -> None:
        """From here on, `target` is what a recovery goes to."""
        kept = [other for other in self.good() if other.release != target.release]
        self.keep([*kept, target])
        self.forget_prepared()

    def keep(self, targets: list[Target]) -> None:
        """Remember exactly these as good, oldest first; and of each commit its first build."""
        first = self.first_builds()
        for target in targets:
            first.setdefault(target.manifest.revision, target.release)
        records = [{**t.record(), "first": first[t.manifest.revision]} for t in targets]
        for target in targets:
            with contextlib.suppress(OSError):  # it is for a list that is lost
                storage.write(self.layout.good_mark(target.release), "")
        storage.write_json(self.layout.good, records)

    def _marks(self) -> set[Path]:
        """Of those that were good: the history is cut, and written where there is room."""
        mark = self.layout.good_mark("*")
        return {*mark.parents[1].glob(f"*/{mark.name}")}

    def builds(self) -> list[tuple[Target, str]]:
        """The good ones, oldest first, each with the first of its commit.

        That may be on disk no more: a later one, of other config vars, takes its place. Of names
        that sort by time.
        """
        file = self.layout.good
        records = storage.read_json(file, [])
        targets = [Target.of(record, file) for record in records]
        first: dict[str, str] = {}
        for target, record in zip(targets, records):
            # an older agent's list does not say it
            name = str(record.get("first") or target.release)
            commit = target.manifest.revision
            first[commit] = min(name, first.get(commit, name))
        return [(target, first[target.manifest.revision]) for target in targets]

    def first_builds(self) -> dict[str, str]:
        """Commit -> its first release that was good."""
        return {target.manifest.revision: first for target, first in self.builds()}

    def prepared(self) -> Target | None:
        """The release that is built and has never been switched to."""
        record = storage.read_json(self.layout.prepared, kind=dict)
        return Target.of(record, self.layout.prepared) if record else None

    def prepare(self, target: Target) -> None:
        """Keep `target` on disk for the release that follows."""
        storage.write_json(self.layout.prepared, target.record())

    def forget_prepared(self) -> None:
        """It is good, or has failed and must not be chosen."""
        storage.remove(self.layout.prepared)

    def phase_succeeded(self, revision: str) -> bool:
        """Whether the release phase of that commit has succeeded on this host."""
        return revision in storage.read_json(self.layout.phases, [])

    def mark_phase(self, revision: str) -> None:
        """From here on, the release phase of that commit is not run again."""
        done = [*storage.read_json(self.layout.phases, []), revision]
        storage.write_json(self.layout.phases, done[-PHASES_KEPT:])

    def current(self) -> str | None:
        """The release that `current` points to."""
        link = self.layout.current
        return link.readlink().name if link.is_symlink() else None

    def open_journal(
        self, target: Target, stopped: Collection[Slot] = (), stays: bool = False, by: str = ""
    ) -> None:
        """Write down that the host is on its way to `target`, before it is touched.

        `stopped`: by a person, which counts on the way back, and with `stays` at `target`, too.
        """
        back, link = self.last_good(), self.layout.current
        record = {
            "to": target.record(),
            "back_to": back.record() if back else None,
            "link": str(link.readlink()) if link.is_symlink() and not back else None,
            "stopped": {"to": list(stopped) if stays else [], "back_to": list(stopped)},
            "by": by,
            "begun": time.time_ns(),
        }
        storage.write_json(self.layout.journal, record)

    def unfinished(self) -> Unfinished | None:
        """The release that was begun and neither marked finished nor undone."""
        record = self._journal()
        if not record:
            return None
        to, last = Target.of(record["to"], self.layout.journal), self.last_good()
        noted, event = to == last and bool(record.get("noted")), record.get("event", {})
        # where the host ran the same before, the list of good ones does not tell
        good = noted or (to == last and (bool(event) or record["to"] != record.get("back_to")))
        return Unfinished(to, good, noted, record.get("by", ""), record.get("begun", 0), event)

    def begun(self) -> int:
        """When the unfinished release was, in nanoseconds since 1970."""
        return int(self._journal().get("begun", 0))

    def note_passed(self, event: Mapping[str, Any]) -> None:
        """The unfinished release passed its gate: once marked good, that is in the history."""
        storage.write_json(self.layout.journal, {**self._journal(), "event": event})

    def note_good(self) -> None:
        """History and webhook know that the unfinished release is good."""
        with contextlib.suppress(OSError):  # then a recovery tells it, too
            storage.write_json(self.layout.journal, {**self._journal(), "noted": True})

    def lost(self) -> Target | None:
        """Where no good release is found: the one that must have been, if there was one.

        That is what the journal goes back to; and without one, what `current` runs by, if that was
        good (it may have been ended before anybody knew), or else the newest that was.
        """
        if record := self._journal():
            back = record.get("back_to")
            return Target.of(back, self.layout.journal) if back else None
        with contextlib.suppress(OSError):
            if there := {n for n in self._told_good() if (self.layout.releases / n).is_dir()}:
                name = self.current()
                return self._by_manifest(name if name in there else max(there))
        return None

    def ever_good(self) -> bool:
        """Whether any release was good here, whatever is on disk; or nobody can tell."""
        with contextlib.suppress(OSError):
            return bool(self.good() or self._told_good())
        return True

    def _told_good(self) -> set[str]:
        """The releases of this environment that were good; OSError where that cannot be read."""
        found: set[str] = set()
        for event in self.history():
            if event["outcome"] == PREPARED:
                found.clear()
            elif event["outcome"] in GOOD and "release" in event:
                found.add(str(event["release"]))
        return found | {mark.parent.name for mark in self._marks()}

    def recall(self, last: Target) -> None:
        """Note anew that `last` was good, and before it what the history tells of and is there."""
        good: set[str] = set()
        with contextlib.suppress(OSError):
            good = self._told_good()
        present = sorted(p.name for p in self.layout.releases.iterdir() if p.name in good)
        found = [self._by_manifest(name) for name in present if name != last.release]
        self.keep([*(target for target in found if target), last])
        self.forget_prepared()

    def _by_manifest(self, release: str) -> Target | None:
        """A release of this agent's; another tool's has no manifest."""
        with contextlib.suppress(OSError, ValueError):
            text = self.layout.manifest(release).read_text("utf-8")
            return Target(release, ReleaseManifest.parse(text))
        return None

    def link_before(self) -> Path | None:
        """Where another tool's `current` pointed before the first release of all."""
        link = self._journal().get("link")
        return Path(link) if link else None

    def stopped(self) -> list[Slot]:
        """What a person has stopped, and stays so where the unfinished release ends.

        That is at its target where it was marked good, else at the release before.
        """
        unfinished, last = self.unfinished(), self.last_good()
        if not unfinished or not last:
            return []
        end = "to" if unfinished.good else "back_to"
        found = self._journal().get("stopped", {})  # an older agent's says nothing of it
        slots = last.manifest.slots()  # the other end may have had more
        ended = [(type_, number) for type_, number in found.get(end, [])]
        return [slot for slot in ended if slot in slots]

    def note_stopped(self, slots: Collection[Slot], stopped: bool) -> None:
        """Note what a person does with these slots before a recovery, which would undo it."""
        record: dict[str, Any] = {}
        with contextlib.suppress(ValueError):  # then there is no recovery by it either
            record = self._journal()
        if not record:
            return
        for end in ("to", "back_to"):
            known = record.setdefault("stopped", {}).get(end, [])
            others = [slot for slot in known if tuple(slot) not in slots]
            record["stopped"][end] = [*others, *(slots if stopped else ())]
        storage.write_json(self.layout.journal, record)

    def _journal(self) -> dict[str, Any]:
        """What is written down of the unfinished release; empty without one."""
        found: dict[str, Any] = storage.read_json(self.layout.journal, {})
        stopped = found.get("stopped", {})
        if found and ("to" not in found or not isinstance(stopped, dict)):
            raise ValueError(f"{self.layout.journal} cannot be read: it should say what was begun")
        return found

    def begin_anew(self, environment: str) -> None:
        """Forget what this host was good for: its workers are gone, and it is another's now.

        Nothing is gone back to, and no release phase has run there. Its releases stay known, and go
        once one of this environment is good.
        """
        layout = self.layout
        known = (layout.journal, layout.prepared, layout.phases, *self._marks(), layout.good)
        for path in (*known, layout.current):
            storage.remove(path)
        self.record(PREPARED, environment=environment)

    def close_journal(self) -> None:
        """The host is where it should be."""
        storage.remove(self.layout.journal)

    def identity(self) -> dict[str, str]:
        """The host's name and machine, as bootstrap wrote them."""
        found: dict[str, str] = storage.read_json(self.layout.identity, {})
        if not found:
            raise LookupError(
                f"{self.layout.identity} is not there: this host is not bootstrapped, or the disk "
                "is not mounted"
            )
        return found

    def config(self, release: str) -> dict[str, str]:
        """The config vars of a release; LookupError where their file is gone."""
        found: dict[str, str] | None = storage.read_json(self.layout.config(release), kind=dict)
        if found is None:
            raise LookupError(f"{self.layout.config(release)} is not there: release again")
        return found

    def record(self, outcome: str, **details: Any) -> None:
        """Add a line to the history, if the disk has room; `details` hold no secret."""
        line = {"at": moments.stamp(), "outcome": outcome, **details}
        with contextlib.suppress(OSError):
            lines = [*self.history(), line][-HISTORY_KEPT:]
            text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
            storage.write(self.layout.history, text)

    def history(self) -> list[dict[str, Any]]:
        """What happened to this host's app, oldest first, as far as it can be read."""
        path = self.layout.history
        lines = path.read_text("utf-8", "replace").split("\n") if path.is_file() else []
        found = (_event(line) for line in lines)
        return [event for event in found if event]


def _event(line: str) -> dict[str, Any]:
    """Of the history; empty where somebody or something has spoilt the line."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"at", "outcome"} <= {*found} else {}
