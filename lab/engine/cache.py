"""Where things that outlive a checkout are kept."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path


def home(environ: Mapping[str, str]) -> Path:
    """The user's home folder, also where HOME is missing or empty."""
    return Path(environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


def cache(environ: Mapping[str, str]) -> Path:
    """SATELLITE_CACHE, or `satellite` in the user's cache folder."""
    if chosen := environ.get("SATELLITE_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home(environ) / ".cache") / "satellite"
