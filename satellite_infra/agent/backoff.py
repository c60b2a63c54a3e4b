"""Back-off: a worker that ends again and again is started later and later, and says so.

systemd 252 (Debian 12) knows one pause for all starts, and newer ones never go back to the first.
The pause is the worker's own program, before it becomes the app's: a stop or a deploy ends it at
once. What is counted is forgotten by a boot, a deploy, and a worker that ran for a while.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable

from . import storage
from .layout import Layout

FIRST = 1  # second between an end and the next start: the unit's RestartSec
LONGEST = 60  # seconds
STEADY = 60  # seconds that a worker must run so that its end counts as the first again


def pause(ends: int) -> int:
    """Seconds from the last of so many ends in a row to the next start."""
    return min(LONGEST, FIRST << min(ends - 1, 10)) if ends else 0


def ends(layout: Layout, unit: str) -> int:
    """How many times in a row the unit's worker ended early."""
    return int(storage.read_json(layout.ends / unit, 0))


def count(layout: Layout, unit: str, ran: float) -> int:
    """Add an end after so many seconds; how many in a row there are now."""
    found = ends(layout, unit) + 1 if ran < STEADY else 1
    storage.write_json(layout.ends / unit, found)
    # also where the number is the same; by the clock that nobody sets
    os.utime(layout.ends / unit, (time.monotonic(), time.monotonic()))
    return found


def age(layout: Layout, unit: str) -> float:
    """Seconds since its last end that was counted; endless where there is none.

    Below 0 by an older agent's file, which has the time of day.
    """
    try:
        return time.monotonic() - (layout.ends / unit).stat().st_mtime
    except FileNotFoundError:
        return math.inf


def forget(layout: Layout, units: Iterable[str]) -> None:
    """Start these without a pause."""
    for unit in units:
        storage.remove(layout.ends / unit)


def show(status: str) -> None:
    """Have `systemctl status` of this unit say it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        import socket  # slow to load, and not at every start of the agent

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.sendto(f"STATUS={status}".encode(), path.replace("@", "\0", 1))
