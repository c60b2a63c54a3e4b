"""The stack's settings as commands read and write them, and what they say of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from satellite_cli import screen
from satellite_cli.aim import aimed
from satellite_cli.fleet import ours
from satellite_cli.problems import say

if TYPE_CHECKING:  # slow to load, and most commands do without
    from satellite_stack.config import Config


@contextlib.contextmanager
def of(stack: str) -> Iterator[Config]:
    """The stack's settings; what is wrong with them as ours."""
    from satellite_stack.config import Config

    with ours():
        yield Config.of(stack)


def said(
    lines: list[str],
    stack: str,
    as_json: bool,
    done: bool = True,
    command: str = "up --same-commit",
) -> None:
    """What was done, if it was, and what brings it to the hosts: a `command` of ours."""
    if as_json:
        screen.data({"stack": stack, "said": lines})
        return
    for line in lines:
        say(line)
    if done:
        click.echo(aimed(f"Next: satellite {command}"))
