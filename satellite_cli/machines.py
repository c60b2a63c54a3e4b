"""Commands for machines: lost, roll."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from satellite_cli import drains, inline, options, partial, remote, screen
from satellite_cli.fleet import Fleet, Host
from satellite_cli.making import Wish, keeping, run, somebody_to_ask, update
from satellite_cli.problems import FAILED, REFUSED, USAGE, SatelliteError, consent, note
from satellite_cli.project import Draft, Project
from satellite_cli.reachable import declared_lost
from satellite_cli.running import Running
from satellite_cli.update import Outcome, summary
from satellite_infra import naming
from satellite_infra.agent.layout import AGENT

SECONDS = 120
"""For the queue to be told of a dead machine."""
DEAD = 10
"""Seconds after which one that does not answer is held to be dead."""
REPLACE = "docs/tasks/a-host-died.md"
"""How a machine that is dead is replaced."""


@click.command()
@click.argument(
    "hosts", nargs=-1, required=True, metavar="HOST...", shell_complete=options.complete_host
)
@options.stack
@click.option("--undo", is_flag=True, help="It lives after all, or gets another machine.")
@click.option(
    "--although-it-answers",
    "unasked",
    is_flag=True,
    help="Do not ask it first whether it lives; what it then works on is done twice.",
)
@options.yes
@options.as_json
def lost(
    hosts: tuple[str, ...], stack: str, undo: bool, unasked: bool, yes: bool, as_json: bool
) -> None:
    """Declare dead hosts lost: nobody waits for them, and their jobs are given to the others.

    They have to be off: what they still did would be done twice. One that answers is refused; where
    its machine before could not be drained, that one is lost, and it stays. Hosts that died
    together are named together. --undo takes it back: they are waited for, prepared and released to
    like new ones. No deploy: the others go on with the commit that they run.
    """
    project = Project.of(stack)
    fleet = project.fleet()
    said = declared_lost(project)
    # the stack's outputs have what was tried last; only where both agree is nothing left to do
    tried = {one.name for one in fleet.hosts if one.lost}
    for host in hosts:
        if host not in (said | tried if undo else tried):
            fleet.chosen([host])
            if undo:
                raise click.UsageError(f"{host} is not declared lost")
    over = [host for host in hosts if host in said & tried and not undo]
    held = _held(project, fleet, over)
    for host in held:
        note(f"{host} is lost already, and what it held is not given back yet: this does it")
    over = [host for host in over if host not in held]
    for host in over:
        note(f"{host} is lost already; to replace it: {_replace(fleet, host)}")
    names = [host for host in hosts if host not in over]
    if names:
        if not yes:
            somebody_to_ask(as_json)
        inline.loading()  # while the hosts are asked
        if undo:
            _take_back(project, fleet, names, yes, as_json)
        else:
            _declare(project, fleet, names, unasked, yes, as_json)
    elif as_json:
        same = {"stack": project.stack, "changes": {}, "revision": fleet.revision}
        screen.data({**same, "settings_changed": False})


def _held(project: Project, fleet: Fleet, lost: Sequence[str]) -> list[str]:
    """Those of which another host could give back what they held, and has not: that had failed.

    They are lost by the settings and the outputs; the next update tries it again.
    """
    if not lost or not fleet.chosen([]):
        return []
    known = drains.of(project.stack)
    return [name for name in lost if name in known and not known[name].given_back]


def _declare(
    project: Project, fleet: Fleet, names: Sequence[str], unasked: bool, yes: bool, as_json: bool
) -> None:
    """SatelliteError before anything where one of them answers, unless they are `unasked`.

    One that answers in the place of a machine that was not drained stays: that machine is lost.
    """
    known = drains.of(project.stack)
    left = {name: drain.machine for name, drain in known.items() if drain.left}
    before = _machines(fleet, known, names)
    # of those that were tried before the outputs have no way to them any more
    asked = [host for host in fleet.chosen([]) if host.name in names and not unasked]
    silent, others = _silent(fleet, asked, left)
    # nor to one that this command has called lost for its drain alone, and then did not end
    begun = {host.name for host in fleet.hosts if host.lost} - declared_lost(project)
    others += [name for name in names if name in begun and name in left and not unasked]
    names = [name for name in names if name not in others]
    if names and not [host for host in fleet.chosen([]) if host.name not in names]:
        note(f"no other host is left: nobody gives back jobs before there is one: {REPLACE}")
    if yes and silent:
        note(silent)
    verb, they = ("Is", "it") if len(names) == 1 else ("Are", "they")
    who = f"{silent} {verb} {they}" if silent else f"{verb} {', '.join(names)}"

    def change(draft: Draft) -> None:
        for name in names:
            draft.put(f"hosts.{name}.lost", "true")

    former = {name: left[name] for name in others}
    with _told_how(fleet, former.items()):
        if former:
            _undrained(project, fleet, former, yes, as_json)
        wish = Wish(change, f"{who} off for good?")
        keeping(project, wish, yes or not names, as_json, dead=names)
    # an engine that has heard that an instance is gone makes another one, and gives back of that
    _give_back(before, project)


def _silent(fleet: Fleet, hosts: Sequence[Host], left: Collection[str]) -> tuple[str, list[str]]:
    """Why those that do not answer do not, empty of none; and who of these `left` answers.

    `left`: a machine of theirs was not drained, and another one is in its place. SatelliteError
    with the others that answer.
    """
    if not hosts:
        return "", []
    with remote.connected(fleet) as connection:
        answers = connection.everywhere(hosts, "true", DEAD, secret=False, each=True)
    # who refuses a key, or the command, is there and may be at work
    there = [host for host, answer in answers.items() if answer.problem in ("", remote.REFUSED)]
    alive = [host for host in there if host.name not in left]
    if alive:
        names = ", ".join(host.name for host in alive)
        what = "answers, and what it works on"
        if len(alive) > 1:
            what = "answer, and what they work on"
        ways = "".join(f"\n  {_switch(host)}" for host in alive)
        drained = "".join(
            f"\n  To drain and replace it: satellite roll {host.name} --again"
            for host in alive
            if _instance(host)
        )
        raise SatelliteError(
            f"nothing was done: {names} {what} would be done twice. Switch off first:{ways}\n"
            f"  To declare lost what lives all the same: --although-it-answers{drained}",
            REFUSED,
        )
    silent = {host.name: answer.problem for host, answer in answers.items() if host not in there}
    each = (f"{name} does not answer ({problem})" for name, problem in silent.items())
    away = remote.away(fleet, answers)
    told = f"{', '.join(each)}{f'; it may be {away}' if away else ''}." if silent else ""
    return told, [host.name for host in there]


def _undrained(
    project: Project, fleet: Fleet, machines: Mapping[str, str], yes: bool, as_json: bool
) -> None:
    """Nobody waits for a drain of these any more, host -> the machine that it had before.

    The machine that it has now may be at work, and is not lost: only the drain is made as that of a
    lost host, which the next update replaces.
    """
    each = ", ".join(f"{machine}, which {name} was," for name, machine in machines.items())
    if not yes:
        verb = "Is" if len(machines) == 1 else "Are"
        consent(f"{verb} {each} off for good?")
    once = {f"hosts.{name}.lost": "true" for name in machines}
    urns = (f"**::{naming.REMOTE}::{naming.of_host(name, naming.DRAIN)}" for name in machines)
    more = [f"{partial.TARGET}{urn}" for urn in urns]
    more.append("--target-dependents")  # the release goes from the state with it, and comes again
    with project.draft() as draft, draft.pinned(fleet.revision, once) as file:
        run(project, "preview", ["--config-file", str(file), *more], as_json=True)
        update(project, file, as_json, more=more)


def _machines(
    fleet: Fleet, known: Mapping[str, drains.Drain], names: Sequence[str]
) -> list[tuple[str, str]]:
    """Whose jobs are given back: the host, and its drain's machine and the one that it has."""
    own = {host.name: host.machine for host in fleet.hosts if host.name in names}
    drained = {name: known[name].machine for name in own if name in known}
    return list(dict.fromkeys((*drained.items(), *own.items())))


