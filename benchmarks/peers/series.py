"""One series: every tool in every round, in an order that rotates; disturbed runs once more."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field

FOREIGN = 0.2  # of a CPU: what others may use while a run counts as undisturbed
AGAIN = 2  # so many times a disturbed run is repeated


@dataclass(frozen=True)
class Run:
    """One run of one tool: seconds, and the part of a CPU that others used meanwhile."""

    seconds: float
    foreign: float = 0.0


@dataclass(frozen=True)
class Figure:
    """The runs of one tool at one number of hosts."""

    what: str
    tool: str
    hosts: int
    runs: list[Run] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(run.seconds for run in self.runs)

    def text(self) -> str:
        """The median, and the least and the most."""
        seconds = [run.seconds for run in self.runs]
        return f"{self.median:.2f} ({min(seconds):.2f}-{max(seconds):.2f})"

    def data(self) -> dict[str, object]:
        """For the file of raw numbers."""
        return asdict(self)


def order(tools: Sequence[str], round_: int) -> list[str]:
    """The order of a round: each begins with another tool, and every second one goes backwards."""
    start = round_ % len(tools)
    turned = [*tools[start:], *tools[:start]]
    return turned[::-1] if round_ % 2 else turned


def series(
    what: str,
    hosts: int,
    tools: Sequence[str],
    rounds: int,
    measure: Callable[[str], Run],
    again: int = AGAIN,
) -> list[Figure]:
    """Measure all tools; round 0 warms up and does not count.

    A disturbed run is repeated at the round's end; the least disturbed one of them is kept.
    """
    figures = {tool: Figure(what, tool, hosts) for tool in tools}
    for round_ in range(rounds + 1):
        tried: dict[str, list[Run]] = {tool: [] for tool in tools}
        queue = order(tools, round_)
        while queue:
            tool = queue.pop(0)
            tried[tool].append(run := measure(tool))
            if round_ and run.foreign > FOREIGN and len(tried[tool]) <= again:
                queue.append(tool)
        for tool, runs in tried.items() if round_ else ():
            figures[tool].runs.append(min(runs, key=_disturbance))
    return list(figures.values())


def _disturbance(run: Run) -> float:
    return run.foreign if run.foreign > FOREIGN else 0.0


def find(figures: Iterable[Figure], what: str, tool: str, hosts: int) -> Figure | None:
    """That figure, if it was measured."""
    key = (what, tool, hosts)
    return next((f for f in figures if (f.what, f.tool, f.hosts) == key), None)
