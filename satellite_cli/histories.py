"""The histories of several hosts as one: which of their events are of the same rollout.

No event says so. Hosts go one after the other, each with its grace and gate, or side by side; their
clocks differ a little, and one has had more of the same than another.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

Event = dict[str, Any]
ALIKE = ("outcome", "revision", "by", "names", "phase", "reason", "changed")
PAUSE = 3600
"""Seconds from where one host has ended to where the next one of a rollout begins, at most: a
machine may be made in between."""
APART = 10
"""Seconds by which two hosts' clocks may differ."""


class Told(NamedTuple):
    """An event of a host; `at` and `began`: seconds since 1970; `number`: in its history."""

    at: float
    host: str
    number: int
    event: Event

    @property
    def began(self) -> float:
        """When it began; what is no release, or is of an older agent, does not say how long."""
        return self.at - float(self.event.get("seconds", 0))


Rollout = list[Told]


def together(said: Mapping[str, Sequence[Event]]) -> list[tuple[Event, dict[str, Event]]]:
    """An event, and each host's own of it, in the order of time; each event is in one of them."""
    every = sorted(
        (
            Told(datetime.fromisoformat(event["at"]).timestamp(), host, number, event)
            for host, events in said.items()
            for number, event in enumerate(events)
        ),
        key=_order,
    )
    found = [rollout for run in _runs(every) for rollout in _rollouts(run)]
    found.sort(key=lambda rollout: _order(rollout[0]))
    return [(rollout[0].event, {one.host: one.event for one in rollout}) for rollout in found]


def _order(one: Told) -> tuple[float, str, int]:
    return one.at, one.host, one.number


def _at(one: Told) -> float:
    return one.at


def _runs(every: Sequence[Told]) -> Iterable[list[Told]]:
    """What is alike and may be of one rollout: no long pause, and no other commit, is between."""
    good = [one for one in every if one.event["outcome"] == "good"]
    found: list[list[Told]] = []
    last: dict[str, list[Told]] = {}
    for one in every:
        kind = str([one.event.get(key) for key in ALIKE])
        if kind in last and _follows(last[kind][-1], one, good):
            last[kind].append(one)
        else:
            last[kind] = [one]
            found.append(last[kind])
    return found


def _follows(before: Told, one: Told, good: Sequence[Told]) -> bool:
    if one.began - before.at > PAUSE:
        return False
    begin = bisect_right(good, before.at + APART, key=_at)
    end = bisect_left(good, one.at - APART, key=_at)
    commit = one.event.get("revision")
    return all(other.event.get("revision") == commit for other in good[begin:end])


def _rollouts(run: Iterable[Told]) -> Iterator[Rollout]:
    """As many as the host with the most of them has; what others have is put where it fits best."""
    hosts: defaultdict[str, list[Told]] = defaultdict(list)
    for one in run:
        hosts[one.host].append(one)
    most, *others = sorted(hosts.values(), key=len, reverse=True)
    found = [[one] for one in most]
    for events in others:
        for one, place in zip(events, _places(events, found), strict=True):
            found[place].append(one)
    for rollout in found:
        yield sorted(rollout, key=_order)


def _places(events: Sequence[Told], rollouts: Sequence[Rollout]) -> tuple[int, ...]:
    """In which rollout each event is: in one of its own, in their order, and in the nearest."""
    spans = [(min(one.began for one in of), max(one.at for one in of)) for of in rollouts]
    # the best way for the events so far, by how many rollouts it has left out
    ways: list[tuple[float, tuple[int, ...]]] = [(0, ())] * (len(rollouts) - len(events) + 1)
    for number, one in enumerate(events):
        ways = [
            (far + _between(one, *spans[number + out]), (*places, number + out))
            for out, (far, places) in enumerate(accumulate(ways, min))
        ]
    return min(ways)[1]


def _between(one: Told, began: float, ended: float) -> float:
    """Seconds between it and that time; 0 where it is a part of that."""
    return max(0, one.began - ended, began - one.at)
