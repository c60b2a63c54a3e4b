"""What the events happen on: the real app's workers on their machines, and its database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.report import APP, runs_query
from demo.screen import Screen
from demo.site import Site, new_site
from demo.waiting import wait_until
from endurance.counts import Counts, counts, locks_query
from endurance.plan import Scale
from lab.client import Lab, LabHost

NAME = "endurance"
NOTES = f"/var/lib/satellite/{NAME}/workers"
FORGET = "DROP TABLE IF EXISTS locks; DROP FUNCTION IF EXISTS note_lock CASCADE;"
A_WHILE = 1.5  # seconds
# PostgreSQL that vacuums the queue while all its jobs are uncommitted takes it for empty until it
# looks again, in the lab after minutes; then delayed_job's query for one job scans all for each.
STEADY = "ALTER TABLE delayed_jobs SET (autovacuum_enabled = false)"
UNSTEADY = "ALTER TABLE delayed_jobs RESET (autovacuum_enabled)"
HELD = """
SELECT job.locked_by, task.id FROM delayed_jobs AS job
JOIN tasks AS task ON task.delayed_job_id = job.id
JOIN runs AS run ON run.task = task.id AND run.worker = job.locked_by
WHERE task.seconds - extract(epoch FROM clock_timestamp() - run.started_at) > %s
"""


@dataclass
class Stage:
    """The site, and what the events have to know of each other."""

    site: Site
    scale: Scale
    screen: Screen
    per_host: int  # workers that each host shall have now
    revisions: list[str] = field(default_factory=list)  # in the order of their deploys
    pinned: bool = False  # to a revision, by a rollback
    killed: set[str] = field(default_factory=set)  # names of workers that were meant to be killed

    @classmethod
    def of(cls, scale: Scale, screen: Screen, folder: Path) -> Stage:
        """A site in `folder` that is not up yet."""
        files = {path.name: path.read_text("utf-8") for path in APP.iterdir() if path.is_file()}
        settings = {
            "build[0]": "BUNDLE_FROZEN=true bundle install --local",
            "processes.worker.quantity": str(scale.workers),
            "processes.worker.grace": str(scale.grace),
        }
        site = new_site(folder, NAME, files, scale.hosts, settings, config={})
        return cls(site, scale, screen, scale.workers)

    def host(self, number: int) -> LabHost:
        """The machine of that number, or the last one where there are less."""
        return self.site.host(min(number, self.scale.hosts))

    def home(self, worker: str) -> tuple[LabHost, str]:
        """Where the worker of that name runs, and as which unit."""
        name = worker.rsplit(".", 4)[0]
        host = next(each for each in self.site.hosts() if each.name == name)
        pid = str(json.loads(host.run(f"cat {NOTES}/{worker}.json").stdout)["pid"])
        return host, next(u for u, other in self.site.workers(host).items() if other == pid)

    def busy(self, wanted: Callable[[str, int], bool] = lambda _worker, _task: True) -> str:
        """A wanted worker whose job will take a while yet; waits for one."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [w for w, task in self.site.lab.sql(HELD, A_WHILE) if wanted(w, task)]
            return bool(found)

        wait_until("a worker is at a job", look)
        return found[0]

    def free(self, worker: str) -> bool:
        """It has no job locked."""
        held = "SELECT 1 FROM delayed_jobs WHERE locked_by = %s"
        return not self.site.lab.sql(held, worker)

    def complete(self, host: LabHost) -> bool:
        """As many workers run as shall, in the release that shall."""
        right = self.site.runs_from(host) == {self.revisions[-1]}
        return right and len(self.site.workers(host)) == self.per_host

    def unfinished(self) -> set[int]:
        """The tasks that have an entry in the queue, those at work included."""
        query = "SELECT task.id FROM tasks AS task JOIN delayed_jobs AS j ON j.id = delayed_job_id"
        return {row[0] for row in self.site.lab.sql(query)}

    def done(self) -> int:
        """How many jobs have been done so far."""
        query = "SELECT count(DISTINCT task) FROM runs WHERE finished_at IS NOT NULL"
        return int(self.site.lab.sql(query)[0][0])

    def count(self) -> Counts:
        """What the database says now."""
        return counts(
            self.site.lab.sql(runs_query()),
            self.site.lab.sql(locks_query()),
            killed=self.killed,
            expected=self.scale.jobs,
            grace=self.scale.grace,
        )


@contextmanager
def recorded(lab: Lab) -> Iterator[None]:
    """The app's tables, empty, with a history of their locks, which goes in the end."""
    lab.sql((APP / "schema.sql").read_text("utf-8"))
    _clear(lab)
    lab.sql(Path(__file__).with_name("locks.sql").read_text("utf-8"))
    lab.sql(STEADY)
    try:
        yield
    finally:
        _clear(lab)


def _clear(lab: Lab) -> None:
    lab.sql(FORGET)
    lab.sql(UNSTEADY)
    lab.sql("TRUNCATE runs, tasks, delayed_jobs")
