"""A promotion in words, for 80 columns where that is possible: the plan, and how it ended."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate

from satellite_cli.promote_git import Commit
from satellite_cli.promote_plan import Place, Plan
from satellite_cli.promote_steps import Outcome, Where

MOST = 40
"""Commits that go, and are shown; of those that are lost all are."""
WIDTH = 80
SUBJECT, AUTHOR = 43, 15
"""Columns of a commit's subject and author that are shown."""
SHORT = 12
NOT_THERE = "not there"
LOST = "is LOST"


def plan_lines(plan: Plan) -> Iterator[str]:
    """What a promotion would do, and to what."""
    begins = f"{plan.environment}: {plan.revision[:SHORT]} "
    yield begins + cut(plan.subject, max(WIDTH - len(begins), AUTHOR))
    yield f"  from {plan.source}"
    for place in plan.places():
        yield from _place_lines(place, plan)
    if plan.runs and plan.runs != plan.revision:
        yield f"  the app on Heroku runs {plan.runs[:SHORT]}"
    yield f"  then it is deployed to stack {plan.stack}"
    if plan.follows:
        yield "  WARNING: the stack follows Heroku, and nothing is pushed there: with the next"
        yield "    update its hosts run what Heroku runs (satellite:promote.heroku_remote)"
    if plan.elsewhere:
        yield "  WARNING: that is not known to be what the hosts fetch from, satellite:repository:"
        yield f"    {plan.elsewhere}"
    if plan.tag:
        yield f"  tag {plan.tag} on {plan.server.name}"
    if plan.untracked:
        yield f"  in no commit, and left alone: {_some(plan.untracked)}"


def _place_lines(place: Place, plan: Plan) -> Iterator[str]:
    """One branch, and its commits where they are not those that were shown already."""
    yield f"  {place.label()} ({place.url})"
    if place.before == plan.revision:
        yield "    has it already"
        return
    yield f"    {place.before[:SHORT] or 'a new branch'} -> {plan.revision[:SHORT]}"
    if place is plan.server or place.going != plan.server.going:
        yield from _commit_lines("goes", "go", place.going)
    else:
        yield "    the same commits go"
    if place is plan.server or place.lost != plan.server.lost:
        yield from _commit_lines(LOST, "are LOST", place.lost)
    elif place.lost:
        yield "    the same commits are LOST"


def _commit_lines(one: str, many: str, commits: Sequence[Commit]) -> Iterator[str]:
    if commits:
        number = len(commits)
        yield f"    1 commit {one}:" if number == 1 else f"    {number} commits {many}:"
    shown = commits if one == LOST else commits[:MOST]
    for commit in shown:
        subject, author = cut(commit.subject, SUBJECT), cut(commit.author, AUTHOR)
        yield f"      {commit.hash[:SHORT]} {subject} ({author})"
    if len(commits) > len(shown):
        yield f"      and {len(commits) - len(shown)} more"


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """How it ended; after a failure also what is where."""
    plan = outcome.plan
    if outcome.status == "promoted":
        moved = [w for w in outcome.places if w.now not in (plan.revision, None)]
        there = _everywhere(plan, [where.label for where in moved])
        yield f"{plan.environment} is {plan.revision[:SHORT]}, {there}"
        for where in moved:
            now = (where.now or NOT_THERE)[:SHORT]
            yield f"  WARNING: {where.label} is {now} by now: somebody else moved it"
        return
    if outcome.status != "failed":
        yield f"{outcome.status}: nothing was changed"
        return
    yield f"promotion to {plan.environment} FAILED in step `{outcome.step}`: {outcome.problem}"
    yield "Where everything is:"
    for where in outcome.places:
        yield from _where_lines(where)
    for host in outcome.hosts:
        yield f"  {host.host}"
        unknown = f"not known: {host.problem}"
        yield f"    now    {unknown if host.revision is None else host.revision or 'nothing'}"
    for line in outcome.advice:
        yield f"Next: {line}"


def _where_lines(where: Where) -> Iterator[str]:
    note = f" ({where.note})" if where.note else ""
    yield f"  {where.label}{note}"
    yield f"    before {where.before or NOT_THERE}"
    now = "not known: nobody answers" if where.now is None else where.now or NOT_THERE
    yield f"    now    {now}"


def _everywhere(plan: Plan, but: Sequence[str]) -> str:
    places = [label for place in plan.places() if (label := place.label()) not in but]
    places.append(f"stack {plan.stack}")
    return ", ".join(places) + (f", tag {plan.tag}" if plan.tag else "")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def cut(text: str, most: int) -> str:
    """At most so many columns of it."""
    ends = [*accumulate(map(_columns, text))]
    if not ends or ends[-1] <= most:
        return text
    return "".join(c for c, end in zip(text, ends, strict=True) if end < most) + "…"


def _columns(character: str) -> int:
    """How many a terminal gives it."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "FW" else 1
