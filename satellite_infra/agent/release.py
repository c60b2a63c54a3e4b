"""One release on this host, as a list of phases, each of which may be the last thing that happens.

    fetch - check out - link - build - [switch - gate] - finish

A release phase goes as far as the build, runs the Procfile's `release`, and leaves what it has
built to the release that follows.

Everything before the bracket touches nothing that runs. The journal is written before the bracket
and removed after it; who finds one goes to the last good release (`recover`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable, NamedTuple

from . import (
    before,
    changes,
    config_files,
    gate,
    jobs,
    moments,
    orphans,
    phase,
    progress,
    prune,
    seal,
    source,
    storage,
    workers,
)
from .converge import MissingReleaseError, converge, retire, stopped
from .layout import Layout
from .ledger import Ledger, Target, Unfinished
from .mirror import Mirror
from .redact import Redactor, secrets
from .release_manifest import ReleaseManifest
from .system import Say, System

SUBJECT = 100  # characters of a commit's first line that the history keeps
NAME = re.compile(r"(\d{14})-")
"""How a release's name begins: with the time at which it was begun."""
NOT_REMOVED = "old releases could not be removed"
Checkpoint = Callable[[str], None]
Work = Callable[["Request"], str]  # what was done
Recovered = Callable[[Unfinished, str], None]
"""Told what was cut off and what the host runs now, while a journal still says so."""


def untold(_cut_off: Unfinished, _state: str) -> None:
    """Tell nobody of it."""


class Rotation(NamedTuple):
    """What makes a request one of the host itself."""

    names: tuple[str, ...]  # the config vars that are others on Heroku now
    base: str  # the release that they were compared with
    until: float  # when it is too late to begin a restart, in seconds since 1970


class Request(NamedTuple):
    """What is asked of the host: the manifest, and the config vars that it lists by digest."""

    manifest: ReleaseManifest
    config: dict[str, str]
    deployer: str = ""  # who asked first: USER@MACHINE, or a name and the CI's
    templates: Mapping[str, str] = {}  # of the config files, by path
    rotation: Rotation | None = None

    def check(self) -> None:
        """ValueError where they do not belong together."""
        files = {file.path for file in self.manifest.config_files}
        for what, listed, sent in (
            ("config", set(self.manifest.config), set(self.config)),
            ("config_files", files, set(self.templates)),
        ):
            if listed != sent:
                names = ", ".join(sorted(listed ^ sent))
                raise ValueError(
                    f"{what}: the manifest and the bundle should name the same, not {names}"
                )

    def redactor(self) -> Redactor:
        """What keeps its secrets out of logs; the environment's name is none."""
        config = secrets(self.config, self.manifest.environment)
        return Redactor({**config_files.telling(self.templates), **config})

    def summary(self) -> str:
        """What others are told while they wait."""
        by = f" by {self.deployer}" if self.deployer else ""
        what = "rotation" if self.rotation else "release"
        return f"{what} of {self.manifest.revision[:12]}{by}"


class ReleaseError(Exception):
    """A release did not become good; the host was put back, or the text says what could not be."""

    def __init__(self, phase: str, reason: str, state: str):
        super().__init__(f"{phase}: {reason}")
        self.phase, self.reason, self.state = phase, reason, state


