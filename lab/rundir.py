"""A run of the lab on disk: its directory, its lock, and how all that it left behind is removed."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, paths


@dataclass(frozen=True)
class Run:
    """A run's directory, `$SATELLITE_LAB` inside, and its cgroup."""

    directory: Path
    group: cgroups.Group

    @property
    def name(self) -> str:
        return self.directory.name

    def said(self) -> str:
        """The ends of what its services have logged: a run that ends takes its files with it."""
        return "".join(
            f"{log.name}:\n"
            + "".join(f"  {line}\n" for line in log.read_text(errors="replace").splitlines()[-20:])
            for log in sorted(self.directory.glob("*.log"))
        )

    def sweep(self) -> None:
        """Remove cgroups and directory. Only when every process of the run is gone."""
        self.group.remove()
        for _ in range(100):
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                return
            time.sleep(0.02)


def create() -> tuple[Run, int]:
    """A new run with its lock held. Returns the run and the lock's file descriptor."""
    parent = paths.runs()
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = parent / f"satellite-lab-{os.getpid()}-{secrets.token_hex(2)}"
    group = cgroups.of_lab(directory.name)
    unnamed = parent / f".{directory.name}"  # until it is locked, nobody may take it for left over
    unnamed.mkdir(mode=0o755)
    lock = os.open(unnamed / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (unnamed / "cgroups.json").write_text(json.dumps([str(d) for d in group.directories]))
    unnamed.rename(directory)
    return Run(directory, group), lock


def left_over() -> Iterator[Run]:
    """Runs that nobody holds the lock of: supervisor and watcher were killed with -9."""
    for directory in paths.runs().glob("*satellite-lab-*"):
        if _abandoned(directory):
            noted = directory / "cgroups.json"
            groups = json.loads(noted.read_text()) if noted.exists() else []
            yield Run(directory, cgroups.Group(tuple(map(Path, groups))))


def _abandoned(directory: Path) -> bool:
    try:
        if directory.name.startswith(".") and time.time() - directory.stat().st_mtime < 60:
            return False  # being made in this very moment
        lock = os.open(directory / "lock", os.O_RDWR)
    except FileNotFoundError:  # being removed, by somebody or by somebody who was killed
        return directory.exists()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)
