"""`satellite rollback`: to a release that was good before."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from satellite_cli import inline, look, options, screen
from satellite_cli.change import apply
from satellite_cli.problems import USAGE, SatelliteError, note
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

    Where the hosts still have that release it is only a switch. `satellite deploy` goes on.
    """
    project = Project.of(stack)
    fleet = project.fleet()
    inline.loading(project.file.parent)  # while the hosts are asked
    at = time.time()
    _, _, said, silent = look.ask_hosts(fleet, (), look.SECONDS, "status")
    excused = given_up(project, fleet)
    refuse({name: why for name, why in silent.items() if name not in excused})
    asked = Check.over(fleet, [name for name in said if name not in excused], at)
    good = list(dict.fromkeys(_good(said.values())))
    now = {told["revision"] for told in said.values()}
    chosen = _chosen(good, revision, now)
    note(f"from {', '.join(map(screen.short, sorted(filter(None, now))))} back to {chosen}")

    def change(draft: Draft) -> None:
        draft.put("revision", chosen)

    apply(project, change, yes, as_json, "Roll back?", check=lambda _: asked)


def _good(told: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The commits of all good releases, the newest first."""
    every = [release for one in told for release in one["good"]]
    for release in sorted(every, key=lambda one: str(one["release"]), reverse=True):
        yield release["revision"]


def _chosen(good: list[str], wanted: str | None, now: set[str | None]) -> str:
    if wanted:
        fitting = [commit for commit in good if commit.startswith(wanted)]
        if len(fitting) == 1:
            return fitting[0]
        if COMMIT.fullmatch(wanted):
            return wanted
        known = ", ".join(commit[:12] for commit in good) or "none"
        raise SatelliteError(f"no good release of {wanted} is on the hosts ({known})", USAGE)
    before = [commit for commit in good if commit not in now]
    if not before:
        raise SatelliteError("no other good release is on the hosts: say which REVISION", USAGE)
    return before[0]