class Release:
    """The work of one release; `checkpoint` is told each phase before it begins, and `told` what
    was done, once workers run that are good; `send` is called when nobody will tell it again.
    `recovered`: told of an earlier one that was cut off. `redact`: the request's, which takes a
    while to make.
    """

    def __init__(
        self,
        layout: Layout,
        system: System,
        say: Say,
        checkpoint: Checkpoint | None = None,
        redact: Redactor | None = None,
        told: Say = lambda _done: None,
        send: Callable[[], None] = lambda: None,
        recovered: Recovered = untold,
    ):
        self.layout, self.system, self._say, self._redactor = layout, system, say, redact
        self.ledger = Ledger(layout)
        self._checkpoint = checkpoint or (lambda _phase: None)
        self._told, self._send, self._recovered = told, send, recovered
        self._began = time.monotonic()
        self._phase = "check"
        self._no_room = False  # somebody complained of the disk
        self._made: str | None = None  # the release at work, which goes if it does not become good
        self._changed: list[str] = []  # by the request, of what ran before it
        self.warning = ""  # what whoever asked for it shall know, though it is good

    def say(self, line: str) -> None:
        """Hand on a line, and note what explains a failure."""
        self._no_room = self._no_room or os.strerror(errno.ENOSPC) in line
        self._say(line)

    def at(self, phase: str) -> None:
        """Enter a phase: written down for whoever asks after a kill."""
        self._phase = phase
        storage.write(self.layout.phase, phase)
        self.say(f"{progress.MARK}{phase}")
        self._checkpoint(phase)

    def run(self, request: Request) -> str:
        """Make the request true; what was done. ReleaseError once the host was put back."""
        return self._guarded(request, self._release)

    def run_phase(self, request: Request) -> str:
        """Run the release phase of the request's commit, unless it has succeeded or was live here.

        What was done. No worker is touched; ReleaseError when it failed.
        """
        return self._guarded(request, self._release_phase)

    def rotate(self, request: Request) -> str:
        """Make the request true, if it is still about what runs here and there is time left."""
        return self._guarded(request, self._rotation)

    def _guarded(self, request: Request, work: Work) -> str:
        with storage.locked(self.layout.lock, request.summary(), self._wait):
            try:
                self.at("check")
                request.check()
                finish(self.layout, self.system, self.say, told=self._recovered)
                orphans.check(self.layout, self.system)
                self._changed = self._changes(request)
                return work(request)
            except Exception as problem:
                raise self._undone(request, problem) from problem

    def _changes(self, request: Request) -> list[str]:
        last, config = self.ledger.last_good(), request.config
        if last is None:
            return [changes.COMMIT]
        known: Any = config
        with contextlib.suppress(LookupError, ValueError):
            known = self.ledger.config(last.release)
        known = known if isinstance(known, dict) else config  # lost or damaged: then of no name
        return changes.between((last.manifest, known), (request.manifest, config))

    def _wait(self, holder: str) -> None:
        self.say(f"{progress.WAITS}{holder}")

    def _release(self, request: Request) -> str:
        last = self.ledger.last_good()
        before.check(self.layout, request.manifest, request.config, last)
        target = self._at_hand(request) or self._prepare(request)
        directory = self.layout.releases / target.release
        if found := jobs.warning(directory, target.manifest, request.config):
            self.warning = f"warning: {found}"
            self.say(self.warning)
        # other settings for the commit that runs, such as one worker more, are no deploy
        deploys = last is None or last.manifest.revision != target.manifest.revision
        return self._switch(request, target, starts_all=deploys)

    def _rotation(self, request: Request) -> str:
        last, rotation = self.ledger.last_good(), request.rotation
        assert rotation
        if last is None or last.release != rotation.base:
            return "another release came first; it is compared in this host's next turn"
        target = self._at_hand(request) or self._prepare(request)
        if self.system.time() > rotation.until:
            if target.release not in {good.release for good in self.ledger.good()}:
                self.at("keep")
                self.ledger.prepare(target)
            return "built, and too late in this turn for a restart: that is for the next one"
        before.remember(self.layout, target, last, rotation.names, request.config)
        return self._switch(request, target, starts_all=False)

    def _release_phase(self, request: Request) -> str:
        revision = request.manifest.revision
        if self.ledger.phase_succeeded(revision):
            return f"the release phase of {revision[:12]} succeeded before: nothing to do"
        if any(good.manifest.revision == revision for good in self.ledger.good()):
            # whoever led then had run it: no worker of a commit starts before
            return f"{revision[:12]} was live on this host, so its release phase has run before"
        target = self._at_hand(request)
        if target is None:
            target = self._prepare(request)
            self.at("keep")
            self.ledger.prepare(target)
        self.at("release phase")
        done = phase.run(self.layout, target, request.config, self.system, self.say)
        self.at("mark phase")
        self.ledger.mark_phase(revision)
        self._record("phase", request, release=target.release)
        return f"{target.release}: {done}"

    def _at_hand(self, request: Request) -> Target | None:
        """A release on disk of the same commit, build and config: then it is only a switch.

        A good one, or the one that the release phase or a rotation has built; never one that
        failed.
        """
        layout, manifest, prepared = self.layout, request.manifest, self.ledger.prepared()
        for other in [*reversed(self.ledger.good()), *([prepared] if prepared else [])]:
            same = other.manifest.code_id() == manifest.code_id()
            same = same and self._has(other.release, request.config)
            if same and (layout.releases / other.release).is_dir():
                workers.commands(layout.releases / other.release, manifest)
                self._made = other.release
                self._keep(other.release, request)  # somebody may have changed some of it
                return Target(other.release, manifest)
        return None

    def _has(self, release: str, config: dict[str, str]) -> bool:
        try:
            return bool(storage.read_json(self.layout.config(release)) == config)
        except ValueError:  # no JSON any more
            return False

    def _keep(self, release: str, request: Request) -> None:
        """Write what holds config vars, and how it was then."""
        layout, files = self.layout, request.manifest.config_files
        storage.directory(layout.config(release).parent, 0o700)
        storage.write_json(layout.config(release), request.config)
        if request.templates:
            storage.write_json(layout.templates(release), request.templates)
        config_files.write(layout, release, files, request.templates, request.config, self.system)
        rendered = [layout.config_files(release) / file.path for file in files]
        seal.write(layout.release_seal(release), [layout.config(release), *rendered])

    def _prepare(self, request: Request) -> Target:
        layout, manifest, system, say = self.layout, request.manifest, self.system, self.say
        self._made = name = _name(manifest.revision, self.ledger)
        self.at("fetch")
        mirror = source.fetch(layout, manifest, system, say)
        self.at("check out")
        # first: by this the release is known to be ours, whatever becomes of it
        storage.directory(layout.manifest(name).parent, 0o700)
        source.check_out(layout, name, mirror, system, say)
        workers.commands(layout.releases / name, manifest)
        self._keep(name, request)
        storage.write(layout.manifest(name), manifest.text())
        self.at("link")
        source.link(layout, name, manifest, system, say)
        self.at("build")
        source.build(layout, name, manifest, request.config, system, say)
        os.sync()  # it reaches the disk before anything that vouches for it
        return Target(name, manifest)

    def _switch(self, request: Request, target: Target, starts_all: bool) -> str:
        """Go to `target`; `starts_all`: what a person has stopped, too, once it is good."""
        new = target.release not in {good.release for good in self.ledger.good()}
        self.at("journal")
        storage.reserve(self.layout.reserve, storage.RESERVE)
        off = stopped(self.layout, self.ledger.last_good())
        self.ledger.open_journal(target, off, stays=not starts_all, by=request.deployer)
        slots = target.manifest.slots()
        without = [] if starts_all else [slot for slot in off if slot in slots]
        self.at("switch")
        left = converge(self.layout, target, self.system, self.say, beside=True, without=without)
        self.at("gate")
        soak = target.manifest.soak_seconds if new else 0
        gate.watch(self.layout, target, self.system, self.say, soak)
        self.at("mark good")
        outcome = "rotated" if request.rotation else "good"
        event = self._event(outcome, request, release=target.release)
        self.ledger.note_passed(event)
        self.ledger.mark_good(target)
        count = len(slots) - len(without)
        live = f"{target.manifest.revision[:12]} is live, {count} worker{'' if count == 1 else 's'}"
        done = f"{target.release}: {live}"
        self._finish(target, left, done, event)
        return done

    def _finish(self, target: Target, left: bool, done: str, event: dict[str, Any]) -> None:
        """What is left to do for one that is good, and stays so whatever fails here."""
        with only_said(self.say, "the release is good, and not all of the work after it was done"):
            # while there is a journal: where this is cut off, the recovery does it
            self.ledger.record(**event)
            self._told(done)
            self.ledger.note_good()
            self._send()
            self.at("close")
            if left:
                retire(self.layout, self.system, self.say)
            self.ledger.close_journal()  # where it stays, the recovery does the rest
        with only_said(self.say, NOT_REMOVED):
            self.at("prune")
            prune.prune(self.layout, self.ledger, target.manifest.keep_releases, self.say)
            Mirror(self.layout, target.manifest, self.system, self.say).tidy()

    def _undone(self, request: Request, problem: Exception) -> ReleaseError:
        # the history keeps it
        where = self._phase
        reason = self._redacted(request, str(problem) or type(problem).__name__)
        if self._no_room or (isinstance(problem, OSError) and problem.errno == errno.ENOSPC):
            reason += f"; {room(self.layout)}"
        self.say(f"failed in phase `{where}`: {reason}")
        recovered = None
        try:
            if isinstance(problem, orphans.OrphansError):
                state = orphans.STATE
            else:
                state, recovered = _go_back(self.layout, self.system, self.say)
        except Exception as second:  # noqa: BLE001 - the first failure must be told
            state = f"could not be put back: {second}; `{self.layout.recover_unit}` keeps trying"
            self.say(state)
        with only_said(self.say, NOT_REMOVED):
            self._discard()
        self._record("failed", request, phase=where, reason=reason)
        if recovered is not None:  # after its cause
            self.ledger.record(**recovered)
        return ReleaseError(where, reason, state)

    def _discard(self) -> None:
        """Remove what has failed."""
        kept = {self.ledger.current(), *(target.release for target in self.ledger.good())}
        if self._made and self._made not in kept:
            self.ledger.forget_prepared()
            # what dead workers held may just now be given back there: then a later prune removes it
            if self._made not in prune.in_use(self.layout, self.ledger):
                prune.discard(self.layout, self._made, self.say)

    def _record(self, outcome: str, request: Request, **details: Any) -> None:
        self.ledger.record(**self._event(outcome, request, **details))

    def _event(self, outcome: str, request: Request, **details: Any) -> dict[str, Any]:
        """A line of the history."""
        details |= {"by": request.deployer} if request.deployer else {}
        details |= {"changed": self._changed} if self._changed else {}
        if changes.COMMIT in self._changed and (subject := self._subject(request)):
            details |= {"subject": subject}
        details |= {"seconds": round(time.monotonic() - self._began, 1)}
        revision = request.manifest.revision
        return {"at": moments.stamp(), "outcome": outcome, "revision": revision, **details}

    def _subject(self, request: Request) -> str:
        """The commit's first line, cut; empty where git cannot tell it, which stops nothing."""
        with contextlib.suppress(OSError):
            mirror = Mirror(self.layout, request.manifest, self.system, self.say)
            return self._redacted(request, mirror.subject())[:SUBJECT]
        return ""

    def _redacted(self, request: Request, text: str) -> str:
        self._redactor = self._redactor or request.redactor()
        return self._redactor(text)


