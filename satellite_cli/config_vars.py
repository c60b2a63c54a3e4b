"""Commands for config vars, which are in the stack's file; `up` brings them to hosts."""

from __future__ import annotations

import re
import select
import sys
import termios
from pathlib import Path

import click

from satellite_cli import options, screen, stack_settings
from satellite_cli.groups import Group
from satellite_cli.problems import USAGE, SatelliteError

LINE = 4095
"""Bytes of a line after which a terminal throws away what comes (Linux, N_TTY_BUF_SIZE)."""
PASTED = 0.1
"""Seconds in which the next line of what was pasted has come."""


@click.group(cls=Group, invoke_without_command=True)
@options.stack
@options.as_json
@click.pass_context
def config(context: click.Context, stack: str, as_json: bool) -> None:
    """Config vars of the app. Alone it lists their names; a value is shown by `get` only."""
    if context.invoked_subcommand:
        return
    with stack_settings.of(stack) as found:
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
    with stack_settings.of(stack) as found:
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
    from satellite_stack.import_heroku import unfit

    if "=" in name:
        raise click.UsageError(
            f"the value is not an argument: satellite config set {name.partition('=')[0]}"
        )
    if problem := unfit(name, ""):
        raise click.UsageError(f"{name}: {problem}")
    with stack_settings.of(stack) as found:
        value = _typed(name) if sys.stdin.isatty() else _read(name)
        if problem := unfit(name, value):
            raise click.UsageError(f"the value of {name}: {problem}")
        with found.change() as draft:
            draft.change_config_vars({name: value})
    stack_settings.said([f"{name} is set, encrypted"], found.stack, as_json)


def _read(name: str) -> str:
    """What comes on standard input; UsageError where that is nothing, or no text."""
    try:
        value = sys.stdin.buffer.read().decode()  # whatever this machine writes
    except UnicodeDecodeError:
        raise click.UsageError(f"the value of {name}: should be a text in UTF-8") from None
    if not value:  # such as a file that was not written, or a command before it that failed
        raise click.UsageError(
            f"nothing came on standard input, {name} stays as it is. Where an empty value is "
            f"meant: echo | satellite config set {name}"
        )
    return re.sub(r"\r?\n\Z", "", value)


def _typed(name: str) -> str:
    """A line that somebody types or pastes, unseen; UsageError where that was not all of it.

    `getpass` throws away what comes after it, and says nothing.
    """
    click.echo(f"Value of {name}: ", err=True, nl=False)
    before = termios.tcgetattr(sys.stdin)
    unseen = [*before]
    unseen[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, unseen)
    try:
        line = sys.stdin.readline()
        more = bool(select.select([sys.stdin], [], [], PASTED)[0])
    finally:
        # what is left the shell would take for commands
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
        click.echo(err=True)
    if not line:
        raise click.Abort
    value = line.removesuffix("\n")
    if more or len(line.encode(errors="replace")) >= LINE:
        raise click.UsageError(
            f"a terminal takes one line of {LINE} bytes at most, {name} stays as it is: satellite "
            f"config set {name} < FILE"
        )
    return value


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
    with stack_settings.of(stack) as found, found.change() as draft:
        known = draft.config_vars()
        if missing := [name for name in names if name not in known]:
            raise SatelliteError(f"{found.stack} has no config var {', '.join(missing)}", USAGE)
        draft.change_config_vars({}, names)
    stack_settings.said([f"removed: {', '.join(dict.fromkeys(names))}"], found.stack, as_json)


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
    from satellite_stack.config import ConfigError
    from satellite_stack.import_heroku import Import, chosen, read

    with stack_settings.of(stack) as found:
        try:
            source = chosen(read(file), environment, found.stack, Path(file).name)
        except ConfigError as problem:
            raise SatelliteError(str(problem), USAGE) from None
        work = Import(source, found, overwrite, dry_run)
        lines = work.run()
    stack_settings.said(lines, found.stack, as_json, done=work.changed)
    if left := work.left():
        raise SatelliteError(left)
