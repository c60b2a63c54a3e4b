"""Commands for keys, which are in the stack's file; `up` brings them to hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from satellite_cli import options, remote, screen, stack_settings
from satellite_cli.groups import Group
from satellite_cli.making import somebody_to_ask, update
from satellite_cli.problems import INTERRUPTED, SatelliteError, consent
from satellite_cli.project import Project
from satellite_cli.reachable import SECONDS
from satellite_cli.running import Running

if TYPE_CHECKING:  # slow to load, and most commands do without
    from satellite_stack.config import Config


@click.group(cls=Group)
def keys() -> None:
    """The stack's keys: make what is missing, rotate the login key."""


@keys.command()
@click.option("--deploy-key", is_flag=True, help="A key that reads the repository, too.")
@options.stack
@options.as_json
def init(deploy_key: bool, stack: str, as_json: bool) -> None:
    """Make the keys that the stack lacks; what is there is never overwritten."""
    from satellite_stack.keys import make

    with stack_settings.of(stack) as found, found.change() as draft:
        lines = list(make(draft, deploy_key))
    stack_settings.said(lines, found.stack, as_json, command="up")


@keys.command()
@options.stack
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def rotate(stack: str, yes: bool, as_json: bool) -> None:
    """A new login key in two updates: every host lets both in, then the old one opens nothing.

    Where one fails, run it again, which goes on: every key that was let in stays so until the end.
    """
    from satellite_stack.keys import begin, end, left

    project = Project.of(stack)
    if not yes:
        somebody_to_ask(as_json)  # before anybody is asked
    with stack_settings.of(project.stack) as found:
        halves = [left] if list(left(found)) else [begin, end]
        if not yes:
            both = "Two updates of {}, one after the other?"
            rest = "The second update of {}, which its last rotation has left?"
            consent((rest if left in halves else both).format(project.stack))
        running = Running.of(project, project.fleet())
        commit = running.commit()  # no deploy: the hosts go on with it
        lines = []
        for half in halves:
            if half is end:
                _opens(project, found)
            with found.change() as changed:
                said = list(half(changed))
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
    with remote.connected(fleet, alone=True) as connection:
        answers = connection.everywhere(fleet.chosen([]), "true", SECONDS, secret=False)
    lines = [f"  {host.name}: {a.problem}" for host, a in answers.items() if a.problem]
    if not lines:
        return
    if fleet.bastion:
        lines += ["  Is this line in the bastion's own authorized_keys, which no update changes?"]
        lines += [f"    {public}"]
    said = "\n".join([*lines, "  The same command again goes on"])
    raise SatelliteError(f"today's key stays: the next one does not open all hosts yet\n{said}")