@contextlib.contextmanager
def only_said(say: Say, what: str) -> Iterator[None]:
    """Only say of a failure here that it was one: the release and the way back go on."""
    try:
        yield
    except Exception as problem:  # noqa: BLE001 - the next release, or a recovery, tries it again
        say(f"{what}: {problem}")


def room(layout: Layout) -> str:
    """What to say of a full disk."""
    path = min((layout.releases, layout.state), key=storage.room)
    free, total = storage.room(path)
    return (
        f"the disk was full: {free >> 20} MB of {total >> 20} MB are free now at {path}; "
        "make room there, or raise satellite:root_volume_gb"
    )


def finish(
    layout: Layout,
    system: System,
    say: Say,
    wait: bool = True,
    told: Recovered = untold,
) -> str:
    """Where a release was left unfinished: go to the last good one. Call it with the lock held.

    What the host runs now, in a few words.
    """
    state, recovered = _go_back(layout, system, say, wait, told)
    if recovered is not None:
        Ledger(layout).record(**recovered)
    return state


def _go_back(
    layout: Layout,
    system: System,
    say: Say,
    wait: bool = True,
    told: Recovered = untold,
) -> tuple[str, dict[str, Any] | None]:
    """Like `finish`, and what the history shall keep of it: nothing where all was finished, or
    where it has that already.
    """
    ledger = Ledger(layout)
    ledger.identity()  # where its disk is not mounted, nothing that is asked next is true
    unfinished = ledger.unfinished()
    last = ledger.last_good() or _found(layout, ledger, say)
    recovered = None
    state = f"runs its last good release, {last.release}" if last else ""
    if last is None:
        why = "none of its good ones is on disk" if ledger.good() else "it never had a good one"
        state = f"runs no release: {why}"
    if unfinished is not None:
        storage.remove(layout.reserve)  # on a full disk the way back has room
        release = unfinished.target.release
        back = last.release if last else None
        back = "its settings before" if back == release else back
        back = "its end, as it is good" if unfinished.good else back
        say(f"{release} was left unfinished; going to {back}")
        converge(layout, last, system, say, wait, without=ledger.stopped())
        if last is None and (link := ledger.link_before()):
            storage.point(layout.current, link)
        ledger.forget_prepared()  # it may be what failed
        told(unfinished, state)
        ledger.close_journal()
        event: dict[str, Any] = {"outcome": "good" if unfinished.good else "recovered"}
        event |= {"release": last.release, "revision": last.manifest.revision} if last else {}
        if unfinished.good and unfinished.event:  # an older agent noted none
            event = dict(unfinished.event)
        recovered = None if unfinished.noted or event in ledger.history() else event
    return state, recovered


