"""Who is at work: the engine's lock of the stack, and each host's own."""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import click

from satellite_cli import asking, options, remote, screen
from satellite_cli.act import done_on
from satellite_cli.aim import aimed
from satellite_cli.fleet import Fleet, NeverUpError, ours
from satellite_cli.groups import Group
from satellite_cli.problems import REFUSED, SatelliteError, consent
from satellite_cli.project import Project, engine
from satellite_stack import stack_file

UNKNOWN = "not known with this backend; an update that finds it locked says so"


@dataclass(frozen=True)
class Holder:
    """Who has made a lock of the stack, in words; `pid`: of a process that runs on this machine."""

    who: str
    pid: int | None = None


@click.group(cls=Group)
def lock() -> None:
    """Who is at work on the stack or a host; release what a killed one left."""


@lock.command()
@options.stack
@options.hosts
@options.seconds(asking.SECONDS)
@options.as_json
def status(stack: str, names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Who holds the stack's lock, and who each host's.

    A host's lock ends with the program that holds it: none is ever left behind.
    """
    stack = Project.of(stack).stack
    held = engine_locks(stack)
    try:
        _, hosts, said, silent = asking.ask(stack, names, seconds, "status")
    except NeverUpError:  # a first update that was killed has left a lock, and no hosts
        if names or not held:
            raise
        hosts, said, silent = [], {}, {}
    if as_json:
        locks = {name: told["lock"] for name, told in said.items()}
        holders = None if held is None else [one.who for one in held]
        data = {"stack": stack, "engine": holders, "hosts": locks, "unanswered": silent}
        screen.data(data)
    else:
        rows = [("the stack", _told(held) or "free")]
        rows += [(h.name, said[h.name]["lock"] or "free") for h in hosts if h.name in said]
        screen.table(("lock", "held by"), rows)
    asking.finish(silent)


@lock.command()
@options.stack
@options.one_host(
    "End the release that runs on this host instead; it goes back to its last good one."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
def release(stack: str, name: str, yes: bool, as_json: bool) -> None:
    """Release the stack's lock, which a killed update has left.

    Be sure that nobody is at work: two updates at the same time spoil the state. One that runs on
    this very machine keeps its lock. A host goes on with its release by itself, and holds its own
    lock for as long.
    """
    if name:
        _end(stack, name, yes, as_json)
        return
    stack = Project.of(stack).stack
    held = engine_locks(stack)
    if held == []:
        _say(as_json, stack, "free already")
        return
    for one in held or ():
        if one.pid:
            raise SatelliteError(
                f"nothing was done: {one.who}, is still at work on this machine. To end it: "
                f"kill -INT {one.pid}. Where that is another program by now (ps {one.pid}): "
                f"pulumi cancel --stack {stack}",
                REFUSED,
            )
    _confirm(f"Release the lock of {stack} ({_told(held)})?", yes)
    engine("cancel", "--yes", "--stack", stack)
    _say(as_json, stack, "released; the next: satellite up")


def _end(stack: str, name: str, yes: bool, as_json: bool) -> None:
    fleet = Fleet.of(stack)
    (host,) = fleet.chosen([name])
    if not yes:  # else a host that is slow would be asked twice
        answers = asking.answers_of(fleet, [host], asking.SECONDS, "status")
        said, _ = asking.sorted_out(answers)
        if name in said and not said[name]["lock"]:
            done_on(fleet, [host], {host: remote.Answer(out="free already")}, as_json)
            return
    _confirm(f"End the release that runs on {name}?", yes)
    with remote.connected(fleet) as connection:
        command = remote.agent("end-release", "--app", fleet.app)
        answers = connection.everywhere([host], command, 2 * fleet.grace + 150)
    done_on(fleet, [host], answers, as_json)


def _say(as_json: bool, stack: str, text: str) -> None:
    if as_json:
        screen.data({"stack": stack, "engine": aimed(text)})
    else:
        click.echo(f"{stack}: {aimed(text)}")


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise SatelliteError(f"{question} Nobody is there to ask: say --yes", REFUSED)
    consent(question)


def _told(held: list[Holder] | None) -> str:
    return UNKNOWN if held is None else "; ".join(one.who for one in held)


def engine_locks(stack: str) -> list[Holder] | None:
    """Who holds the stack's lock; None where the backend does not tell."""
    backend = json.loads(engine("whoami", "--json")).get("url", "")
    where = urlparse(backend)
    if where.scheme == "file":
        found = files(backend, stack)
        return None if found is None else [_holder(path) for path in found]
    if where.scheme in ("http", "https"):
        known = json.loads(engine("stack", "ls", "--json"))
        mine = [one for one in known if one["name"].rpartition("/")[2] == stack.rpartition("/")[2]]
        return [Holder("an update")] if any(one.get("updateInProgress") for one in mine) else []
    return None


def files(backend: str, stack: str) -> list[Path] | None:
    """The stack's locks in a folder of states, by its URL; None where there is no such folder.

    Other projects have theirs in the same one. The engine's own way to read that URL, and its
    folders: massageBlobPath and lockDir in pkg/backend/diy.
    """
    where = Path(unquote(backend.removeprefix("file://").partition("?")[0]))
    if where.parts[:1] == ("~",):
        where = Path(pwd.getpwuid(os.getuid()).pw_dir, *where.parts[1:])
    state = where.absolute() / ".pulumi"
    if not state.is_dir():
        return None
    name = stack.rpartition("/")[2]
    with ours():
        project = stack_file.project_name()

    def its(lock: Path) -> bool:
        above = lock.relative_to(state / "locks").parts[:-1]
        return above[-2:] == (project, name) or above == (name,)  # as before it knew projects

    return sorted(filter(its, state.glob("locks/**/*.json")))


def lives(held: Mapping[str, Any]) -> bool | None:
    """Whether the process that has made this lock runs; None where it is another machine's."""
    if held.get("hostname") != socket.gethostname():
        return None
    return Path(f"/proc/{held.get('pid')}").exists()


def made_by(held: Mapping[str, Any]) -> str:
    """Who has made this lock."""
    return f"{held.get('username')}@{held.get('hostname')} (pid {held.get('pid')})"


def _holder(path: Path) -> Holder:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Holder("somebody")
    who = f"{made_by(found)}, since {str(found.get('timestamp', ''))[:19]}"
    return Holder(who, found.get("pid") if lives(found) else None)
