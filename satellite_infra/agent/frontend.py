"""What an SSH connection talks to: hands a release to systemd, waits, tells how it ended.

The release runs as a transient unit: a broken connection or a killed engine does not cut it in
half, its name is a lock that dies with it, and systemd starts the recovery whatever kills it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import flat, progress, storage
from .deadlines import BUILD_LIMIT, FETCH_LIMIT, PHASE_LIMIT, longest_grace
from .layout import AGENT, Layout
from .release_manifest import ReleaseManifest
from .system import Say, System

BUSY_LIMIT = 7200  # seconds to wait for a release that another run started
UNLESS_GOOD = "-/bin/sh -c 'grep -qzx EXIT_STATUS=0 /proc/self/environ && test ! -e {} || exec {}'"
"""Status 0 and no journal; systemd's own word for what TERM, INT or HUP has ended is success, too.

Without a `$`: systemd writes it to the unit's file in a way that it cannot read again.
"""
TAIL = 20  # lines of the log shown after a failure
TAIL_BYTES = 1 << 16  # of which no more is read: a build may have printed very much


def split(text: str) -> tuple[str, dict[str, Any]]:
    """The manifest and the bundle of what came on stdin; ValueError says what is missing."""
    manifest, end, bundle = text.partition(f"\n{flat.END}\n")
    if not end:
        raise ValueError("stdin: should be a manifest and its end line, then a bundle")
    try:
        found = json.loads(bundle)
    except ValueError:
        # not `from problem`: its text would show the secret bundle
        raise ValueError("stdin: the bundle after the manifest should be JSON") from None
    if not isinstance(found, dict):
        raise ValueError("stdin: the bundle should be a JSON object")
    return manifest + end, found


class Kind(NamedTuple):
    """What can be asked for: the agent's verb for it, and what to call it and its failure."""

    verb: str
    name: str
    aside: str


RELEASE = Kind("release-job", "release", "Hosts after it were not touched.")
PHASE = Kind("release-phase-job", "release phase", "No worker was restarted on any host.")
ROTATION = Kind("rotate-job", "rotation", "It is tried again, later and later.")
KINDS = {kind.verb: kind for kind in (RELEASE, PHASE, ROTATION)}


def submit(
    layout: Layout, text: str, system: System, kind: Kind = RELEASE, tell: Say = print
) -> tuple[int, str]:
    """Run that request as a unit of its own; the exit status and what to tell at the end.

    `tell` hears at once for whom it waits, and the phase of what takes long.
    """
    manifest = ReleaseManifest.parse(split(text)[0])
    number = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(2).hex()}"
    storage.directory(layout.run, 0o700)
    storage.directory(layout.logs, 0o700)
    result = layout.run / f"result-{number}"
    log = layout.logs / f"{kind.verb.partition('-job')[0]}-{number}.log"
    storage.write(log, "")
    try:
        with _passed(text) as request, progress.told(progress.noted(layout.phase), tell):
            argv = _systemd_run(layout, manifest, kind, request, result, log)
            said = _run_unit(layout, argv, result, system, tell)
        none = {"ok": False, "phase": "start", "reason": said or "it left no result"}
        outcome = storage.read_json(result, {**none, "state": f"see `{layout.recover_unit}`"})
    finally:
        storage.remove(result)
    if outcome.get("warning"):
        tell(f"{progress.MARK}{outcome['warning']}")
    return _told(manifest, kind, outcome, log)


@contextlib.contextmanager
def _passed(text: str) -> Iterator[str]:
    """A path to the text, secrets included, that goes with this process, however that ends."""
    handle = os.memfd_create("request")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{handle}"


def _run_unit(layout: Layout, argv: list[str], result: Path, system: System, tell: Say) -> str:
    end = system.now() + BUSY_LIMIT
    before = ""
    while True:
        _, said = system.output(argv)
        # the unit's own failure has a result; no result and this text: another release is under way
        busy = not result.exists() and "already" in said
        if not busy:
            _until_over(layout, result, system)
            return said.strip()
        unit = system.units([layout.release_unit])[layout.release_unit]
        if unit.active == "failed":  # something pins an ended one: let its name go
            system.systemctl("reset-failed", layout.release_unit)
        holder = storage.holder(layout.lock)
        if holder != before:
            tell(f"{progress.WAITS}{holder}")
            before = holder
        if system.now() > end:
            raise TimeoutError(f"waited {BUSY_LIMIT} s for {holder} ({layout.release_unit})")
        system.sleep(1)


