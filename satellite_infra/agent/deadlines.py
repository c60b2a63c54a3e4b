"""How long things may take, in seconds: a release's unit has all of its parts together."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable

from .layout import Layout

STOPS = re.compile(r"^TimeoutStopSec=([0-9]{1,9})$", re.MULTILINE)

FETCH_LIMIT = 900  # each conversation with a git server
BUILD_LIMIT = 3600  # each command of the build
PHASE_LIMIT = 3600  # the release phase
# What a person asks of workers waits for the app's lock no longer: long enough for another such
# request or a recovery, and before `satellite` gives the host up, so that nothing happens later.
LOCK_LIMIT = 30


def longest_grace(layout: Layout, graces: Iterable[int]) -> int:
    """The longest of these and of all workers that there are, by their units on disk."""
    found = [*graces, 0]
    for path in layout.units.glob(layout.template_unit("*")):
        with contextlib.suppress(FileNotFoundError):  # a release has just removed it
            # what a person has made of it in other words, the next release makes what it was
            found += map(int, STOPS.findall(path.read_text("utf-8", "replace")))
    return max(found)
