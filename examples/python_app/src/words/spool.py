"""A queue in a directory: a job is a file, and to take it, give it back or end it is to rename it.

A rename happens whole or not at all, so no two workers ever take one job.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NEW, RUNNING, DONE, FAILED, SCRATCH = "new", "running", "done", "failed", "tmp"


@dataclass(frozen=True)
class Job:
    """A job that a worker has taken: `running/ID@WORKER`."""

    id: str
    path: Path

    def text(self) -> str:
        """What is to be done."""
        return self.path.read_text(encoding="utf-8")


class Spool:
    """The directory below `root`; it is made where it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in (NEW, RUNNING, DONE, FAILED, SCRATCH):
            (root / name).mkdir(parents=True, exist_ok=True)

    def put(self, text: str) -> str:
        """Add a job; its id, by which jobs are taken in turn."""
        job = f"{time.time_ns()}-{secrets.token_hex(4)}"
        scratch = self.root / SCRATCH / job
        scratch.write_text(text, encoding="utf-8")
        scratch.rename(self.root / NEW / job)
        return job

    def claim(self, worker: str) -> Job | None:
        """Take the oldest job in the name of this worker; None where there is none."""
        for path in sorted((self.root / NEW).iterdir()):
            mine = self.root / RUNNING / f"{path.name}@{worker}"
            try:
                path.rename(mine)
            except FileNotFoundError:  # another worker was quicker
                continue
            return Job(path.name, mine)
        return None

    def end(self, job: Job, state: str) -> None:
        """The job is over, DONE or FAILED."""
        job.path.rename(self.root / state / job.id)

    def give_back(self, dead: Iterable[str]) -> list[str]:
        """Make the jobs of dead workers new again; their ids.

        A name with a dot at its end stands for all that begin with it: those of a lost machine.
        """
        names = [name for name in dead if name]
        held = []
        for path in sorted((self.root / RUNNING).iterdir()):
            job, _, worker = path.name.partition("@")
            if any(worker.startswith(n) if n.endswith(".") else worker == n for n in names):
                path.rename(self.root / NEW / job)
                held.append(job)
        return held
