"""What the hosts run now, asked before something that is no deploy changes them.

The stack's own word will not do: its `revision` is what was tried last, also where that failed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from satellite_cli import asking, remote, screen
from satellite_cli.fleet import Fleet, Host
from satellite_cli.problems import SatelliteError, note
from satellite_cli.project import Project
from satellite_cli.reachable import Check, given_up, refuse
from satellite_infra import naming

Told = Mapping[str, Any]
UNSURE = {"current_moved", "cut_off"}
"""Findings of a host whose `current` need not be its last good release."""


@dataclass(frozen=True)
class Running:
    """What each host says of itself, by its name; and that it was reached for that."""

    said: Mapping[str, Told]
    check: Check
    answers: Mapping[Host, remote.Answer] = field(default_factory=dict)
    """How each that was asked has answered, or why not."""

    @classmethod
    def of(
        cls,
        project: Project,
        fleet: Fleet,
        strict: bool = True,
        but: Collection[str] = (),
        names: Collection[str] = (),
    ) -> Running:
        """Ask all hosts `but` these; if `strict`, SatelliteError with those that do not answer.

        `names`: where these hosts alone are visited a warning does for the others, and for those
        whose agent fails, which a visit brings anew, and not where what the host remembers is not
        there; as long as some host says what it runs.
        """
        at = time.time()
        hosts = [host for host in fleet.chosen([]) if host.name not in but]
        answers: Mapping[Host, remote.Answer] = {}
        if hosts:
            answers = asking.answers_of(fleet, hosts, asking.SECONDS, "status")
        said, silent = asking.sorted_out(answers)
        excused = given_up(project, fleet)
        # one that is new, or was never released to, has let us in
        empty = [name for name, why in silent.items() if why == remote.UNPREPARED]
        if strict:
            gone = {name: why for name, why in silent.items() if name not in {*excused, *empty}}
            failing = {name for name, why in gone.items() if why.startswith(remote.FAILS)}
            others = {*gone} - {*names} | failing if names and commits(said) else set()
            for name in sorted(others):
                note(f"warning: {name} does not answer now: {gone.pop(name)}")
            if gone and all(why.startswith((remote.FAILS, remote.MISSES)) for why in gone.values()):
                raise SatelliteError(
                    "nothing was changed: these hosts let in, and cannot say what they run\n"
                    + "".join(f"  {name}: {why}\n" for name, why in gone.items())
                    + "  What mends it: satellite doctor"
                )
            refuse(gone, remote.away(fleet, answers))
        answered = [name for name in (*said, *empty) if name not in excused]
        return cls(said, Check.over(fleet, answered, at), answers)

    def commits(self) -> dict[str, str]:
        """Host -> the commit that it runs, of those that run one."""
        return commits(self.said)

    def commit(self, but: str = "") -> str:
        """The one that all of them run, or empty where none does. SatelliteError if they differ.

        `but`: a host that does not count.
        """
        found = {name: commit for name, commit in self.commits().items() if name != but}
        if len({*found.values()}) > 1:
            raise SatelliteError(
                f"nothing was done: the hosts run different commits ({_each(found)}). Bring them "
                "to one first: satellite rollback, or satellite deploy"
            )
        return next(iter(found.values()), "")

    def most(self) -> str:
        """The one that most of them run, where it must go on; it is said when they differ."""
        found = self.commits()
        ranked = Counter(found.values()).most_common()
        if len(ranked) < 2:
            return ranked[0][0] if ranked else ""
        # no count decides between two hosts: then it is the leader's
        alike = ranked[0][1] == ranked[1][1]
        chosen = next(iter(found.values())) if alike else ranked[0][0]
        differ = f"the hosts run different commits ({_each(found)})"
        note(f"{differ}: it goes on with {screen.short(chosen)}")
        return chosen


def _each(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {screen.short(commit)}" for name, commit in found.items())


def commits(said: Mapping[str, Told]) -> dict[str, str]:
    """Host -> the commit that it runs, of those that run one."""
    return {name: commit for name, told in said.items() if (commit := _runs(told))}


def _runs(told: Told) -> str:
    """Where `current` does not say it, it is the commit that the host goes back to."""
    if unsure(told) and (good := told.get("good")):
        return str(good[-1]["revision"])
    return str(told["revision"] or "")


def wanted(fleet: Fleet, said: Mapping[str, Told]) -> tuple[str, str]:
    """The commit that all hosts should run, and whose it is.

    The last update's, also of one that has failed; but that may have been to some hosts alone.
    Where too few have answered to know better it is nobody's.
    """
    runs, living = Counter(commits(said).values()), len(fleet.chosen([]))
    heard = len(said) == living
    failed = fleet.revision in map(taken_back, said.values())
    if len({*runs, fleet.revision}) > 1 and not failed:
        if fleet.pinned in runs:
            return fleet.pinned, "the stack's file"
        most, hosts = runs.most_common(1)[0] if runs else ("", 0)
        if 2 * hosts > living and (len(runs) > 1 or not heard):
            return most, "most hosts"
        if not heard:
            return fleet.revision, ""
    return fleet.revision, "the last update"


def head(pinned: str) -> str:
    """What a deploy brings to the hosts, by the commit that the stack's file pins, if any."""
    heads = {"": "the branch's head", naming.HEROKU: "what Heroku runs"}
    return heads.get(pinned) or f"{screen.short(pinned)}, as the stack's file says"