@contextlib.contextmanager
def _told_how(fleet: Fleet, machines: Collection[tuple[str, str]]) -> Iterator[None]:
    """An error in here says, too, how what these have held is given back."""
    try:
        yield
    except SatelliteError as problem:
        if problem.status == REFUSED or not machines:
            raise
        ways = "".join(f"\n  {_by_hand(fleet, name, name, old)}" for name, old in machines)
        raise SatelliteError(
            f"{problem}\nWhat machines that are gone held has to be given back once a host works: "
            f"the same command again, or where it says that it is not lost any more{ways}",
            problem.status,
        ) from None


def _instance(host: Host) -> bool:
    """Whether its machine is one that we make, and not one that was there without us."""
    return host.machine.startswith("i-")


def _replace(fleet: Fleet, name: str) -> str:
    """What gives a lost host another machine."""
    ours = any(_instance(host) for host in fleet.hosts if host.name == name)
    return f"satellite roll {name}" if ours else REPLACE


def _switch(host: Host) -> str:
    """What switches it off."""
    if _instance(host):
        return f"aws ec2 terminate-instances --instance-ids {host.machine}"
    return f"satellite ssh {host.name} -- sudo poweroff"


def _take_back(
    project: Project,
    fleet: Fleet,
    names: Sequence[str],
    yes: bool,
    as_json: bool,
    replaced: Host | None = None,
) -> None:
    """`replaced`: the one of them that gets a new instance instead of that which is lost."""
    said = declared_lost(project)
    lost = [host for host in fleet.hosts if host.name in names]
    question = f"Replace {replaced.name}?" if replaced else f"Take {', '.join(names)} back?"
    more = [_new_instance(replaced)] if replaced else []
    once = _rolled(project, replaced.name) if replaced else {}
    for name, why in _dead(project, fleet, [] if replaced else lost):
        note(
            f"{name} does not answer: {why}. Is it the same dead machine, it would be waited for "
            f"in vain: rather replace it: {_replace(fleet, name)}"
        )

    def change(draft: Draft) -> None:
        hosts = project.known_as("hosts", dict)
        for name in names:
            if name in said:
                _remove_lost(draft, hosts, name)

    before = _machines(fleet, drains.of(project.stack), names)
    with _told_how(fleet, before):
        keeping(project, Wish(change, question, more=more, once=once), yes, as_json, dead=names)
    # where nobody else lived, nobody could do it when they were declared lost
    _give_back(before, project)
    if replaced:
        _as_ever(project)


