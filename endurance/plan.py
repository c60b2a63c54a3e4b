"""How much: machines, workers and jobs, and which jobs come when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from demo.failure import DemoError

SHORT = (0.01, 0.1)  # seconds that most jobs take, from and to
LONG = (1.0, 5.0)  # and some, so that there is always something to interrupt
FEWEST_LONG = 0.1  # of all jobs

Kind = tuple[int, float, float]  # so many jobs that take from so many seconds to so many


@dataclass(frozen=True)
class Scale:
    """What `make endurance` does unless it is told otherwise."""

    jobs: int = 10_000
    hosts: int = 3
    workers: int = 4  # on each host
    grace: int = 20  # seconds
    lasting: int = 45  # seconds that the jobs of one event should last

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Scale:
        """From JOBS, HOSTS, WORKERS and GRACE; DemoError names each that is no such number."""
        smallest = {"jobs": 100, "hosts": 1, "workers": 1, "grace": int(LONG[1]) + 1}
        given = {name: environment.get(name.upper(), "") for name in smallest}
        wrong = [
            f"{name.upper()}: should be a number from {least}, got {given[name]!r}"
            for name, least in smallest.items()
            if given[name] and not (given[name].isdecimal() and int(given[name]) >= least)
        ]
        if wrong:
            raise DemoError("the scale is not understood", wrong)
        return cls(**{name: int(value) for name, value in given.items() if value})

    @property
    def outlasting(self) -> float:
        """Seconds of a job that no grace is long enough for, and that may be locked so long."""
        return self.grace + 5

    def shares(self, events: int) -> list[int]:
        """How many jobs come before each event; together they are all."""
        each, more = divmod(self.jobs, events)
        return [each + (number < more) for number in range(events)]

    def kinds(self, jobs: int) -> list[Kind]:
        """That many jobs, most of them short, which last long enough for one event."""
        mean = self.lasting * self.hosts * self.workers / max(1, jobs)
        short, long = sum(SHORT) / 2, sum(LONG) / 2
        part = min(1.0, max(FEWEST_LONG, (mean - short) / (long - short)))
        longer = round(jobs * part)
        return [(n, *span) for n, span in ((longer, LONG), (jobs - longer, SHORT)) if n]
