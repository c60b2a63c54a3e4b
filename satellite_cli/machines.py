"""Commands for one machine: lost, roll."""

from __future__ import annotations

import json

import click

from satellite_cli import options, screen
from satellite_cli.change import apply, run, somebody_to_ask, unasked, update
from satellite_cli.problems import consent
from satellite_cli.project import Draft, Project
from satellite_cli.update import summary


@click.command()
@click.argument("host", metavar="HOST", shell_complete=options.complete_host)
@options.stack
@click.option("--undo", is_flag=True, help="It lives after all, or gets another machine.")
@options.yes
@options.as_json
def lost(host: str, stack: str, undo: bool, yes: bool, as_json: bool) -> None:
    """Declare a dead host lost: nobody waits for it, and its jobs are given to the others.

    Be sure that it is off: what it still did would be done twice. --undo takes it back: it is
    waited for, prepared and released to like a new one.
    """
    project = Project.of(stack)
    fleet = project.fleet()
    if not undo or host not in {one.name for one in fleet.hosts if one.lost}:
        fleet.chosen([host])
        if undo:
            raise click.UsageError(f"{host} is not declared lost")

    def change(draft: Draft) -> None:
        if undo:
            draft.remove(f"hosts.{host}.lost")
        else:
            draft.put(f"hosts.{host}.lost", "true")

    why = f"Take {host} back?" if undo else f"Is {host} off for good?"
    apply(project, change, yes, as_json, why, check=unasked)


@click.command()
@click.argument("host", metavar="HOST", shell_complete=options.complete_host)
@options.stack
@options.yes
@options.as_json
def roll(host: str, stack: str, yes: bool, as_json: bool) -> None:
    """Replace an instance whose image, type or key differ from the settings; drained first.

    The settings stay as they are: `satellite:roll` names it for this one update.
    """
    project = Project.of(stack)
    fleet = project.fleet()
    fleet.chosen([host])
    with project.draft() as draft:
        named = json.loads(project.known.get("roll") or "[]")
        if host not in named:
            draft.put(f"roll[{len(named)}]", host)
        file = ["--config-file", str(draft.file)]
        if not yes:
            somebody_to_ask(as_json)
            click.echo(summary(run(project, "preview", file, as_json=False), planned=True))
            consent(f"Replace {host}?")
        with draft.pinned(fleet.revision) as pinned:
            done = update(project, pinned, as_json)
    if as_json:
        screen.data({"stack": project.stack, "changes": done.changes})
    else:
        click.echo(summary(done, planned=False))
