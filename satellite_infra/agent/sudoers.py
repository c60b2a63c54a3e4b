"""What the app's user may do as root: ask how its workers are."""

from __future__ import annotations

from . import storage
from .layout import Layout
from .preparation import Preparation
from .system import CommandError
from .units import fill


def render(layout: Layout) -> str:
    """What sudo is told."""
    return fill("sudoers", layout)


def allow(host: Preparation) -> bool:
    """Put the file there, if sudo is; visudo has read it before, for one mistake ends all sudo."""
    layout, content = host.layout, render(host.layout)
    if not layout.visudo.exists():
        return storage.remove(layout.sudoers)
    if storage.same(layout.sudoers, content, 0o440):
        return False
    draft = layout.state / "sudoers"
    storage.write(draft, content, 0o440)
    status, text = host.system.output([str(layout.visudo), "-c", "-f", str(draft)])
    storage.remove(draft)
    if status:
        raise CommandError(f"visudo does not take the file for {layout.app}: {text.strip()}")
    return storage.write(layout.sudoers, content, 0o440)
