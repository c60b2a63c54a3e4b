"""How long things may take, in seconds: a release's unit has all of its parts together."""

from __future__ import annotations

from collections.abc import Iterable

from .layout import Layout

FETCH_LIMIT = 900  # each conversation with a git server
BUILD_LIMIT = 3600  # each command of the build
PHASE_LIMIT = 3600  # the release phase
# What a person asks of workers waits for the app's lock no longer: long enough for another such
# request or a recovery, and before `satellite` gives the host up, so that nothing happens later.
LOCK_LIMIT = 30


def longest_grace(layout: Layout, graces: Iterable[int]) -> int:
    """The longest of these and of all workers that there are, by their units on disk."""
    texts = (path.read_text("utf-8") for path in layout.units.glob(layout.template_unit("*")))
    found = (
        line.partition("=")[2] for text in texts for line in text.split("\n") if "StopSec" in line
    )
    return max([*graces, *(int(value) for value in found), 0])
