"""The distribution's security upgrades, unattended or not."""

from __future__ import annotations

from . import storage
from .layout import Layout
from .preparation import Preparation
from .units import fill


def render(layout: Layout, wanted: bool) -> str:
    """What apt is told."""
    return fill("unattended-upgrades.conf", layout, WANTED=str(int(wanted)))


def set_up(host: Preparation) -> bool:
    """Switch them on or off. The file is read after the package's own."""
    content = render(host.layout, host.manifest.unattended_upgrades)
    return storage.write(host.layout.upgrades, content, 0o644)