def _remove_lost(draft: Draft, hosts: dict[str, Any], name: str) -> None:
    """Take it out of these, and what would be empty then: no entry may outlive its host."""
    path = f"hosts.{name}.lost"
    del hosts[name]["lost"]
    if not hosts[name]:
        del hosts[name]
        path = f"hosts.{name}" if hosts else "hosts"
    draft.remove(path)


def _dead(project: Project, fleet: Fleet, hosts: Sequence[Host]) -> Iterator[tuple[str, str]]:
    """The names of those that give no sign of life where they are to be, and why.

    The stack's outputs have no way to who is lost, so that nobody connects: a look at the port has
    to do, and behind a bastion there is none.
    """
    from satellite_infra.dial import no_banner

    if fleet.bastion:
        return
    own = project.known_as("hosts", dict)

    def look(host: Host) -> str:
        known = own.get(host.name)
        known = known if isinstance(known, dict) else {}
        address, port = known.get("address") or host.address, str(known.get("port") or 22)
        # a port that is none the program tells
        return no_banner(str(address), int(port), DEAD) if address and port.isdigit() else ""

    with ThreadPoolExecutor(max(len(hosts), 1)) as together:
        for host, problem in zip(hosts, together.map(look, hosts), strict=True):
            if problem:
                yield host.name, problem


def _by_hand(fleet: Fleet, by: str, host: str, machine: str) -> str:
    words = shlex.join(("--app", fleet.app, "--host", host, "--machine", machine))
    return f"satellite ssh {by} -- sudo {AGENT} give-back {words}"


def _give_back(machines: Sequence[tuple[str, str]], project: Project) -> None:
    """Have a host that lives give back what these machines held, if others stand in their places.

    One that is the same as before holds its jobs with reason. What was given back before is held
    by nobody, so that it is not given back again.
    """
    fleet = project.fleet()
    now = {host.name: host.machine for host in fleet.hosts}
    gone = [(name, machine) for name, machine in machines if now.get(name) != machine]
    alive = fleet.chosen([])
    if not gone or not alive:
        return
    with remote.connected(fleet) as connection:
        for name, machine in gone:
            words = ("--app", fleet.app, "--host", name, "--machine", machine)
            command = remote.agent("give-back", *words)
            answer = connection.ask(alive[0], command, time.monotonic() + SECONDS)
            if answer.problem or answer.status:
                raise SatelliteError(
                    f"all is done, but the jobs of {name}'s old machine {machine} are not given "
                    f"back: {answer.problem or remote.last_line(answer.err)}. Do it by: "
                    f"{_by_hand(fleet, alive[0].name, name, machine)}",
                    FAILED,
                )
            note(f"{alive[0].name}: {remote.last_line(answer.out)}")


def _new_instance(host: Host) -> str:
    """The engine's word for another instance in the place of this host's."""
    return f"--replace=**::{naming.INSTANCE}::{host.name}"


