"""`satellite rollback`: to a release that was good before."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from satellite_cli import inline, look, options, remote, screen
from satellite_cli.change import apply
from satellite_cli.problems import REFUSED, USAGE, SatelliteError, note
from satellite_cli.project import Draft, Project
from satellite_cli.promote_git import COMMIT
from satellite_cli.reachable import Check, given_up, refuse


@click.command()
@click.argument("revision", required=False, metavar="[REVISION]")
@options.stack
@options.yes
@options.as_json
def rollback(revision: str | None, stack: str, yes: bool, as_json: bool) -> None:
    """Go back to the good release before, or to REVISION (or its beginning), and stay there.

    Where the hosts still have that release it is only a switch. `satellite deploy` goes on. After a
    deploy that failed there is nothing to go back from: the hosts run what ran before it.
    """
    project = Project.of(stack)
    fleet = project.fleet()
    inline.loading(project.file.parent)  # while the hosts are asked
    at = time.time()
    _, _, said, silent = look.ask_hosts(fleet, (), look.SECONDS, "status")
    excused = given_up(project, fleet)
    nobody = fleet.bastion and not said and not remote.REACHED & {*silent.values()}
    refuse({name: why for name, why in silent.items() if name not in excused}, nobody)
    asked = Check.over(fleet, [name for name in said if name not in excused], at)
    good = _good(said.values())
    now = {str(told["revision"]) for told in said.values() if told["revision"]}
    chosen = _named(good, revision) if revision else _before(good, now)
    if not revision and (failed := _failed(said.values()) - now):
        raise SatelliteError(
            f"nothing was done: the last deploy, of {_shown(failed)}, has failed, and all hosts "
            f"run {_shown(now)}, as before it. To go further back: satellite rollback "
            f"{chosen[:12]}",
            REFUSED,
        )
    note(f"from {_shown(now)} back to {chosen}")

    def change(draft: Draft) -> None:
        draft.put("revision", chosen)

    apply(project, change, yes, as_json, "Roll back?", check=lambda _: asked)


def _shown(commits: Iterable[str]) -> str:
    return ", ".join(map(screen.short, sorted(commits)))


def _good(told: Iterable[Mapping[str, Any]]) -> list[str]:
    """The commits of all good releases by when each was built first anywhere, the newest first."""
    every = {str(one["release"]): str(one["revision"]) for host in told for one in host["good"]}
    return list(dict.fromkeys(every[release] for release in sorted(every)))[::-1]


def _failed(told: Iterable[Mapping[str, Any]]) -> set[str]:
    """The commits whose release was a host's last one, and failed there."""
    # a host whose agent is older does not say it
    last = [host.get("last_release") or {} for host in told]
    return {str(one["revision"]) for one in last if one.get("outcome") == "failed"}


def _named(good: list[str], wanted: str) -> str:
    """The commit that begins so."""
    fitting = [commit for commit in good if commit.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if COMMIT.fullmatch(wanted):
        return wanted
    known = ", ".join(commit[:12] for commit in good) or "none"
    raise SatelliteError(f"no good release of {wanted} is on the hosts ({known})", USAGE)


def _before(good: list[str], now: set[str]) -> str:
    """The one before the newest that runs: where a deploy reached some of the hosts, theirs.

    Always further back, also after a rollback: the way forward is a deploy.
    """
    newest = next((n for n, commit in enumerate(good) if commit in now), -1)
    if newest + 1 == len(good):
        raise SatelliteError("no good release before it is on the hosts: say which REVISION", USAGE)
    return good[newest + 1]
