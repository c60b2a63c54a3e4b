"""sshd survives memory pressure: a host whose workers eat all memory can still be deployed to."""

from __future__ import annotations

from pathlib import Path

from . import storage, units
from .layout import Layout
from .preparation import Preparation

UNITS = ("ssh.service", "system.slice")


def render(layout: Layout) -> dict[Path, str]:
    """The drop-ins of its unit and its slice, without which the unit's share is not kept."""
    return {layout.drop_in(unit): units.template(f"{unit}.conf") for unit in UNITS}


def protect(host: Preparation) -> bool:
    """Have systemd read them; sshd itself is never restarted: this run hangs on it."""
    changed = [storage.write(p, content, 0o644) for p, content in render(host.layout).items()]
    return host.system.reload(UNITS, any(changed))
