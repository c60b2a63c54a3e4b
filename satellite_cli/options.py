"""Options that several commands have, and how the shell completes their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from satellite_cli.problems import SatelliteError

Function = TypeVar("Function", bound=Callable[..., Any])


def _fleet(context: click.Context) -> Any:
    from satellite_cli.fleet import Fleet

    return Fleet.of(context.params.get("stack") or "")


def complete_host(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """The stack's hosts."""
    try:
        names = [host.name for host in _fleet(context).hosts]
    except (SatelliteError, click.ClickException):  # a shell that completes shows no errors
        return []
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def complete_type(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """The formation's process types and workers."""
    try:
        formation = _fleet(context).formation
    except (SatelliteError, click.ClickException):
        return []
    workers = [f"{type_}.{n}" for type_, many in formation.items() for n in range(1, many + 1)]
    return [CompletionItem(word) for word in [*formation, *workers] if word.startswith(begun)]


def stack(function: Function) -> Function:
    """Which stack."""
    return click.option(
        "--stack",
        "-s",
        envvar="SATELLITE_STACK",
        default="",
        metavar="NAME",
        help="The stack; SATELLITE_STACK, or the selected one, where it is not given.",
    )(function)


def as_json(function: Function) -> Function:
    """JSON instead of a table."""
    return click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")(function)


def yes(function: Function) -> Function:
    """Without questions."""
    about = "Do not show what would change, and do not ask."
    return click.option("--yes", "-y", is_flag=True, help=about)(function)


def hosts(function: Function) -> Function:
    """Which hosts."""
    return click.option(
        "--host",
        "names",
        multiple=True,
        metavar="HOST",
        shell_complete=complete_host,
        help="Only this host; may be given again. All of them where it is not.",
    )(function)


def one_host(about: str) -> Callable[[Function], Function]:
    """Which one host, if any."""
    return click.option(
        "--host",
        "name",
        default="",
        metavar="HOST",
        shell_complete=complete_host,
        help=about,
    )


def seconds(default: int) -> Callable[[Function], Function]:
    """How long all hosts together may take."""
    return click.option(
        "--timeout",
        "seconds",
        type=click.FloatRange(min=1),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="How long the hosts may take, all of them together.",
    )


def workers(function: Function) -> Function:
    """Which workers."""
    return click.argument(
        "workers", nargs=-1, metavar="[TYPE[.N]]...", shell_complete=complete_type
    )(function)