def _until_over(layout: Layout, result: Path, system: System) -> None:
    """Where `systemd-run` has lost systemd, which executed itself anew, the unit goes on."""
    while not result.exists():
        unit = system.units([layout.release_unit]).get(layout.release_unit)
        if unit is None or unit.active in ("inactive", "failed"):
            return
        system.sleep(1)


def _systemd_run(
    layout: Layout, manifest: ReleaseManifest, kind: Kind, request: str, result: Path, log: Path
) -> list[str]:
    # of what runs now, too, which may be what has to end
    longest = longest_grace(layout, [p.grace for p in manifest.processes])
    limit = FETCH_LIMIT + BUILD_LIMIT + PHASE_LIMIT + 2 * longest + manifest.watch_seconds() + 600
    recover = f"{AGENT} recover --app {layout.app} --result {result} --revision {manifest.revision}"
    recover += f" --kind {kind.verb}"
    # should that be killed too; OnFailure= would pin the failed unit, and so its name
    again = f"/usr/bin/systemctl start --no-block {layout.recover_unit}"
    properties = [
        ("StandardInput", f"file:{request}"),
        ("StandardOutput", f"append:{log}"),
        ("StandardError", f"append:{log}"),
        ("ExecStopPost", UNLESS_GOOD.format(layout.journal, recover)),
        ("ExecStopPost", UNLESS_GOOD.format(layout.journal, again)),
        ("RuntimeMaxSec", str(limit)),
        ("TimeoutStopSec", str(2 * longest + 120)),  # the recovery drains too
    ]
    return [
        *("systemd-run", f"--unit={layout.release_unit}", "--collect", "--wait", "--quiet"),
        *(
            "--service-type=exec",
            f"--description={layout.app}: {kind.name} of {manifest.revision[:12]}",
        ),
        *(f"--property={key}={value}" for key, value in properties),
        *(AGENT, kind.verb, "--app", layout.app, "--result", str(result)),
    ]


def _told(
    manifest: ReleaseManifest, kind: Kind, outcome: dict[str, Any], log: Path
) -> tuple[int, str]:
    host = manifest.host
    if outcome["ok"]:
        return 0, f"{host}: {outcome['done']}"
    from . import webhook  # not where all is well

    shown = f" (`satellite logs --release --host {host}`)" if kind is not ROTATION else ""
    tail = storage.tail(log, TAIL_BYTES).splitlines()[-TAIL:] if log.is_file() else []
    lines = [
        f"{host}: {kind.name} of {manifest.revision[:12]} FAILED in phase `{outcome['phase']}`: "
        f"{outcome['reason']}",
        f"{host} {outcome['state']}. {kind.aside}",
        f"The log is {log} on {host}{shown}; its end:",
        *(f"  | {line}" for line in tail),
        webhook.NEXT,
    ]
    return 1, "\n".join(lines)


def last_log(layout: Layout) -> str:
    """What the last release said here, a JSON object a line, as the journal has it of workers.

    All have the time at which it said something at last. LookupError where there was none.
    """
    logs = {log.stat().st_mtime: log for log in layout.logs.glob("release-*.log")}
    if not logs:
        raise LookupError("no release was tried here yet: deploy first")
    at = max(logs)
    common = {"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "SYSLOG_IDENTIFIER": "release"}
    lines = logs[at].read_text("utf-8", "replace").splitlines()
    return "\n".join(json.dumps({**common, "MESSAGE": line}) for line in lines)


def history(layout: Layout) -> str:
    """What happened to the app here, a line each, for people."""
    from .ledger import Ledger  # not at every start of a release

    rows = [
        (
            line["at"],
            line["outcome"],
            line.get("revision", "")[:12] or "-",
            f"{line['seconds']} s" if "seconds" in line else "-",
            line.get("by", "-"),
            _remark(line),
        )
        for line in Ledger(layout).history()
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def _remark(line: dict[str, Any]) -> str:
    from . import changes  # not at every start of a release

    found = [f"{line['phase']}: {line['reason']}"] if "reason" in line else []
    found += [f"changed: {changes.told(line)}"] if "changed" in line else []
    return "; ".join(found)
