"""What the queue was when this host measured it last; `status` says it."""

from __future__ import annotations

from typing import Any

from . import storage
from .layout import Layout


def keep(layout: Layout, queue: str, depth: float, age: float, at: float) -> None:
    """Write it down, for root alone; `age` in seconds."""
    storage.write_json(layout.measured, {"name": queue, "depth": depth, "age": age, "at": at})


def last(layout: Layout, now: float) -> dict[str, Any] | None:
    """The numbers, and how many seconds ago; None where nothing is measured here."""
    found: dict[str, Any] | None = storage.read_json(layout.measured)
    if found is None or not layout.queue.exists():
        return None
    return {**found, "seconds_ago": round(max(0.0, now - found["at"]), 1)}
