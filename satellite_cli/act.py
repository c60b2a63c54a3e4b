"""Commands that do something to workers, now: restart, stop, start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from satellite_cli import options, remote, screen
from satellite_cli.aim import aimed
from satellite_cli.fleet import Fleet, Host
from satellite_cli.problems import FAILED, INTERRUPTED, UNANSWERED, SatelliteError, note
from satellite_infra.agent.deadlines import LOCK_LIMIT
from satellite_infra.reach import deployer

MARGIN = LOCK_LIMIT + 60
"""Seconds beyond the longest grace for the agent, which waits for the host's lock first and has a
margin of its own: it gives up before this command does, and does nothing later."""


def done_on(
    fleet: Fleet, hosts: Sequence[Host], answers: Mapping[Host, remote.Answer], as_json: bool
) -> None:
    """Say what each host said, and end with the status that is due."""
    texts = {host: (answers[host].out or answers[host].err).strip() for host in hosts}
    if as_json:
        screen.data({"stack": fleet.stack, "hosts": [_told(h, answers[h]) for h in hosts]})
    failed = False
    for host in hosts:
        answer = answers[host]
        if answer.problem:
            continue
        failed = failed or bool(answer.status)
        if answer.status:
            said = answer.err.strip() or f"it ended with status {answer.status}, and said nothing"
            note(f"{host.name}: FAILED: {said}")
        elif not as_json:
            click.echo(screen.safe(f"{host.name}: {aimed(texts[host])}"))
    silent = remote.unanswered(answers)
    if failed or silent:
        sys.exit(FAILED if failed else UNANSWERED)


def _told(host: Host, answer: remote.Answer) -> dict[str, Any]:
    return {
        "name": host.name,
        "ok": not answer.problem and not answer.status,
        "said": answer.out.strip(),
        "problem": answer.problem or (answer.err.strip() if answer.status else None),
    }


def _so_far(hosts: Sequence[Host], answers: Mapping[Host, remote.Answer]) -> str:
    """What is known where nobody waited to the end."""
    lines = ["interrupted: what a host was told before, it goes on with. To see: satellite ps"]
    for host in hosts:
        answer = answers.get(host, remote.Answer(problem="was asked, and had not answered"))
        lines.append(f"  {host.name}: {answer.problem or (answer.err or answer.out).strip()}")
    return "\n".join(lines)


def _act(verb: str, about: str) -> click.Command:
    @click.command(verb, help=about)
    @options.workers
    @options.stack
    @options.hosts
    @click.option("--no-wait", is_flag=True, help="Do not wait for the workers' jobs to end.")
    @options.as_json
    def command(
        workers: tuple[str, ...], stack: str, names: tuple[str, ...], no_wait: bool, as_json: bool
    ) -> None:
        fleet = Fleet.of(stack)
        hosts = fleet.living(names)
        fleet.check_workers(workers)
        words = ["--app", fleet.app, "--by", deployer(os.environ)]
        words += ["--no-wait"] if no_wait else []
        line = remote.agent(verb, *words, *workers)
        try:
            with remote.connected(fleet) as connection:
                answers = connection.everywhere(hosts, line, fleet.grace + MARGIN, each=True)
        except remote.InterruptedRoundError as interrupted:
            raise SatelliteError(_so_far(hosts, interrupted.answers), INTERRUPTED) from None
        done_on(fleet, hosts, answers, as_json)

    return command


restart = _act(
    "restart",
    "Have workers finish their job within their grace and start anew: all, those of a TYPE, or one"
    " (TYPE.N on each host). All hosts at the same time. What is stopped stays so.",
)
stop = _act(
    "stop",
    "Have workers finish their job within their grace and stay stopped: over reboots, until"
    " `satellite start`, or until another commit is deployed there, which starts all of them.",
)
start = _act("start", "Start workers that `satellite stop` has stopped.")
