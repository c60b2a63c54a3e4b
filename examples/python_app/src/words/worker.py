"""One worker in the foreground; SIGTERM ends it, after the job at hand."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from .spool import DONE, FAILED, Job, Spool

IDLE = 0.5  # seconds between two looks for a job


@dataclass
class Worker:
    """It takes jobs of the spool in its name, and writes a line for each begin and end of one."""

    spool: Spool
    name: str
    revision: str
    log: Path
    stopping: bool = False

    def run(self) -> None:
        """Work until SIGTERM. A job that is not one goes to `failed/`; the next one is taken."""
        # what sleeps sleeps on after the signal: it only raises the flag
        signal.signal(signal.SIGTERM, self.stop)
        while not self.stopping:
            job = self.spool.claim(self.name)
            if job is None:
                time.sleep(IDLE)
            else:
                self.work(job)

    def stop(self, *_signal: object) -> None:
        """Take no more jobs."""
        self.stopping = True

    def work(self, job: Job) -> None:
        """Do the job to its end."""
        self.note("start", job)
        try:
            words = count(job.text())
        except ValueError as problem:
            self.spool.end(job, FAILED)
            self.note("fail", job, str(problem))
        else:
            self.spool.end(job, DONE)
            self.note("finish", job, f"{words} words")

    def note(self, event: str, job: Job, more: str = "") -> None:
        """Add a line to the log."""
        line = " ".join(part for part in (event, job.id, self.name, self.revision, more) if part)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def count(text: str) -> int:
    """How many words the job's text has, found in the time that it shall take; ValueError."""
    job = json.loads(text)
    if not (isinstance(job, dict) and isinstance(job.get("text"), str)):
        raise ValueError(f'should be {{"text": ..., "seconds": ...}}, got {text!r}')
    time.sleep(float(job.get("seconds", 0)))
    return len(job["text"].split())
