"""monit, which tells by mail of disk, load and workers; it starts and stops nothing.

Two supervisors would fight: a worker is a unit of systemd, and monit asks this program about it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from . import storage
from .bootstrap_manifest import BootstrapManifest, Monit, Watch
from .layout import AGENT, Layout
from .preparation import Preparation
from .system import CommandError
from .units import fill

UNIT = "monit.service"
SERVER = re.compile(r'^set mailserver (.*?)(?: password ".*)?(?: using tls)?$', re.MULTILINE)
"""The same as `_server`, of a file."""
FULL = (
    "see what is large: du -xh {} | sort -h | tail -n 30; fewer satellite:keep_releases, or a "
    "larger disk (an instance's: satellite:root_volume_gb)"
)
LOADED = (
    "see who works or waits for the disk: top; fewer workers, or a larger satellite:instance_type"
)


def render(layout: Layout, manifest: BootstrapManifest, monit: Monit, password: str) -> str:
    """The whole file; with a password it is secret."""
    server = _server(monit) + (f' password "{password}"' if monit.smtp_user else "")

    def alerts(what_to_do: str) -> str:
        words = {"ENVIRONMENT": manifest.environment, "HOST": manifest.host, "TODO": what_to_do}
        words["FROM"] = monit.mail_from
        each = (fill("monit-alert", layout, ADDRESS=to, **words) for to in monit.mail_to)
        return "".join(each)

    head = fill(
        "monit",
        layout,
        SERVER=server + (" using tls" if monit.smtp_tls else ""),
        EVERY=str(monit.every_seconds),
        LOAD=str(monit.load_per_core),
        LOADED=alerts(LOADED),
    )
    percent = monit.disk_percent
    disks = (_disk(layout, d, percent) + alerts(FULL.format(d)) for d in _mounts(layout))
    wanted = (check for watch in monit.watches for check in _checks(layout, watch))
    journal = f"journalctl -u 'satellite-{layout.app}.*'; {AGENT} history --app {layout.app}"
    return head + "".join(disks) + "".join(f"\n{check}\n{alerts(journal)}" for check in wanted)


def set_up(host: Preparation) -> bool:
    """Have monit watch what the manifest says, or nothing."""
    layout, monit = host.layout, host.manifest.monit
    if monit is None:
        return _stop_watching(host)
    password = host.bundle.get("monit_password") or ""
    text = render(layout, host.manifest, monit, password)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if storage.same(layout.monit, text, 0o600) and storage.same(layout.monit_read, digest, 0o600):
        return False
    before = layout.monit.read_text("utf-8") if layout.monit.is_file() else None
    if before is None:  # who moves both apps to another server has to begin with one of them
        _refuse_another_server(layout, monit)
    storage.write(layout.monit, text)
    status, said = host.system.output(["monit", "-t"])
    if status:
        if before is None:
            storage.remove(layout.monit)
        else:
            storage.write(layout.monit, before)
        shown = said.replace(password, "[monit_password]") if password else said
        raise CommandError(f"monit does not take the file for {layout.app}: {shown.strip()}")
    host.system.systemctl("restart", UNIT)
    storage.write(layout.monit_read, digest)
    return True


def _server(monit: Monit) -> str:
    user = f' username "{monit.smtp_user}"' if monit.smtp_user else ""
    # quoted, as it may be a word of monit's own, such as smtp
    return f'"{monit.smtp_host}" port {monit.smtp_port}{user}'


def _refuse_another_server(layout: Layout, monit: Monit) -> None:
    """ValueError where another app of this machine has one: monit takes the first that answers."""
    for path in sorted(layout.monit.parent.glob("satellite-*")):
        found = SERVER.search(path.read_text("utf-8"))
        # an older agent's host is not quoted
        theirs = found[1].replace('"', "") if found else ""
        if theirs and theirs != _server(monit).replace('"', ""):
            raise ValueError(
                f"satellite:monit: {path.name.removeprefix('satellite-')} on this host has its "
                f"mails sent by {theirs}, and monit has one mail server for all apps: take its "
                "smtp_host, smtp_port and smtp_user"
            )


def _stop_watching(host: Preparation) -> bool:
    there = storage.remove(host.layout.monit)
    # somebody may have purged it by hand: one that does not run watches nothing
    if (there or host.layout.monit_read.exists()) and host.system.runs(UNIT):
        host.system.systemctl("restart", UNIT)
    return storage.remove(host.layout.monit_read) or there


def _mounts(layout: Layout) -> Iterator[Path]:
    """Where each disk is mounted that the app fills, the system's first.

    monit takes no other directory of a disk.
    """
    devices: dict[int, Path] = {}
    for place in layout.places:
        if place.is_dir():
            devices.setdefault(place.stat().st_dev, place.resolve())
    for place in devices.values():
        yield next(path for path in (place, *place.parents) if path.is_mount())


def _disk(layout: Layout, mount: Path, percent: int) -> str:
    name = f"{layout.app}-disk{str(mount).rstrip('/').replace('/', '-')}"
    return fill("monit-disk", layout, NAME=name, PATH=str(mount), DISK=str(percent))


def _checks(layout: Layout, watch: Watch) -> Iterator[str]:
    """One for each threshold: monit tells nothing of another trouble of a check that has one."""
    limits = {"memory": watch.memory, "cpu": watch.cpu, "restarts": str(watch.restarts or "")}
    for name, value in limits.items():
        if value:
            command = f"{AGENT} check --app {layout.app} --type {watch.type} --{name} {value}"
            yield (
                f'check program {layout.app}.{watch.type}.{name} with path "{command}" '
                "with timeout 30 seconds\n  if status != 0 then alert"
            )
