"""What a worker holds, with its children: not what the kernel takes back at need."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .layout import Layout

# what processes have written, and files that are in memory alone, by the kernel's own names
NAMES = ("anon", "shmem")
OLDER = ("total_rss", "total_shmem", "total_swap")
"""The same in version 1 of control groups, and what is swapped, which version 2 has elsewhere."""


def memory(layout: Layout, group: str, counted: int) -> int:
    """Bytes that a control group's processes hold; `group`: as systemd says where it is.

    `counted`: by systemd, with each file that is cached for them, which the kernel drops for who
    needs the room. It stands where the kernel's own account cannot be read.
    """
    if not group:  # of a unit that does not run; there would be the whole machine's
        return counted
    place = layout.control_groups / group.strip("/")
    older = layout.control_groups / "memory" / group.strip("/")
    with contextlib.suppress(OSError):
        return _sum(place, NAMES) + _swapped(place)
    with contextlib.suppress(OSError):
        return _sum(older, OLDER)
    return counted


def _sum(place: Path, names: tuple[str, ...]) -> int:
    pairs = (line.split() for line in (place / "memory.stat").read_text("ascii").splitlines())
    return sum(int(value) for name, value in pairs if name in names)


def _swapped(place: Path) -> int:
    try:
        return int((place / "memory.swap.current").read_text("ascii"))
    except FileNotFoundError:  # this kernel does not count it
        return 0
