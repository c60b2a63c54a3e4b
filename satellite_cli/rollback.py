"""`satellite rollback`: to a release that was good before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from satellite_cli import inline, options, screen
from satellite_cli.change import leave_heroku
from satellite_cli.fleet import Fleet
from satellite_cli.making import Wish, apply
from satellite_cli.problems import REFUSED, USAGE, SatelliteError, note
from satellite_cli.project import Draft, Project
from satellite_cli.promote_git import COMMIT
from satellite_cli.running import Running, Told, before, taken_back, way_back


@click.command()
@click.argument("revision", required=False, metavar="[REVISION]", callback=options.said)
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
    inline.loading()  # while the hosts are asked
    asked = Running.of(project, fleet)
    said = list(asked.said.values())
    now = {*asked.commits().values()}
    if revision:
        chosen = _named(said, revision.lower())
    else:
        chosen = before([way_back(told) for told in said], fleet.revision)
        _refuse_where_nothing_is_to_undo(fleet, said, now, chosen)
    if now == {chosen}:
        pinned = project.known.get("revision") == chosen
        pins = "has it pinned" if pinned else "pins it once this has succeeded"
        note(f"the hosts run {screen.short(chosen)} already; {project.file.name} {pins}")
    else:
        note(f"from {_shown(now)} back to {chosen}")
    leave_heroku(project)

    def change(draft: Draft) -> None:
        draft.put("revision", chosen)

    apply(project, Wish(change, "Roll back?"), yes, as_json, lambda _: asked.check)


def _shown(commits: Iterable[str]) -> str:
    return ", ".join(map(screen.short, sorted(commits)))


def _refuse_where_nothing_is_to_undo(
    fleet: Fleet, said: Sequence[Told], now: set[str], chosen: str
) -> None:
    """SatelliteError after a deploy that has taken itself back, or where there is no way back."""
    failed = {commit for told in said if (commit := taken_back(told))}
    # one that was killed had no time to write it down
    tried = ({*failed, fleet.revision} if fleet.revision else failed) - now - {chosen}
    # of the commit that it runs: settings; one that runs nothing was left behind
    settings = any(taken_back(told) == told["revision"] for told in said if told["revision"])
    further = f" To go further back: satellite rollback {screen.short(chosen)}" if chosen else ""
    if now and (tried or (len(now) == 1 and settings)):
        what = f"deploy, of {_shown(tried)}," if tried else "change, of settings,"
        raise SatelliteError(
            f"nothing was done: the last {what} has not succeeded, and all hosts run "
            f"{_shown(now)}, as before it.{further}",
            REFUSED,
        )
    if not chosen:
        older = f" before {_shown(now)}" if now else ""
        kept = f" (they have {', '.join(map(screen.short, good))})" if (good := _good(said)) else ""
        raise SatelliteError(
            f"the hosts have no good release{older}{kept}. Any other commit: satellite deploy "
            "--revision COMMIT",
            USAGE,
        )


def _good(said: Sequence[Told]) -> list[str]:
    """The commits of all good releases, the newest first."""
    every = {str(one["release"]): str(one["revision"]) for host in said for one in host["good"]}
    return list(dict.fromkeys(every[release] for release in sorted(every, reverse=True)))


def _named(said: Sequence[Told], wanted: str) -> str:
    """The commit that begins so, of the good releases or in full."""
    good = _good(said)
    fitting = [commit for commit in good if commit.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if COMMIT.fullmatch(wanted):
        return wanted
    known = ", ".join(map(screen.short, good)) or "none"
    raise SatelliteError(f"no good release of {wanted} is on the hosts ({known})", USAGE)
