"""Commands for machines: lost, roll."""

from __future__ import annotations

import shlex
import time

import click

from satellite_cli import inline, options, remote, screen
from satellite_cli.change import keeping, run, somebody_to_ask, update
from satellite_cli.fleet import Fleet
from satellite_cli.problems import FAILED, REFUSED, SatelliteError, consent, note
from satellite_cli.project import Draft, Project
from satellite_cli.reachable import declared_lost
from satellite_cli.running import Running
from satellite_cli.update import summary
from satellite_infra.agent.layout import AGENT

SECONDS = 120
"""For the queue to be told of a dead machine."""


@click.command()
@click.argument(
    "hosts", nargs=-1, required=True, metavar="HOST...", shell_complete=options.complete_host
)
@options.stack
@click.option("--undo", is_flag=True, help="It lives after all, or gets another machine.")
@options.yes
@options.as_json
def lost(hosts: tuple[str, ...], stack: str, undo: bool, yes: bool, as_json: bool) -> None:
    """Declare dead hosts lost: nobody waits for them, and their jobs are given to the others.

    Be sure that they are off: what they still did would be done twice. Hosts that died together
    are named together. --undo takes it back: they are waited for, prepared and released to like new
    ones. No deploy: the others go on with the commit that they run.
    """
    project = Project.of(stack)
    fleet = project.fleet()
    said = declared_lost(project)
    # the stack's outputs have what was tried last; only where both agree is nothing left to do
    tried = {one.name for one in fleet.hosts if one.lost}
    for host in hosts:
        if host not in (said | tried if undo else tried - said):
            fleet.chosen([host])
            if undo:
                raise click.UsageError(f"{host} is not declared lost")

    def change(draft: Draft) -> None:
        for host in hosts:
            if not undo:
                draft.put(f"hosts.{host}.lost", "true")
            elif host in said:
                draft.remove(f"hosts.{host}.lost")

    names = ", ".join(hosts)
    verb = "Is" if len(hosts) == 1 else "Are"
    why = f"Take {names} back?" if undo else f"{verb} {names} off for good?"
    before = {host.name: host.machine for host in fleet.hosts if host.name in hosts}
    try:
        keeping(project, change, yes, as_json, why, dead=hosts)
    except SatelliteError as problem:
        if not undo or problem.status == REFUSED:
            raise
        ways = "".join(f"\n  {_by_hand(fleet, name, name, old)}" for name, old in before.items())
        raise SatelliteError(
            f"{problem}\nWhat machines that are gone held has to be given back once a host works: "
            f"the same command again, or where it says that it is not lost any more{ways}",
            problem.status,
        ) from None
    if undo:
        # where nobody else lived, nobody could do it when they were declared lost
        _give_back(before, project)


def _by_hand(fleet: Fleet, by: str, host: str, machine: str) -> str:
    words = shlex.join(("--app", fleet.app, "--host", host, "--machine", machine))
    return f"satellite ssh {by} -- sudo {AGENT} give-back {words}"


def _give_back(machines: dict[str, str], project: Project) -> None:
    """Have a host that lives give back what these machines held, if others stand in their places.

    One that is the same as before holds its jobs with reason. What was given back before is held
    by nobody, so that it is not given back again.
    """
    fleet = project.fleet()
    now = {host.name: host.machine for host in fleet.hosts}
    gone = {name: machine for name, machine in machines.items() if now.get(name) != machine}
    alive = fleet.chosen([])
    if not gone or not alive:
        return
    with remote.connected(fleet) as connection:
        for name, machine in gone.items():
            words = ("--app", fleet.app, "--host", name, "--machine", machine)
            command = remote.agent("give-back", *words)
            answer = connection.ask(alive[0], command, time.monotonic() + SECONDS)
            if answer.problem or answer.status:
                raise SatelliteError(
                    f"{name} is back, but the jobs of its old machine {machine} are not given "
                    f"back: {answer.problem or remote.last_line(answer.err)}. Do it by: "
                    f"{_by_hand(fleet, alive[0].name, name, machine)}",
                    FAILED,
                )
            note(f"{alive[0].name}: {remote.last_line(answer.out)}")


@click.command()
@click.argument("host", metavar="HOST", shell_complete=options.complete_host)
@options.stack
@options.yes
@options.as_json
def roll(host: str, stack: str, yes: bool, as_json: bool) -> None:
    """Replace an instance whose image, type or key differ from the settings; drained first.

    The settings stay as they are: `satellite:roll` names it for this one update. No deploy: the
    hosts go on with the commit that they run.
    """
    if not yes:
        somebody_to_ask(as_json)
    project = Project.of(stack)
    fleet = project.fleet()
    fleet.chosen([host])
    inline.loading(project.file.parent)  # while the hosts are asked
    running = Running.of(project, fleet, strict=False)
    # it may be the one that is left behind, and replaced for that
    commit = running.commit(but=host) or running.commit() or fleet.revision
    with project.draft() as draft:
        named = project.known_as("roll", list)
        if host not in named:
            draft.put(f"roll[{len(named)}]", host)
        with draft.pinned(commit) as file:
            if not yes:
                words = ["--config-file", str(file)]
                click.echo(summary(run(project, "preview", words, as_json=False), planned=True))
                consent(f"Replace {host}?")
            done = update(project, file, as_json)
    if as_json:
        screen.data({"stack": project.stack, "changes": done.changes})
    else:
        click.echo(summary(done, planned=False))
