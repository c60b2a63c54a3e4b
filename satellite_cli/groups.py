"""Groups of commands: whose help folds what is said of each, rather than cut it off."""

from __future__ import annotations

from collections.abc import Iterable

import click

WHOLE = 500
"""Characters of a command's line in a list."""


class Group(click.Group):
    """A command of several commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of all of them."""
        self.list_some(ctx, formatter, "Commands", self.list_commands(ctx))

    def list_some(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
        title: str,
        names: Iterable[str],
    ) -> None:
        """Write a list of these, with a title."""
        commands = [self.get_command(ctx, name) for name in names]
        with formatter.section(title):
            formatter.write_dl([(str(c.name), c.get_short_help_str(WHOLE)) for c in commands if c])
