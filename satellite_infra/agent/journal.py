"""What the workers said: their lines of this host's journal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from . import control, state
from .layout import Layout

LANES = range(3)  # beside the first; more old ones than that rarely end at the same time
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER"


def show(layout: Layout, words: Sequence[str], lines: int, since: str, follow: bool) -> NoReturn:
    """Become journalctl, which prints one JSON object a line."""
    argv = ["journalctl", "--quiet", "--no-pager", "--utc", "--output=json"]
    argv += [f"--output-fields={FIELDS}", f"--lines={lines or 'all'}"]
    argv += ["--all"]  # without it a field of more than 4096 bytes is null
    argv += [f"--since={since}"] if since else []
    argv += ["--follow"] if follow else []
    argv += [f"--unit={unit}" for unit in _units(layout, words)]
    os.execvp(argv[0], argv)


def _units(layout: Layout, words: Sequence[str]) -> list[str]:
    """The units of those workers; journalctl knows by a pattern only what has spoken before."""
    try:
        target = state.current(layout)
    except LookupError:
        if words:
            raise
        target = None
    slots = control.chosen(target.manifest, words) if target else []
    named = [layout.worker_unit(type_, number, lane) for type_, number in slots for lane in LANES]
    return named if words else [*named, layout.worker_units]