def _found(layout: Layout, ledger: Ledger, say: Say) -> Target | None:
    """The good release that the list has lost, noted anew; None where there never was one.

    MissingReleaseError where the host is to go back to it and its disk is not there: whoever stops
    the workers for that loses what runs.
    """
    lost = ledger.lost()
    if lost is None:
        return None
    directory = layout.releases / lost.release
    if directory.is_dir():
        say(f"{layout.good} tells of no release on disk; {lost.release} was good, and is again")
        ledger.recall(lost)
        return lost
    if layout.journal.exists():
        raise MissingReleaseError(
            f"{directory} is not there: is its disk mounted? Where it is lost for good, remove "
            f"{layout.journal} and release again"
        )
    return None


def recover(
    layout: Layout,
    system: System,
    say: Say,
    wait: bool = True,
    told: Recovered = untold,
) -> str:
    """What the host does by itself after a kill and at boot.

    Workers start after the unit that does not wait; so it must not wait for a release that starts
    them either: BlockingIOError, and systemd tries again.
    """

    def busy(holder: str) -> None:
        if not wait:
            raise BlockingIOError(f"{holder} is under way, and recovers by itself")

    with storage.locked(layout.lock, "recovery", busy):
        if layout.draining.exists():
            return "starts no worker any more: it is being drained"
        state = finish(layout, system, say, wait, told)
        with only_said(say, NOT_REMOVED):
            prune.discard_unknown(layout, Ledger(layout), say)
        return state


def _name(revision: str, ledger: Ledger) -> str:
    """A directory name that sorts by time and shows the commit.

    After all others, though the clock was ahead when they were named: the way back goes by it.
    """
    stem = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    names: list[str] = [path.name for path in ledger.layout.releases.iterdir()]
    names += [name for target, first in ledger.builds() for name in (target.release, first)]
    stems = (match[1] for match in map(NAME.match, names) if match)
    last = max(stems, default="")
    # the same: two within one second
    return f"{stem if stem > last else int(last) + 1}-{revision[:7]}"
