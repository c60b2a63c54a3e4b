"""Options that several commands have, and how the shell completes their values."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from satellite_cli import aim

Function = TypeVar("Function", bound=Callable[..., Any])


def _fleet(context: click.Context) -> Any:
    from satellite_cli.fleet import Fleet, ours

    stack = context.params.get("stack") or ""
    with ours():
        outputs = Fleet.outputs(*(("--stack", stack) if stack else ()))
    return Fleet.read(stack, outputs, {})  # the settings would have to be decrypted


Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completed(words: Callable[[click.Context], Iterable[str]]) -> Complete:
    """What a shell is told: those of the words that begin so. It shows no errors.

    Of whatever kind: in the middle of a line that is typed nobody wants to read them, and a file
    that is wrong would be quoted there.
    """

    @functools.wraps(words)
    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(word) for word in words(context) if word.startswith(begun)]
        except Exception:  # noqa: BLE001
            return []

    return complete


@completed
def complete_host(context: click.Context) -> Iterable[str]:
    """The stack's hosts."""
    return (host.name for host in _fleet(context).hosts)


@completed
def complete_type(context: click.Context) -> Iterable[str]:
    """The formation's process types and workers."""
    formation = _fleet(context).formation
    workers = (f"{type_}.{n}" for type_, many in formation.items() for n in range(1, many + 1))
    return [*formation, *workers]


@completed
def complete_size(context: click.Context) -> Iterable[str]:
    """The formation's process types, each with what it has now."""
    formation = _fleet(context).formation
    # bash has the sign be a word of its own, and puts what it is told behind that
    typed = os.environ.get("COMP_WORDS", "").split()[: int(os.environ.get("COMP_CWORD", 0)) + 1]
    if "=" in typed[-2:]:
        type_ = typed[len(typed) - 2 - typed[::-1].index("=")]
        return [str(formation[type_])]
    return [f"{type_}={many}" for type_, many in formation.items()]


@completed
def complete_stack(_: click.Context) -> Iterable[str]:
    """The project's stacks that have settings."""
    from satellite_stack.stack_file import named, project_folder

    return named(project_folder())


@completed
def complete_config(context: click.Context) -> Iterable[str]:
    """The names of the stack's config vars."""
    from satellite_cli.project import Project

    return Project.of(context.params.get("stack") or "").config_names()


def said(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """What was typed here, or before the command; UsageError where it is empty.

    That is what an unset variable of a script leaves, and another thing than no option at all.
    """
    name = option.name or ""
    typed = _typed(context, name)
    if typed is context:
        if "" in (value if isinstance(value, tuple) else (value,)):
            hint = option.opts[0] if isinstance(option, click.Option) else name.upper()
            raise click.UsageError(f"{hint} is empty")
        return value
    return typed.params[name] if typed else value


def _typed(context: click.Context | None, name: str) -> click.Context | None:
    """Of which command an option was typed: this one, or the nearest of those around it."""
    while context and context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
        context = context.parent
    return context


def _said_stack(context: click.Context, option: click.Parameter, value: str) -> str:
    """The same, of the stack; once it was typed, what this command says names it, too."""
    value = said(context, option, value)
    if _typed(context, option.name or ""):
        aim.at(value)
    return value


def stack(function: Function) -> Function:
    """Which stack."""
    return click.option(
        "--stack",
        "-s",
        envvar="SATELLITE_STACK",
        default="",
        metavar="NAME",
        callback=_said_stack,
        shell_complete=complete_stack,
        help="The stack; SATELLITE_STACK, or the selected one, where it is not given.",
    )(function)


def as_json(function: Function) -> Function:
    """JSON instead of a table."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=said, help="As JSON, for programs."
    )(function)


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
        callback=said,
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
        callback=said,
        shell_complete=complete_host,
        help=about,
    )


class Seconds(click.FloatRange):
    """A number of seconds: what is no number is none, either."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number."""
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


def seconds(default: int) -> Callable[[Function], Function]:
    """How long all hosts together may take."""
    return click.option(
        "--timeout",
        "seconds",
        type=Seconds(min=1, max=86_400),
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
