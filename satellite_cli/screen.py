"""Tables and times: drawn on a terminal, plain aligned lines elsewhere."""

from __future__ import annotations

import json
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
    "no answer": "red",
    "lost": "red",
    "failed": "red",
    "down": "red",
}
"""How a cell of this text is coloured; each says the same without."""


def terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout.isatty()


def data(value: Any) -> None:
    """JSON on standard output."""
    click.echo(json.dumps(value, indent=1))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; where there is no terminal one line a row, two blanks or more between cells."""
    rows = [list(row) for row in rows]
    if not terminal():
        widths = [max(len(row[n]) for row in [columns, *rows]) for n in range(len(columns))]
        for row in [[name.upper() for name in columns], *rows]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    widths = [max(len(row[n]) for row in [columns, *rows]) for n in range(len(columns))]
    blanks = 2 if sum(widths) + 2 * (len(columns) - 1) <= console.width else 1
    padding = (0, blanks, 0, 0)
    drawn = Table(box=None, pad_edge=False, padding=padding, header_style="bold")
    for name in columns:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*(_styled(escape(cell)) for cell in row))
    console.print(drawn)


def _styled(cell: str) -> str:
    style = STYLES.get(cell)
    return f"[{style}]{cell}[/]" if style else cell


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
    """The beginning of a commit."""
    return revision[:7] if revision else "-"


def megabytes(number: int) -> str:
    """Of memory; `-` where it is not known."""
    return f"{number >> 20} MB" if number else "-"
