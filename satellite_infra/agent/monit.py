"""monit, which tells by mail of disk, load and workers; it starts and stops nothing.

Two supervisors would fight: a worker is a unit of systemd, and monit asks this program about it.
"""

from __future__ import annotations

import hashlib

from . import storage
from .layout import AGENT, Layout
from .manifest import BootstrapManifest, Monit, Watch
from .preparation import Preparation
from .system import CommandError
from .units import fill

UNIT = "monit.service"


def render(layout: Layout, manifest: BootstrapManifest, monit: Monit, password: str) -> str:
    """The whole file; with a password it is secret."""
    # not all that monit has to say of itself: that it was started is no news
    to = "\n".join(f"  alert {address} not on {{ instance, action }}" for address in monit.mail_to)
    server = f"{monit.smtp_host} port {monit.smtp_port}"
    server += f' username "{monit.smtp_user}" password "{password}"' if monit.smtp_user else ""
    head = fill(
        "monit",
        layout,
        SERVER=server + (" using tls" if monit.smtp_tls else ""),
        EVERY=str(monit.every_seconds),
        FROM=monit.mail_from,
        ENVIRONMENT=manifest.environment,
        HOST=manifest.host,
        LOAD=str(monit.load_per_core),
        DISK=str(monit.disk_percent),
        TO=to,
    )
    return head + "".join(f"\n{_check(layout, watch)}\n{to}\n" for watch in monit.watches)


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


def _stop_watching(host: Preparation) -> bool:
    there = storage.remove(host.layout.monit)
    if there or host.layout.monit_read.exists():
        host.system.systemctl("restart", UNIT)
    return storage.remove(host.layout.monit_read) or there


def _check(layout: Layout, watch: Watch) -> str:
    limits = {"memory": watch.memory, "cpu": watch.cpu, "restarts": str(watch.restarts or "")}
    said = "".join(f" --{name} {value}" for name, value in limits.items() if value)
    command = f"{AGENT} check --app {layout.app} --type {watch.type}{said}"
    return (
        f'check program {layout.app}.{watch.type} with path "{command}" with timeout 30 seconds\n'
        "  if status != 0 then alert"
    )