def _rolled(project: Project, host: str) -> dict[str, str]:
    """The settings by which its new instance is made as they say, and not as the old one was."""
    named = project.known_as("roll", list)
    return {} if host in named else {f"roll[{len(named)}]": host}


@click.command()
@click.argument("host", metavar="HOST", shell_complete=options.complete_host)
@options.stack
@click.option("--again", is_flag=True, help="Also where it is as the settings say.")
@options.yes
@options.as_json
def roll(host: str, stack: str, again: bool, yes: bool, as_json: bool) -> None:
    """Replace an instance whose image, type or key differ from the settings; drained first.

    One that does not answer is refused, as nobody could drain it; one that is lost is replaced in
    any case: terminated, and no longer lost. The settings stay as they are: `satellite:roll` names
    it for this one update. No deploy: the hosts go on with the commit that they run.
    """
    if not yes:
        somebody_to_ask(as_json)
    project = Project.of(stack)
    fleet = project.fleet()
    known = {one.name: one for one in fleet.hosts}.get(host)
    if known and not _instance(known):
        raise click.UsageError(f"{host} is no instance, but a machine of your own: {REPLACE}")
    if known and not known.lost and host in declared_lost(project):
        raise SatelliteError(
            f"{host} is lost by {project.file.name}, and was not by the last update\n"
            f"  To go on with the machine that it has: satellite lost {host} --undo\n"
            f"  Is that one dead: satellite lost {host}, then this again",
            USAGE,
        )
    inline.loading()  # while the hosts are asked
    if known and known.lost:
        _take_back(project, fleet, [host], yes, as_json, replaced=known)
    else:
        _roll(project, fleet, fleet.chosen([host])[0], again, yes, as_json)


def _roll(
    project: Project, fleet: Fleet, known: Host, again: bool, yes: bool, as_json: bool
) -> None:
    """Replace one that lives; `again`: also where nothing differs."""
    host, more = known.name, [_new_instance(known)] if again else []
    running = Running.of(project, fleet, strict=False)
    _out_of_reach(fleet, running, [host, *project.known_as("roll", list)])
    # it may be the one that is left behind, and replaced for that
    commit = running.commit(but=host) or running.commit() or fleet.revision
    with project.draft() as draft, draft.pinned(commit, _rolled(project, host)) as file:
        if not yes:
            words = ["--config-file", str(file), *more]
            planned = run(project, "preview", words, as_json=False)
            click.echo(summary(planned, planned=True))
            as_it_is = _stays(planned, host)
            if not planned.idle:
                consent("Do this all the same?" if as_it_is else f"Replace {host}?")
        done = update(project, file, as_json, more=more)
    if yes:
        _stays(done, host)
    _as_ever(project)
    if as_json:
        screen.data({"stack": project.stack, "changes": done.changes})
    else:
        click.echo(summary(done, planned=False))


def _stays(outcome: Outcome, host: str) -> bool:
    """Whether its instance is not replaced, which is said: it was asked for."""
    if f"{naming.INSTANCE}::{host}" in outcome.replaced:
        return False
    note(
        f"{host} is not replaced: its image, type and key are as the settings say; to replace it "
        f"all the same: satellite roll {host} --again"
    )
    return True


def _as_ever(project: Project) -> None:
    """Have the engine note the order among hosts without a roll, by which some are deployed to.

    Nothing changes, and what is done stays done whatever fails here: the next update notes it, too.
    """
    with (
        contextlib.suppress(SatelliteError),
        project.draft() as draft,
        draft.pinned(project.fleet().revision) as file,
    ):
        update(project, file, as_json=True)


def _out_of_reach(fleet: Fleet, running: Running, names: Sequence[str]) -> None:
    """SatelliteError with those of them that no drain reaches, before another machine is made."""
    gone = {
        host.name: answer.problem
        for host, answer in running.answers.items()
        # who refuses today's key, or shows another one, is drained by what the engine has noted
        if host.name in names and answer.problem and answer.problem not in remote.REACHED
    }
    if not gone:
        return
    told = "".join(f"  {name}: {problem}\n" for name, problem in gone.items())
    if away := remote.away(fleet, running.answers):
        told += f"  It may be {away}: look there first\n"
    raise SatelliteError(
        "nothing was done: what is replaced is drained before it goes, and does not answer\n"
        f"{told}  Look at it: satellite doctor --host {next(iter(gone))}\n"
        f"  Is it dead for good: satellite lost {' '.join(gone)}, then this again"
    )
