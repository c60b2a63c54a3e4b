"""Whether all hosts answer as themselves, asked before the engine makes anything.

Without it the engine would wait for each as long as `satellite:reach_seconds` says. Who answers is
noted, and the program does not ask again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from satellite_cli import remote
from satellite_cli.fleet import Fleet
from satellite_cli.problems import SatelliteError, note
from satellite_cli.project import Project
from satellite_infra.reach import way
from satellite_stack.engine import ConfigError

T = TypeVar("T")
Config = dict[str, Any]
"""Settings by their full names, as the CLI tells them."""
Settings = Callable[[], Config]
Outputs = Callable[[], str]
"""Those of the last update, as the CLI tells them; empty where the engine does not."""
SECONDS = 15
"""All hosts together have so long."""


@dataclass(frozen=True)
class Found:
    """Name -> why, of the hosts that do not answer; and a line of `reach` for each that does."""

    silent: Mapping[str, str] = field(default_factory=dict)
    answered: Sequence[str] = ()
    at: float = 0
    """When they were asked, in seconds since 1970."""
    away: str = ""
    """What it may be rather than that all hosts are dead."""


class Check:
    """Whom to ask, under way or over. `strict`: nothing is done while a host does not answer."""

    def __init__(
        self,
        found: Future[Found] | None = None,
        strict: bool = True,
        ask: Callable[[Config, Outputs], Found] | None = None,
    ) -> None:
        self._found, self._strict, self._ask = found, strict, ask

    @classmethod
    def of(cls, project: Project, strict: bool = True, names: Sequence[str] = ()) -> Check:
        """One of all hosts, or these, that asks once it is `told` the settings.

        By an engine that has them anyway: to have them decrypted for it alone takes longer than all
        that it does, and to start another one for the hosts as long.
        """

        def ask(known: Config, outputs: Outputs) -> Found:
            found = hosts_found(project, known, outputs, names)
            for name, problem in () if strict else found.silent.items():
                note(f"warning: {name} does not answer now: {problem}")
            return found

        return cls(None, strict, ask)

    @classmethod
    def over(cls, fleet: Fleet, answered: Iterable[str], at: float) -> Check:
        """One that has passed: all were asked for something else since then, and these answered."""
        made: Future[Found] = Future()
        made.set_result(Found({}, _ways(fleet, answered), at))
        return cls(made)

    def told(self, settings: Settings, outputs: Outputs = str) -> None:
        """Have it ask by these, if that is what it waits for."""
        if not self._found and self._ask:
            self._found = _begun(self._ask, settings(), outputs)

    def found(self) -> Found | None:
        """What it has found; None while one goes on that is not strict: nothing waits for that."""
        assert self._found, "a run tells the settings before it makes anything"
        if not self._strict and not (self._found.done() and not self._found.exception()):
            return None
        return self._found.result()

    def forbids(self, found: Found) -> bool:
        """Whether nothing may be done."""
        return self._strict and bool(found.silent)

    def end(self) -> None:
        """Wait for it: SatelliteError with every host that does not answer, if it is strict."""
        found = self._found.result() if self._found else Found()
        if self._strict:
            refuse(found.silent, found.away)


class Gate:
    """What a run of the program passes with each resource: the check, if there is one.

    Who is known to answer is written to `answered`, for the program. `revision`: the commit that
    the program is about, once it has said so; the engine's own log hides what is like a secret.
    """

    revision = ""

    def __init__(self, check: Check | None, answered: Path) -> None:
        self.answered = answered
        self._check, self._first = check, threading.Lock()

    def told(self, settings: Settings, outputs: Outputs = str) -> None:
        """The run has these settings, and knows these outputs."""
        if self._check:
            self._check.told(settings, outputs)

    def passed(self) -> bool:
        """Whether anything may be done, once that is known; from any thread."""
        if not self._check or not (found := self._check.found()):
            return True
        # it saves a question, and is no condition
        with self._first, contextlib.suppress(OSError):
            if not self.answered.exists():
                self._write(found)
        return not self._check.forbids(found)

    def _write(self, found: Found) -> None:
        text = "".join(f"{line}\n" for line in found.answered)
        self.answered.write_text(text, encoding="utf-8")
        os.utime(self.answered, (found.at, found.at))


def _begun(work: Callable[..., T], *arguments: Any) -> Future[T]:
    """It, under way in a thread of its own."""
    with_it = ThreadPoolExecutor(1)
    found = with_it.submit(work, *arguments)
    with_it.shutdown(wait=False)
    return found


def hosts_found(
    project: Project, known: Config, outputs: Outputs, names: Sequence[str] = ()
) -> Found:
    """Who answers, and who does not; nobody of a stack that was never up."""
    try:
        there = outputs() or Fleet.outputs("--stack", project.stack)
        fleet = Fleet.read(project.stack, there, known)
        wanted = {*(names or (host.name for host in fleet.hosts))} - given_up(project, fleet)
        hosts = [host for host in fleet.hosts if host.name in wanted]
        with remote.connected(fleet) as connection:
            at = time.time()
            answers = connection.everywhere(hosts, "true", SECONDS, secret=False)
    except (SatelliteError, ConfigError):  # never up; what else there is the engine says itself
        return Found()
    silent = {host.name: why for host, answer in answers.items() if (why := _unfit(answer))}
    ways = _ways(fleet, (h.name for h in hosts if h.name not in silent))
    return Found(silent, ways, at, remote.away(fleet, answers))


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
    rolled = set(map(str, project.known_as("roll", list)))
    return declared_lost(project) | rolled | {host.name for host in fleet.hosts if host.lost}


def declared_lost(project: Project) -> set[str]:
    """The hosts that are lost by the stack's file."""
    hosts = project.known_as("hosts", dict)
    return {name for name, host in hosts.items() if isinstance(host, dict) and host.get("lost")}


def refuse(found: Mapping[str, str], away: str = "") -> None:
    """SatelliteError that names all of these hosts, if there are any.

    `away`: what it may be instead, so that no host shall be declared lost for it.
    """
    told = "".join(f"  {name}: {problem}\n" for name, problem in found.items())
    if found and away:
        hint = f"  It may be {away}: look there first\n  To ask all hosts again: satellite doctor"
        if away == remote.NETWORK:
            hint += "\n  Only where they are dead all the same: satellite lost HOST..."
        raise SatelliteError(f"nothing was changed: no host answers\n{told}{hint}")
    if found:
        raise SatelliteError(
            f"nothing was changed: these hosts do not answer as themselves\n{told}"
            f"  Look at one: satellite doctor --host {next(iter(found))}\n"
            "  Is one, or are several, dead for good: satellite lost HOST...\n"
            "  satellite up waits for them, and does what the stack's file says"
        )
