"""What a release's unit runs: the work itself, and a note of how it ended."""

from __future__ import annotations

import time
from pathlib import Path

from . import prune, storage, webhook
from .frontend import PHASE, RELEASE, ROTATION, Kind, split
from .layout import Layout
from .ledger import Ledger, Unfinished
from .release import Release, ReleaseError, Request, Rotation
from .release_manifest import ReleaseManifest
from .system import Say, System

AFTER = ("close", "prune")
"""Phases of a release that is good already, of which history and webhook know."""


def work(
    layout: Layout, text: str, result: Path, system: System, say: Say, kind: Kind = RELEASE
) -> int:
    """The unit's own program: do what was asked for, and write down how it ended."""
    storage.remove(layout.phase)  # of another one
    head, bundle = split(text)
    deployer = bundle.get("deployer") or ""
    templates = dict(bundle.get("config_files") or {})
    config, own = dict(bundle["config"]), bundle.get("rotation")
    rotation = Rotation(tuple(own["names"]), own["base"], own["until"]) if own else None
    request = Request(ReleaseManifest.parse(head), config, deployer, templates, rotation)
    redact = request.redactor()
    if not rotation:  # it knows no URL, and changes none
        webhook.set_up(layout, bundle.get("webhook") or "", say)
    what = webhook.Told(request.manifest.revision, deployer, kind.name, time.monotonic())

    def told(done: str) -> None:
        if kind is RELEASE:
            webhook.put(layout, what.good(done), say, Ledger(layout).begun())

    def send() -> None:
        webhook.send(layout, system, say)

    def recovered(cut_off: Unfinished, state: str) -> None:
        webhook.put_recovered(layout, cut_off, state, say)
        send()

    def shown(line: str) -> None:
        say(redact(line))

    try:
        release = Release(layout, system, shown, None, redact, told, send, recovered)
        done = _do(kind, release, request)
    except ReleaseError as failure:
        reason = redact(failure.reason)
        storage.write_json(
            result, {"ok": False, "phase": failure.phase, "reason": reason, "state": failure.state}
        )
        webhook.tell(layout, what.failed(failure.phase, reason, failure.state), system, say)
        prune.logs(layout)  # one that becomes good may be far off
        return 1
    storage.write_json(result, {"ok": True, "done": done, "warning": release.warning})
    return 0


def _do(kind: Kind, release: Release, request: Request) -> str:
    if kind is ROTATION:
        return release.rotate(request)
    return release.run_phase(request) if kind is PHASE else release.run(request)


def killed(
    layout: Layout,
    result: Path,
    state: str,
    revision: str,
    system: System,
    say: Say,
    kind: Kind = RELEASE,
    cut_off: Unfinished | None = None,
) -> None:
    """After a recovery: where the unit left no result, its program was killed; note that.

    `cut_off`: what the recovery found, if anything; as a good one it is told already.
    """
    if result.exists():
        return
    phase = layout.phase.read_text("utf-8") if layout.phase.is_file() else "start"
    last = Ledger(layout).last_good()
    good = last is not None and last.manifest.revision == revision and not layout.journal.exists()
    if cut_off:  # it may be another one's, which this one was to put back first
        good = good and cut_off.good and phase in ("mark good", *AFTER)
    if good and (cut_off or phase in AFTER):
        done = f"{revision[:12]} is live; {webhook.LEFT}"
        storage.write_json(result, {"ok": True, "done": done})
        return
    reason = f"the {kind.name}'s program was killed"
    Ledger(layout).record("killed", revision=revision, phase=phase, reason=reason)
    storage.write_json(result, {"ok": False, "phase": phase, "reason": reason, "state": state})
    what = webhook.Told(revision, name=kind.name)
    webhook.tell(layout, what.failed(phase, reason, state), system, say)
