"""The jobs as they are done: bars on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.failure import DemoError
from demo.report import Report, Snapshot, count
from demo.screen import Screen

POLL = 0.5  # seconds between two looks at the database
LINE_EVERY = 4.0  # seconds between two lines where there is no terminal
STALLED = 60.0  # seconds in which nothing at all happens to the jobs
WIDTH = 40  # cells of a bar; all of it fits into 80 columns
STYLES = ("blue", "green", "magenta")  # of the first, second, ... revision


@dataclass(frozen=True)
class Share:
    """What one worker slot has done, by revision in the order of their release."""

    slot: str
    done: tuple[int, ...]


def shares(snapshot: Snapshot, revisions: Sequence[str]) -> list[Share]:
    """Each slot's share, sorted by name."""
    counts = snapshot.done_by(lambda run: f"{run.slot}\0{run.revision}")
    slots = sorted({run.slot for run in snapshot.runs})
    return [
        Share(slot, tuple(counts[f"{slot}\0{revision}"] for revision in revisions))
        for slot in slots
    ]


def follow(
    screen: Screen,
    look: Callable[[], Snapshot],
    revisions: Sequence[str],
    until: Callable[[Report], bool],
    note: Callable[[], str] = lambda: "",
) -> Snapshot:
    """Show what is being done until `until` says so of the counts, and return the last snapshot.

    `note` is a remark below the bars. Raises DemoError when nothing moves for a minute.
    """
    start = moved = time.monotonic()
    told, before = start - LINE_EVERY, None
    live = Live(console=screen.console, auto_refresh=False) if screen.live else None
    with live or nullcontext():
        while True:
            snapshot = look()
            report, now = count(snapshot), time.monotonic()
            finished = until(report)
            if live:
                live.update(drawn(snapshot, report, revisions, note()), refresh=True)
            elif finished or now - told >= LINE_EVERY:
                told = now
                screen.say(line(now - start, report, shares(snapshot, revisions), note()))
            if finished:
                return snapshot
            if snapshot != before:
                before, moved = snapshot, now
            elif now - moved > STALLED:
                raise DemoError(
                    f"nothing happened to the jobs for {STALLED:.0f} s", [report.line()]
                )
            time.sleep(POLL)


def line(seconds: float, report: Report, slots: Sequence[Share], note: str) -> str:
    """The state in one line of text."""
    parts = [f"{seconds:3.0f} s  {report.done:3} of {report.tasks} done"]
    for host, group in groupby(slots, key=lambda share: share.slot.partition(" ")[0]):
        parts.append(" ".join([f"{host}:", *("+".join(map(str, s.done)) for s in group)]))
    return "  ".join(filter(None, [*parts, note]))


def drawn(
    snapshot: Snapshot, report: Report, revisions: Sequence[str], note: str
) -> RenderableType:
    """The bars: all jobs, then each slot, its releases side by side."""
    slots = shares(snapshot, revisions)
    table = Table.grid(padding=(0, 2))
    total = Text("━" * _cells(report.done, report.tasks), style="bold cyan")
    total.append("━" * (WIDTH - len(total)), style="bright_black")
    table.add_row("  all jobs", total, f"{report.done} of {report.tasks}")
    fair = 1.3 * report.tasks / max(1, len(slots))  # a full bar: somewhat more than a fair share
    for share in slots:
        bar = Text()
        for done, style in zip(share.done, STYLES, strict=False):
            bar.append("█" * _cells(done, fair), style=style)
        bar.truncate(WIDTH)
        table.add_row(f"  {share.slot}", bar, " + ".join(map(str, share.done)))
    key = Text("  ")
    for revision, style in zip(revisions, STYLES, strict=False):
        key.append(f"█ release {revision[:7]}  ", style=style)
    return Group(table, key, Text(f"  {note}"))


def _cells(part: float, whole: float) -> int:
    return min(WIDTH, round(WIDTH * part / whole)) if whole else 0
