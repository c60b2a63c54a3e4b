"""Tables and times: drawn on a terminal, plain aligned lines elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

STYLES = {
    "running": "green",
    "good": "green",
    "starting": "yellow",
    "ending": "yellow",
    "waiting": "yellow",
    "stopped": "yellow",
    "not prepared": "yellow",
    "no answer": "red",
    "lost": "red",
    "failed": "red",
    "down": "red",
}
"""How a cell of this text is coloured; each says the same without."""
SHORT = 20
"""Characters of a column that is never folded, so that a longer one gives way."""
LEAST = 12
"""Characters that such a longer one keeps."""
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What controls a terminal, and what turns the direction of a text."""


def terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout.isatty()


def safe(text: str, err: bool = False) -> str:
    """A text of somebody else without what a terminal obeys; where there is none as it is.

    `err`: it goes to standard error.
    """
    looked_at = sys.stderr.isatty() if err else terminal()
    return OBEYED.sub("·", text) if looked_at else text


def coloured(text: str, colour: str | None) -> str:
    """A text for a terminal; plain where it has no colours, or NO_COLOR is set.

    Where there is no terminal click takes the colour away.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, fg=colour)


def data(value: Any) -> None:
    """JSON on standard output."""
    click.echo(json.dumps(value, indent=1))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    may_go: str = "",
    narrow: Iterable[str] = (),
) -> None:
    """A table; where there is no terminal one line a row, two blanks or more between cells.

    `may_go`: the column that is left out of a terminal which is too narrow for all of them.
    `narrow`: those that go then, one after the other, rather than that cells are cut.
    """
    rows = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    if not terminal():
        for row in [[name.upper() for name in columns], *rows]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # which knows what to make of none, such as COLUMNS=0
    console = Console(highlight=False, width=shutil.get_terminal_size().columns)
    sizes = dict(zip(columns, widths, strict=True))
    if may_go and sum(widths) + len(widths) - 1 > console.width:
        del sizes[may_go]
    for name in narrow:
        if _least(sizes.values()) > console.width:
            del sizes[name]
    rows = [[row[columns.index(name)] for name in sizes] for row in rows]
    widths, cut = list(sizes.values()), _least(sizes.values()) > console.width
    fits = sum(widths) + 2 * (len(widths) - 1) <= console.width
    gap = 2 if fits else 1  # rather close than folded
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name, width in sizes.items():
        short = width <= SHORT and not cut  # rather folded than cut
        drawn.add_column(name, overflow="ellipsis" if short else "fold", no_wrap=short)
    for row in rows:
        # as it is: no markup, and no :name: of an emoji
        drawn.add_row(*(Text(safe(cell), STYLES.get(cell, "")) for cell in row))
    console.print(drawn)


def _least(widths: Iterable[int]) -> int:
    """Characters of a line of such columns, where the long ones are folded."""
    return sum(1 + (width if width <= SHORT else LEAST) for width in widths) - 1


def when(stamp: str | None, now: datetime | None = None) -> str:
    """How long ago on a terminal, where columns are few; else the time itself."""
    if stamp is None:
        return "-"
    if not terminal():
        return stamp
    then = datetime.fromisoformat(stamp)
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def short(revision: str | None) -> str:
    """The beginning of a commit, as the hosts' own messages have it."""
    return revision[:12] if revision else "-"


def megabytes(number: int) -> str:
    """Of memory, rounded up; `-` where it is not known."""
    return f"{-(-number >> 20)} MB" if number else "-"
