"""Whether all hosts answer as themselves, asked while the engine is made ready.

Without it the engine would wait for each as long as `satellite:reach_seconds` says. Who answers is
noted, and the program does not ask again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from satellite_cli import remote
from satellite_cli.fleet import Fleet
from satellite_cli.problems import SatelliteError, note
from satellite_cli.project import Project
from satellite_infra.reach import way

SECONDS = 15
"""All hosts together have so long."""


@dataclass(frozen=True)
class Found:
    """Name -> why, of the hosts that do not answer; and a line of `reach` for each that does."""

    silent: Mapping[str, str] = field(default_factory=dict)
    answered: Sequence[str] = ()
    at: float = 0
    """When they were asked, in seconds since 1970."""
    nobody: bool = False
    """Whether it may be the bastion that does not answer."""


class Check:
    """Whom to ask, under way or over. `strict`: nothing is done while a host does not answer."""

    def __init__(self, found: Future[Found], strict: bool = True) -> None:
        self._found, self._strict = found, strict

    @classmethod
    def begun(cls, project: Project, strict: bool = True, names: Sequence[str] = ()) -> Check:
        """One that asks now, in a thread of its own: all hosts, or these."""
        with_it = ThreadPoolExecutor(1)
        made = cls(with_it.submit(_ask, project, strict, names), strict)
        with_it.shutdown(wait=False)
        return made

    @classmethod
    def over(cls, fleet: Fleet, answered: Iterable[str], at: float) -> Check:
        """One that has passed: all were asked for something else since then, and these answered."""
        made: Future[Found] = Future()
        made.set_result(Found({}, _ways(fleet, answered), at))
        return cls(made)

    def passed(self, answered: Path) -> bool:
        """Whether the program may run; one that is not strict does not have it wait.

        Writes to that file, for the program, who is known to answer.
        """
        if not self._strict and not (self._found.done() and not self._found.exception()):
            return True
        found = self._found.result()
        answered.write_text("".join(f"{line}\n" for line in found.answered), encoding="utf-8")
        os.utime(answered, (found.at, found.at))
        return not (self._strict and found.silent)

    def end(self) -> None:
        """Wait for it: SatelliteError with every host that does not answer, if it is strict."""
        found = self._found.result()
        if self._strict:
            refuse(found.silent, found.nobody)


def _ask(project: Project, strict: bool, names: Sequence[str]) -> Found:
    found = hosts_found(project, names)
    for name, problem in () if strict else found.silent.items():
        note(f"warning: {name} does not answer now: {problem}")
    return found


def hosts_found(project: Project, names: Sequence[str] = ()) -> Found:
    """Who answers, and who does not; nobody of a stack that was never up."""
    try:
        fleet = project.fleet()
        wanted = {*(names or (host.name for host in fleet.hosts))} - given_up(project, fleet)
        hosts = [host for host in fleet.hosts if host.name in wanted]
        with remote.connected(fleet) as connection:
            at = time.time()
            answers = connection.everywhere(hosts, "true", SECONDS, secret=False)
    except SatelliteError:  # never up; and what else there is the engine says, with its own words
        return Found()
    silent = {host.name: why for host, answer in answers.items() if (why := _unfit(answer))}
    ways = _ways(fleet, (h.name for h in hosts if h.name not in silent))
    return Found(silent, ways, at, remote.nobody(fleet, answers.values()))


def _unfit(answer: remote.Answer) -> str:
    """Why nothing can be done there; empty where something can."""
    if answer.status and not answer.problem:
        said = (answer.err or answer.out).strip().splitlines()[-1:]
        return ": ".join([f"lets in, and `true` ends with status {answer.status} there", *said])
    return answer.problem


def _ways(fleet: Fleet, names: Iterable[str]) -> list[str]:
    return [way(*fleet.way(name)) for name in names]


def given_up(project: Project, fleet: Fleet) -> set[str]:
    """The hosts that are lost, or whose machine shall be replaced: nobody waits for them."""
    rolled = set(json.loads(project.known.get("roll") or "[]"))
    return declared_lost(project) | rolled | {host.name for host in fleet.hosts if host.lost}


def declared_lost(project: Project) -> set[str]:
    """The hosts that are lost by the stack's file."""
    hosts = json.loads(project.known.get("hosts") or "{}")
    return {name for name, host in hosts.items() if isinstance(host, dict) and host.get("lost")}


def refuse(found: Mapping[str, str], nobody: bool = False) -> None:
    """SatelliteError that names all of these hosts, if there are any.

    `nobody`: it may be the bastion, so that no host shall be declared lost for it.
    """
    if found and nobody:
        raise SatelliteError(
            "nothing was changed: no host answers through the bastion\n"
            + "".join(f"  {name}: {problem}\n" for name, problem in found.items())
            + "  It may be the bastion, or this machine's network: look there first\n"
            "  To ask all hosts again: satellite doctor"
        )
    if found:
        raise SatelliteError(
            "nothing was changed: these hosts do not answer as themselves\n"
            + "".join(f"  {name}: {problem}\n" for name, problem in found.items())
            + f"  Look at one: satellite doctor --host {next(iter(found))}\n"
            "  Is one, or are several, dead for good: satellite lost HOST...\n"
            "  satellite up waits for them, and does what the stack's file says"
        )
