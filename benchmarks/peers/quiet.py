"""Is anybody else at work on this machine? A run that was disturbed is worth nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 120  # seconds to wait for quiet
LOOK = 0.4  # seconds of one look
CALM = 0.15  # of a CPU that others may use meanwhile


@dataclass(frozen=True)
class Used:
    """CPU seconds so far, of the whole machine and of all that belongs to this lab."""

    all: float
    ours: float
    at: float

    @classmethod
    def now(cls, proc: Path = PROC) -> Used:
        """Now. What has ended is in the sums of its parents, which are all in this lab."""
        head = (proc / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        fields = [int(field) for field in head[1:9]]
        busy = sum(fields) - fields[3] - fields[4]  # idle, iowait
        return cls(busy / TICKS, sum(_processes(proc)) / TICKS, time.monotonic())

    def foreign(self, before: Used) -> float:
        """Of one CPU, what others have used since then."""
        return max(0.0, self.busy(before) - (self.ours - before.ours) / self._passed(before))

    def busy(self, before: Used) -> float:
        """Of one CPU, what anybody has used since then."""
        return (self.all - before.all) / self._passed(before)

    def _passed(self, before: Used) -> float:
        return max(self.at - before.at, 0.01)


def _processes(proc: Path) -> Iterator[int]:
    for path in proc.glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended meanwhile
            continue
        yield sum(int(field) for field in text.rpartition(")")[2].split()[11:15])


def wait(patience: float = PATIENCE, used: Callable[[Used, Used], float] = Used.foreign) -> bool:
    """Wait until the machine is quiet; False where it does not become so.

    Outside of a lab, where all that runs seems to be ours, it is quiet when nobody is `Used.busy`.
    """
    end = time.monotonic() + patience
    while True:
        before = Used.now()
        time.sleep(LOOK)
        if used(Used.now(), before) < CALM:
            return True
        if time.monotonic() > end:
            return False
