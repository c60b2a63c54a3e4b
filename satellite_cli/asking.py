"""Hosts are asked side by side, by their agents: who answers what, and who does not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from satellite_cli import remote, screen
from satellite_cli.fleet import ALL_LOST, Fleet, Host
from satellite_cli.problems import UNANSWERED, note

SECONDS = 20
"""All hosts together have so long, where nobody says otherwise."""
Asked = tuple[Fleet, list[Host], dict[str, Any], dict[str, str]]


def ask(
    stack: str,
    names: Sequence[str],
    seconds: float,
    verb: str,
    *words: str,
    workers: Sequence[str] = (),
) -> Asked:
    """The fleet, the hosts that were asked, what each answered (JSON), and who did not and why.

    UsageError before that, where one of the `workers` is none of the stack's.
    """
    fleet = Fleet.of(stack)
    hosts = fleet.chosen(names)
    if not hosts:
        note(ALL_LOST)
    fleet.check_workers(workers)
    kind = list if verb == "history" else dict
    return fleet, hosts, *sorted_out(answers_of(fleet, hosts, seconds, verb, *words), kind)


def answers_of(
    fleet: Fleet, hosts: Sequence[Host], seconds: float, verb: str, *words: str
) -> dict[Host, remote.Answer]:
    """How each of these hosts' agents has answered."""
    command = remote.agent(verb, "--app", fleet.app, *words)
    with remote.connected(fleet) as connection:
        return connection.everywhere(hosts, command, seconds, secret=False)


def sorted_out(
    answers: Mapping[Host, remote.Answer], kind: type = dict
) -> tuple[dict[str, Any], dict[str, str]]:
    """What each has answered, by its name; and who did not, and why."""
    said: dict[str, Any] = {}
    silent: dict[str, str] = {}
    for host, answer in answers.items():
        told, why = remote.read(answer, kind)
        if why:
            silent[host.name] = why
        else:
            said[host.name] = told
    return said, silent


def runs(name: str, said: Mapping[str, Any], silent: Mapping[str, str]) -> str:
    """What that host runs, in a word; or why that is not known."""
    if told := said.get(name):
        return screen.short(told["revision"])
    why = silent[name]
    return why if why == remote.UNPREPARED else f"no answer: {why}"


def finish(silent: Mapping[str, str]) -> None:
    """Name the hosts that did not answer, and end so."""
    for name, problem in silent.items():
        note(f"{name}: {problem}")
    if silent:
        note(f"What to do: satellite doctor --host {next(iter(silent))}")
        sys.exit(UNANSWERED)
