"""What the workers said: their lines of this host's journal."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Sequence
from typing import NoReturn

from . import control, state
from .layout import Layout
from .system import System

LANES = range(3)  # beside the first; more old ones than that rarely end at the same time
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER"
JOURNAL = ("journalctl", "--quiet", "--no-pager", "--utc", "--output=json")


def show(
    layout: Layout, words: Sequence[str], lines: int, since: str, follow: bool, system: System
) -> NoReturn:
    """Become journalctl, which prints one JSON object a line; LookupError before any worker."""
    units = [f"--unit={unit}" for unit in _units(layout, words, system)]
    begin = [f"--lines={lines or 'all'}"]
    if since:
        begin = [_last(units, lines, since) if lines else f"--since={since}", "--lines=all"]
    argv = [*JOURNAL, f"--output-fields={FIELDS}", *begin, *units]
    argv += ["--all"]  # without it a field of more than 4096 bytes is null
    argv += ["--follow", "--merge"] if follow else []  # else it follows this boot's alone
    os.execvp(argv[0], argv)


def _last(units: Sequence[str], lines: int, since: str) -> str:
    """The option by which journalctl begins with the last so many lines since then.

    Told both it begins at that time, and ends after so many.
    """
    import subprocess  # slow to load

    argv = [*JOURNAL, "--output-fields=_PID", "--reverse", f"--lines={lines}", f"--since={since}"]
    with subprocess.Popen([*argv, *units], stdout=subprocess.PIPE) as found:
        first = deque(found.stdout or (), maxlen=1)
    return f"--cursor={json.loads(first[0])['__CURSOR']}" if first else f"--since={since}"


def _units(layout: Layout, words: Sequence[str], system: System) -> list[str]:
    """The units of those workers; journalctl knows by a pattern only what has spoken before."""
    try:
        target = state.current(layout)
    except LookupError:
        if words:
            raise
        target = None
    slots = control.chosen(target.manifest, words) if target else []
    named = [layout.worker_unit(type_, number, lane) for type_, number in slots for lane in LANES]
    # of a release that failed in its gate they have spoken
    if not named and (words or not _known(layout.worker_units, system)):
        raise LookupError(
            "no release runs here yet; what the last one said that was tried: satellite logs "
            "--release"
        )
    return named if words else [*named, layout.worker_units]


def _known(pattern: str, system: System) -> bool:
    """Whether the journal has anything of such units; else journalctl fails in its own words."""
    status, _ = system.output(["journalctl", "--quiet", "--lines=1", f"--unit={pattern}"])
    return status == 0
