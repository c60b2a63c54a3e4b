"""Commands for config vars and keys, which are in the stack's file; `up` brings them to hosts."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satellite_cli import options, screen
from satellite_cli.change import somebody_to_ask, update
from satellite_cli.fleet import ours
from satellite_cli.problems import INTERRUPTED, USAGE, SatelliteError, consent
from satellite_cli.project import Project
from satellite_cli.running import Running

if TYPE_CHECKING:  # it brings Pulumi's SDK along, which most commands do without
    from scripts.config import Config


@contextlib.contextmanager
def settings(stack: str) -> Iterator[Config]:
    """The stack's settings; what is wrong with them as ours."""
    from scripts.config import Config

    with ours():
        yield Config.of(stack)


@click.group(invoke_without_command=True)
@options.stack
@options.as_json
@click.pass_context
def config(context: click.Context, stack: str, as_json: bool) -> None:
    """Config vars of the app. Alone it lists their names; a value is shown by `get` only."""
    if context.invoked_subcommand:
        return
    with settings(stack) as found:
        names = sorted(found.config_vars())
    if as_json:
        screen.data({"stack": found.stack, "names": names})
    else:
        click.echo("\n".join(names) or f"{found.stack} has no config vars")


@config.command()
@click.argument("name", shell_complete=options.complete_config)
@options.stack
@options.as_json
def get(name: str, stack: str, as_json: bool) -> None:
    """Show the value of one."""
    with settings(stack) as found:
        known = found.config_vars()
    if name not in known:
        raise SatelliteError(f"{found.stack} has no config var {name}", USAGE)
    if as_json:
        screen.data({"name": name, "value": known[name]})
    else:
        _shown(known[name])


def _shown(value: str) -> None:
    """A value as it is, or not at all."""
    try:
        value.encode(sys.stdout.encoding)
    except UnicodeError:
        raise SatelliteError(
            f"the value has what {sys.stdout.encoding} cannot show: satellite config get --json"
        ) from None
    click.echo(value)


@config.command("set")
@click.argument("name")
@options.stack
@options.as_json
def set_(name: str, stack: str, as_json: bool) -> None:
    """Set one, encrypted. Its value is asked for, or comes on standard input (`< file`).

    It is never an argument: other users of this machine, and your shell's history, would see it.
    Of standard input a line's end at the end is not part of it.
    """
    from scripts.import_heroku import unfit

    if "=" in name:
        raise click.UsageError(
            f"the value is not an argument: satellite config set {name.partition('=')[0]}"
        )
    if problem := unfit(name, ""):
        raise click.UsageError(f"{name}: {problem}")
    if sys.stdin.isatty():
        # an empty line is an empty value, and not asked for again
        how: dict[str, Any] = {"default": "", "show_default": False, "hide_input": True}
        value = str(click.prompt(f"Value of {name}", err=True, **how))
    else:
        try:
            value = sys.stdin.read()
            value.encode()  # what is none may have been read all the same
        except UnicodeError:
            raise click.UsageError(f"the value of {name}: should be a text in UTF-8") from None
        if not value:  # such as a file that was not written, or a command before it that failed
            raise click.UsageError(
                f"nothing came on standard input, {name} stays as it is. Where an empty value is "
                f"meant: echo | satellite config set {name}"
            )
        value = value.removesuffix("\n")
    if problem := unfit(name, value):
        raise click.UsageError(f"the value of {name}: {problem}")
    with settings(stack) as found:
        found.put_config_var(name, value)
    _said([f"{name} is set, encrypted"], found.stack, as_json)


@config.command()
@click.argument(
    "names",
    nargs=-1,
    required=True,
    metavar="NAME...",
    shell_complete=options.complete_config,
)
@options.stack
@options.as_json
def unset(names: tuple[str, ...], stack: str, as_json: bool) -> None:
    """Remove some."""
    with settings(stack) as found:
        known = found.config_vars()
        if missing := [name for name in names if name not in known]:
            raise SatelliteError(f"{found.stack} has no config var {', '.join(missing)}", USAGE)
        for name in names:
            found.remove_config_var(name)
    _said([f"removed: {', '.join(names)}"], found.stack, as_json)


@config.command("import")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@click.option(
    "--environment",
    default="",
    callback=options.said,
    help="Which of the file; the stack's where not given.",
)
@click.option("--overwrite", is_flag=True, help="Its values win over the stack's.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@options.stack
@options.as_json
def import_(
    file: str, environment: str, overwrite: bool, dry_run: bool, stack: str, as_json: bool
) -> None:
    """Take over an old heroku.yml, or what `heroku config --json` prints (- for standard input)."""
    from scripts.import_heroku import Import, chosen, sources

    name = Path(file).name
    try:
        text = sys.stdin.read() if name == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SatelliteError(f"{file} cannot be read as a text", USAGE) from None
    with settings(stack) as found:
        source = chosen(sources(text, name), environment, found.stack, name)
        work = Import(source, found, overwrite, dry_run)
        lines = list(work.run())
    _said(lines, found.stack, as_json)
    if work.conflicts or work.left_out:
        raise SatelliteError(
            f"{work.conflicts} of them the stack has with another value, and {work.left_out} "
            "cannot be taken"
        )


def _said(lines: list[str], stack: str, as_json: bool) -> None:
    """What was done, and what brings it to the hosts."""
    if as_json:
        screen.data({"stack": stack, "said": lines})
        return
    for line in lines:
        click.echo(line)
    click.echo(f"Next: satellite up --stack {stack}")


@click.group()
def keys() -> None:
    """The stack's keys: make what is missing, rotate the login key."""


@keys.command()
@click.option("--deploy-key", is_flag=True, help="A key that reads the repository, too.")
@options.stack
@options.as_json
def init(deploy_key: bool, stack: str, as_json: bool) -> None:
    """Make the keys that the stack lacks; what is there is never overwritten."""
    from scripts.keys import make

    with settings(stack) as found:
        lines = list(_done(make(found, deploy_key)))
    _said(lines, found.stack, as_json)


@keys.command()
@options.stack
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def rotate(stack: str, yes: bool, as_json: bool) -> None:
    """A new login key in two updates: every host lets both in, then the old one opens nothing.

    Where one fails, run it again: every key that was let in stays so until the end.
    """
    from scripts.keys import begin, end

    project = Project.of(stack)
    if not yes:
        somebody_to_ask(as_json)
        consent(f"Two updates of {project.stack}, one after the other?")
    running = Running.of(project, project.fleet())
    commit = running.commit()  # no deploy: the hosts go on with it
    with settings(project.stack) as found:
        lines = []
        for half in (begin, end):
            for line in _done(half(found)):
                lines.append(line)
                if not as_json:
                    click.echo(line)
            with project.draft() as draft, draft.pinned(commit) as file:
                done = update(project, file, as_json, check=running.check)
            if done.interrupted and half is begin:  # it was done by then
                raise SatelliteError(
                    "interrupted after the first of two updates: the same command again goes on",
                    INTERRUPTED,
                )
    if as_json:
        screen.data({"stack": found.stack, "said": lines})
    else:
        click.echo(f"rotated; {project.file.name} says so now: commit it")


def _done(lines: Iterable[str]) -> Iterator[str]:
    """What was done; not what is next by hand."""
    return itertools.takewhile(lambda line: not line.startswith("Next"), lines)
