"""Whose turn it is: hosts restart one after the other, and none has to ask another.

Each period of the clock is cut into as many turns as there are hosts; a restart has to begin and to
be over within the host's own, the way back included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .gate import START_LIMIT

HOUR, DAY = 60, 1440  # minutes
PERIODS = tuple(m for m in range(1, DAY + 1) if HOUR % m == 0 or (m % HOUR == 0 and DAY % m == 0))
"""The minutes that a calendar can repeat: parts of an hour, and hours that are a part of a day."""
BEFORE = 30  # seconds of each turn in which a restart may begin, at least


def restart_seconds(graces: Iterable[int], gate_seconds: int, health_seconds: int) -> int:
    """The longest that a restart takes: there, watched, and back again."""
    return 2 * max([0, *graces]) + START_LIMIT + gate_seconds + health_seconds


def shortest_period(hosts: int, restart: int) -> int | None:
    """The shortest period in which so many hosts can take turns; None where a day is too short."""
    return next((m for m in PERIODS if m * 60 // hosts >= restart + BEFORE), None)


class Turns(NamedTuple):
    """One host's place among the others."""

    minutes: int  # one of PERIODS
    place: int  # from 1
    hosts: int

    def calendar(self) -> str:
        """When each turn of this host begins, as systemd reads it."""
        minute, second = divmod((self.place - 1) * self._length(), 60)
        if self.minutes < HOUR:
            return f"*:{minute:02}/{self.minutes}:{second:02} UTC"
        hour, minute = divmod(minute, 60)
        hours = self.minutes // HOUR
        when = "*" if hours == 1 else f"{hour:02}" + (f"/{hours}" if hours < 24 else "")
        return f"{when}:{minute:02}:{second:02} UTC"

    def end(self, now: float) -> float:
        """When this host's turn ends, in seconds since 1970; 0 where it is another's turn."""
        since = now % (self.minutes * 60)
        begin = (self.place - 1) * self._length()
        if not begin <= since < begin + self._length():
            return 0
        return now - since + begin + self._length()

    def _length(self) -> int:
        return self.minutes * 60 // self.hosts