def pin(revision: str, branch: str) -> str:
    """That a commit is pinned, and what ends that; empty where none is.

    `branch`: what is followed then; empty where the one command says how that is chosen.
    """
    if revision in ("", naming.HEROKU):
        return ""
    follows = f"follows {branch} again" if branch else "says how it follows Heroku again"
    return f"pinned to {screen.short(revision)}; satellite deploy {follows}"


def unsure(told: Told) -> bool:
    """Whether `current` need not be that host's last good release."""
    return bool(UNSURE & {finding["code"] for finding in told.get("findings", ())})


def taken_back(told: Told) -> str | None:
    """The commit of a host's last release where that failed; None where it was good, or is unknown.

    An agent that is older than this does not say it.
    """
    last = told.get("last_release") or {}
    return str(last["revision"]) if last.get("outcome") == "failed" else None


def way_back(told: Told) -> list[str]:
    """The commits of a host's good releases, the oldest first, without what was rolled back.

    A host keeps them in the order in which they became good, last. One that does so again although
    it was built before others is a rollback: nobody wants to go back to what was rolled back.
    """
    good = [str(one["revision"]) for one in told["good"]]
    built: dict[str, str] = {}
    for one, commit in zip(told["good"], good, strict=True):
        first = str(one.get("first", one["release"]))  # an older agent does not say it
        built[commit] = min(first, built.get(commit, first))
    found: list[str] = []
    for commit in good:
        while found and built[found[-1]] >= built[commit]:
            found.pop()
        found.append(commit)
    runs = told["revision"]
    return found if not runs or runs in found[-1:] else [*found, str(runs)]


def before(ways: Sequence[Sequence[str]], tried: str) -> str:
    """The commit before the newest that runs, by these ways back; empty where there is none.

    Where a deploy reached some hosts alone, it is what the others run. `tried`: the last deploy's,
    which is the newest where the ways do not tell: on a machine that is new.
    """
    ends = [way[-1] for way in ways if way]
    older = {commit for way in ways for commit in way[:-1]}
    newest = {*ends} - older or {*ends}
    if len(newest) > 1 and tried in newest:
        found = Counter(end for end in ends if end != tried)
    else:
        found = Counter(way[-2] for way in ways if len(way) > 1 and way[-1] in newest)
    return found.most_common(1)[0][0] if found else ""
