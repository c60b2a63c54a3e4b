"""Moments as this program writes them: ISO 8601, in UTC, to the second."""

from __future__ import annotations

import time

FORM = "%Y-%m-%dT%H:%M:%SZ"


def stamp(seconds: float | None = None) -> str:
    """A moment in seconds since 1970, or now."""
    return time.strftime(FORM, time.gmtime(seconds))


def seconds(stamp: str) -> float:
    """What was written so; ValueError for anything else."""
    import calendar  # slow to load, and seldom needed

    return calendar.timegm(time.strptime(stamp, FORM))
