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
    at: float = field(default_factory=time.time)
    """When they answered, in seconds since 1970."""


class Check:
    """Begun when it is made. `strict`: nothing is done while a host does not answer.

    `names`: of these hosts alone.
    """

    def __init__(self, project: Project, strict: bool = True, names: Sequence[str] = ()) -> None:
        self._strict = strict
        with_it = ThreadPoolExecutor(1)
        self._found = with_it.submit(self._ask, project, names)
        with_it.shutdown(wait=False)

    @classmethod
    def over(cls, fleet: Fleet, answered: Iterable[str]) -> Check:
        """One that has passed: all were asked for something else, and these answered."""
        made = cls.__new__(cls)
        made._strict, made._found = True, Future()
        made._found.set_result(Found(answered=[way(*fleet.way(name)) for name in answered]))
        return made

    def passed(self, answered: Path) -> bool:
        """Whether the program may run; one that is not strict does not have it wait.

        Writes to that file, for the program, who is known to answer.
        """
        if self._strict or self._found.done():
            found = self._found.result()
            answered.write_text("".join(f"{line}\n" for line in found.answered), encoding="utf-8")
            os.utime(answered, (found.at, found.at))
            return not (self._strict and found.silent)
        return True

    def end(self) -> None:
        """Wait for it: SatelliteError with every host that does not answer, if it is strict."""
        found = self._found.result()
        if self._strict:
            refuse(found.silent)

    def _ask(self, project: Project, names: Sequence[str]) -> Found:
        found = asked(project, names)
        for name, problem in () if self._strict else found.silent.items():
            note(f"warning: {name} does not answer now: {problem}")
        return found


def asked(project: Project, names: Sequence[str] = ()) -> Found:
    """Who answers, and who does not; nobody of a stack that was never up."""
    try:
        fleet = project.fleet()
        wanted = {*(names or (host.name for host in fleet.hosts))} - given_up(project, fleet)
        hosts = [host for host in fleet.hosts if host.name in wanted]
        with remote.connected(fleet) as connection:
            answers = connection.everywhere(hosts, "true", SECONDS, secret=False)
    except SatelliteError:  # never up; and what else there is the engine says, with its own words
        return Found()
    return Found(
        {host.name: answer.problem for host, answer in answers.items() if answer.problem},
        [way(*fleet.way(host.name)) for host, answer in answers.items() if not answer.problem],
    )


def given_up(project: Project, fleet: Fleet) -> set[str]:
    """The hosts that are lost, or whose machine shall be replaced: nobody waits for them."""
    known = project.known
    hosts = json.loads(known.get("hosts") or "{}")
    lost = {name for name, host in hosts.items() if isinstance(host, dict) and host.get("lost")}
    rolled = set(json.loads(known.get("roll") or "[]"))
    return lost | rolled | {host.name for host in fleet.hosts if host.lost}


def refuse(found: Mapping[str, str]) -> None:
    """SatelliteError that names all of these hosts, if there are any."""
    if found:
        first = next(iter(found))
        raise SatelliteError(
            "nothing was changed: these hosts do not answer as themselves\n"
            + "".join(f"  {name}: {problem}\n" for name, problem in found.items())
            + f"  Look at one: satellite doctor --host {first}\n"
            f"  Is one dead for good: satellite lost {first}\n"
            "  To wait for them: satellite up"
        )
