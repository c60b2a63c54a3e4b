"""Where the lab keeps what outlives a run (images) and what does not (the runs themselves)."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """The cache that `make` and the lab share: `$SATELLITE_CACHE`, else `~/.cache/satellite`."""
    chosen = os.environ.get("SATELLITE_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "satellite"


def runs() -> Path:
    """Parent of the runs' directories: a real file system (no overlay), writable by root alone."""
    return Path(os.environ.get("SATELLITE_LAB_RUNS") or "/var/lib/satellite-lab")


def package() -> Path:
    """This package's own directory, with the files that are not Python."""
    return Path(__file__).resolve().parent
