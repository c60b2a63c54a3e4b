"""What a person sees: numbered steps, the commands, their output, the live bars, the last table."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo.failure import DemoError

PLAIN_WIDTH = 110  # columns, where there is no terminal


class Clock:
    """Counts from its making."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s"


@dataclass
class Screen:
    """The one place that prints."""

    console: Console
    steps: int = 0

    @classmethod
    def standard(cls) -> Screen:
        """On standard output; plain lines when that is not a terminal."""
        terminal = sys.stdout.isatty()
        return cls(
            Console(
                highlight=False, soft_wrap=not terminal, width=None if terminal else PLAIN_WIDTH
            )
        )

    @property
    def live(self) -> bool:
        """Whether lines can be drawn over again."""
        return self.console.is_terminal and os.environ.get("TERM") != "dumb"

    def step(self, title: str) -> Clock:
        """A numbered heading; the clock tells how long the step has taken."""
        self.steps += 1
        self.console.print(f"\n[bold cyan]{self.steps}. {escape(title)}[/]")
        return Clock()

    def command(self, text: str) -> None:
        """A command as a person would type it."""
        self.console.print(f"  [bold]$ {escape(text)}[/]")

    def quote(self, line: str) -> None:
        """One line of a command's output."""
        self.console.print(f"    [dim]{escape(line)}[/]")

    def diff(self, lines: Iterable[str]) -> None:
        """Lines of a diff, in its colours."""
        for line in lines:
            sign = line.lstrip()[:2]
            style = {"- ": "red", "+ ": "green", "~ ": "yellow", "+-": "yellow"}.get(sign, "dim")
            self.console.print(f"    [{style}]{escape(line)}[/]")

    def good(self, text: str) -> None:
        """Something that was checked and is as promised."""
        self.console.print(f"  [green]✓[/] {escape(text)}")

    def say(self, text: str) -> None:
        """A remark."""
        self.console.print(f"  {escape(text)}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A small table, numbers to the right."""
        table = Table(box=box.SIMPLE_HEAD)
        rows = list(rows)
        for number, name in enumerate(columns):
            numeric = bool(rows) and all(row[number].isdigit() for row in rows)
            table.add_column(escape(name), justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*map(escape, row))
        self.console.print(table)

    def summary(self, title: str, facts: Iterable[tuple[str, str]]) -> None:
        """The facts of the whole, one below the other."""
        table = Table.grid(padding=(0, 3))
        for name, fact in facts:
            table.add_row(f"  {escape(name)}", escape(fact))
        self.console.print(f"\n[bold cyan]{escape(title)}[/]")
        self.console.print(table)

    def failure(self, failure: DemoError) -> None:
        """What went wrong, why, and where to look."""
        self.console.print(f"\n[bold red]✗ {escape(failure.what)}[/]")
        for line in failure.why:
            self.console.print(f"    {escape(line)}")
        for place in failure.look:
            self.console.print(f"  see {escape(place)}")
