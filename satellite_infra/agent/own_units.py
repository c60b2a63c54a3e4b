"""The agent's own units, beside the workers': there and started at every boot, or gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from . import storage
from .layout import Layout
from .system import System
from .units import File


def enable(layout: Layout, files: Sequence[File], links: Iterable[Path], system: System) -> bool:
    """Write these units, and links by which a boot starts some; True where systemd had to read."""
    changed = [storage.write(layout.units / file.name, file.content, 0o644) for file in files]
    for link in links:
        link.parent.mkdir(exist_ok=True)
        changed.append(storage.point(link, layout.units / link.name))
    return system.reload([file.name for file in files], any(changed))


def disable(
    layout: Layout, names: Sequence[str], system: System, go_on: Collection[str] = ()
) -> None:
    """Stop these units, but for those that shall end by themselves, and remove them."""
    there = [layout.units / name for name in names if (layout.units / name).exists()]
    if running := [path.name for path in there if path.name not in go_on]:
        system.systemctl("stop", "--", *running)
    links = [folder / name for folder in (layout.wants, layout.timers) for name in names]
    for path in (*links, *there):
        storage.remove(path)
    system.systemctl("daemon-reload")
