"""Commands for config vars and keys, which are in the stack's file; `up` brings them to hosts."""

from __future__ import annotations

import contextlib
import itertools
import select
import sys
import termios
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from satellite_cli import options, remote, screen
from satellite_cli.fleet import ours
from satellite_cli.groups import Group
from satellite_cli.making import somebody_to_ask, update
from satellite_cli.problems import INTERRUPTED, USAGE, SatelliteError, consent
from satellite_cli.project import Project
from satellite_cli.reachable import SECONDS
from satellite_cli.running import Running

if TYPE_CHECKING:  # slow to load, and most commands do without
    from scripts.config import Config


LINE = 4095
"""Bytes of a line after which a terminal throws away what comes (Linux, N_TTY_BUF_SIZE)."""
PASTED = 0.1
"""Seconds in which the next line of what was pasted has come."""


@contextlib.contextmanager
def settings(stack: str) -> Iterator[Config]:
    """The stack's settings; what is wrong with them as ours."""
    from scripts.config import Config

    with ours():
        yield Config.of(stack)


@click.group(cls=Group, invoke_without_command=True)
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
        value = _typed(name)
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
    with settings(stack) as found, found.change() as draft:
        draft.change_config_vars({name: value})
    _said([f"{name} is set, encrypted"], found.stack, as_json)


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
    with settings(stack) as found, found.change() as draft:
        known = draft.config_vars()
        if missing := [name for name in names if name not in known]:
            raise SatelliteError(f"{found.stack} has no config var {', '.join(missing)}", USAGE)
        draft.change_config_vars({}, names)
    _said([f"removed: {', '.join(dict.fromkeys(names))}"], found.stack, as_json)


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
    from scripts.config import ConfigError
    from scripts.import_heroku import Import, chosen, read

    with settings(stack) as found:
        try:
            source = chosen(read(file), environment, found.stack, Path(file).name)
        except ConfigError as problem:
            raise SatelliteError(str(problem), USAGE) from None
        work = Import(source, found, overwrite, dry_run)
        lines = work.run()
    _said(lines, found.stack, as_json, done=not dry_run)
    if left := work.left():
        raise SatelliteError(left)


def _said(
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
        click.echo(line)
    if done:
        click.echo(f"Next: satellite {command} --stack {stack}")


@click.group(cls=Group)
def keys() -> None:
    """The stack's keys: make what is missing, rotate the login key."""


@keys.command()
@click.option("--deploy-key", is_flag=True, help="A key that reads the repository, too.")
@options.stack
@options.as_json
def init(deploy_key: bool, stack: str, as_json: bool) -> None:
    """Make the keys that the stack lacks; what is there is never overwritten."""
    from scripts.keys import make

    with settings(stack) as found, found.change() as draft:
        lines = list(_done(make(draft, deploy_key)))
    _said(lines, found.stack, as_json, command="up")


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
            if half is end:
                _opens(project, found)
            with found.change() as changed:
                said = list(_done(half(changed)))
            for line in said:
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


def _opens(project: Project, found: Config) -> None:
    """SatelliteError where the next key does not open all hosts: then today's has to stay.

    The way through a bastion is its owner's: no update lets a key in there.
    """
    fleet, public = project.fleet(), found.known()["next_public_key"]
    if fleet.private_key:
        fleet = replace(fleet, private_key=found.get("next_private_key"))
    else:
        fleet = replace(fleet, public_key=public)
    with remote.connected(fleet) as connection:
        answers = connection.everywhere(fleet.chosen([]), "true", SECONDS, secret=False)
    lines = [f"  {host.name}: {a.problem}" for host, a in answers.items() if a.problem]
    if not lines:
        return
    if fleet.bastion:
        lines += ["  Is this line in the bastion's own authorized_keys, which no update changes?"]
        lines += [f"    {public}"]
    said = "\n".join([*lines, "  The same command again goes on"])
    raise SatelliteError(f"today's key stays: the next one does not open all hosts yet\n{said}")


def _done(lines: Iterable[str]) -> Iterator[str]:
    """What was done; not what is next by hand."""
    return itertools.takewhile(lambda line: not line.startswith("Next"), lines)
