"""How a change is made: looked at, asked about, done by the engine, and kept once it is done."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from satellite_cli import asking, inline, partial, screen
from satellite_cli.fleet import status_of
from satellite_cli.problems import (
    INTERRUPTED,
    REFUSED,
    LockedError,
    SatelliteError,
    consent,
    note,
)
from satellite_cli.project import Draft, Project
from satellite_cli.promote_git import COMMIT
from satellite_cli.reachable import Check, Gate, declared_lost
from satellite_cli.running import Running, Told, head
from satellite_cli.update import Outcome, Update, left_over, locked, shown, summary
from satellite_infra.reach import ANSWERED


@dataclass(frozen=True)
class Wish:
    """What shall be, beside what the stack's file says already."""

    change: Callable[[Draft], None] | None = None
    """Of the settings: it goes into the file once it is done."""
    question: str = "Do this?"
    branch: str = ""
    """Whose head is deployed, if one's is."""
    names: Sequence[str] = ()
    """To these hosts alone; then the file stays as it is."""
    more: Sequence[str] = ()
    """Words for the engine."""
    revision: str = ""
    """The commit for this time, whatever the branch says."""
    once: Mapping[str, str] = field(default_factory=dict)
    """Other settings for this time, by their paths."""


class StoppedError(SatelliteError):
    """The engine was interrupted; `asked`: what the hosts said since, if they could be asked."""

    def __init__(self, text: str, asked: asking.Asked | None = None) -> None:
        super().__init__(text, INTERRUPTED)
        self.asked = asked


def run(
    project: Project,
    verb: str,
    words: list[str],
    as_json: bool = False,
    tell: Callable[[str], None] = shown,
    check: Check | None = None,
) -> Outcome:
    """Run the engine; SatelliteError with the resources' own errors where it fails."""
    words = [*words, "--parallel", str(max(project.hosts, 8))]
    heard = (lambda _: None) if as_json else tell
    if verb == "preview" and sys.stderr.isatty():
        note("looking what would change ...")
    with tempfile.TemporaryDirectory(prefix="satellite-") as folder:
        gate = Gate(check, Path(folder, "answered"))
        some = partial.is_partial(words)
        order = project.order if some else {}
        with inline.client(project.file.parent, gate, order) as program:
            if check and not program:
                gate.told(project.config)
                if not gate.passed():
                    check.end()
            told = {ANSWERED: str(gate.answered)}
            outcome = Update(verb, project.stack, [*words, *program], heard, told).run()
    outcome.revision = gate.revision or outcome.revision
    if not COMMIT.fullmatch(outcome.revision):  # a part of it is like a secret's value
        outcome.revision = ""
    # an update may have been done by then
    if outcome.interrupted and (outcome.status or verb == "preview"):
        raise _stopped(project, outcome)
    if check:
        check.end()
    if outcome.status:
        kind = LockedError if locked(outcome) else SatelliteError
        lines = left_over(outcome, project.stack)
        lines = partial.explained(lines, project.stack) if some else lines
        raise kind(text := "\n".join(lines), status_of(text))
    return outcome


def update(
    project: Project,
    file: Path,
    as_json: bool = False,
    tell: Callable[[str], None] = shown,
    check: Check | None = None,
    more: Sequence[str] = (),
) -> Outcome:
    """Make everything as this file of settings says; whoever had to be asked has been."""
    words = ["--yes", "--skip-preview", "--config-file", str(file), *more]
    return run(project, "up", words, as_json, tell, check)


def _stopped(project: Project, outcome: Outcome) -> StoppedError:
    """In which state an interrupted update has left things."""
    lines = [f"interrupted; the engine ended by itself ({summary(outcome, planned=False)})."]
    try:
        asked = asking.ask(project.stack, (), asking.SECONDS, "status")
    except SatelliteError as problem:
        return StoppedError("\n".join([*lines, str(problem)]))
    _, hosts, said, silent = asked
    for host in hosts:
        told = said.get(host.name)
        at_work = f", still {told['lock']}" if told and told["lock"] else ""
        lines.append(f"  {host.name}: {asking.runs(host.name, said, silent)}{at_work}")
    # `up` would do what the stack's file says, which the change comes into at its end
    lines.append("Nothing has to be cleaned. To go on: the same command again")
    return StoppedError("\n".join(lines), asked)


def apply(
    project: Project,
    wish: Wish,
    yes: bool,
    as_json: bool,
    check: Callable[[Project], Check | None] = Check.of,
) -> None:
    """Preview it, ask, do it, and keep it in the stack's file once it is done.

    The commit that the preview was about is the one that is deployed.
    """
    if not yes:
        somebody_to_ask(as_json)  # before anything is begun
    asked = check(project)
    names, revision = wish.names, wish.revision
    with project.draft() as draft:
        if wish.change:
            wish.change(draft)
        more = [*wish.more, *(partial.targets(project, draft, names) if names else ())]
        if not yes or names:  # of some hosts the engine says only at its end that it cannot be
            with draft.pinned(revision, wish.once) as file:
                words = ["--config-file", str(file), *more]
                planned = run(project, "preview", words, as_json=yes, check=asked)
            if not names:  # else `partial` has pinned it
                revision = planned.revision or revision
            if not yes and not planned.idle:
                click.echo(summary(planned, planned=True))
                consent(wish.question)
        with draft.pinned(revision, wish.once) as file:
            done = update(project, file, as_json, check=asked, more=more)
        kept = not names and draft.keep()
    if as_json:
        data = {"stack": project.stack, "changes": done.changes, "revision": done.revision}
        screen.data({**data, "settings_changed": kept})
    else:
        click.echo(summary(done, planned=False))
        if done.revision and not wish.revision:  # else it is no deploy
            click.echo(_deployed(project, wish, done))
        if kept:
            click.echo(f"{project.file.name} says so now: commit it")
    if names:
        partial.tell_others(project.stack, names)


def _deployed(project: Project, wish: Wish, done: Outcome) -> str:
    """Which commit it was about, and where that is; also where nothing was to be done."""
    commit = screen.short(done.revision)
    living = " that are not lost" if declared_lost(project) else ""
    where = ", ".join(wish.names) or f"all hosts{living}"
    have = "has" if len(wish.names) == 1 else "have"
    if not done.idle:
        return f"{where} {have} {commit} now"
    if not wish.branch:
        return f"{where} {have} {commit} already"
    return f"{wish.branch} is at {commit}, which {where} {have} already: is yours pushed?"


def keeping(
    project: Project,
    wish: Wish,
    yes: bool,
    as_json: bool,
    dead: Collection[str] | None = None,
    fits: Callable[[Running], None] = lambda _: None,
    visited: Collection[str] = (),
) -> None:
    """Apply what is no deploy: the hosts go on with the commit that they run.

    `dead`: hosts that are not asked; then it goes on also where others do not answer or agree.
    `visited`: the hosts that it is about, if not all; others may be silent.
    `fits`: SatelliteError where the wish is none for what runs.
    """
    if not yes:
        somebody_to_ask(as_json)  # before anybody is asked
    fleet = project.fleet()
    inline.loading()  # while the hosts are asked
    running = Running.of(project, fleet, dead is None, dead or (), visited)
    commit = running.commit() if dead is None else running.most() or fleet.revision
    fits(running)
    if not commit:
        note(f"no host runs anything yet: this deploys {head(fleet.pinned)}")
    try:
        apply(project, replace(wish, revision=commit), yes, as_json, lambda _: running.check)
    except StoppedError as problem:
        if not problem.asked:
            raise
        told = _who_has_what(project, wish, running.said, problem.asked[2])
        raise StoppedError(f"{problem}\n{told}", problem.asked) from None


def _who_has_what(
    project: Project, wish: Wish, before: Mapping[str, Told], now: Mapping[str, Told]
) -> str:
    """Where something else than a commit was stopped: which hosts it has reached, and a way back.

    A manifest says the commit, too, but that was to stay as it is.
    """
    known = [name for name in now if name in before]
    new = [name for name in known if now[name].get("manifest") != before[name].get("manifest")]
    if not new:
        return "No host has other settings than before"
    same = ", ".join(name for name in known if name not in new) or "none"
    told = f"With other settings than before: {', '.join(new)}; as before: {same}"
    if not wish.change:
        return told
    file = project.file.name
    return f"{told}\n{file} says what was before; to take it back: satellite up --same-commit"


def somebody_to_ask(as_json: bool) -> None:
    """SatelliteError where nobody is."""
    if as_json or not sys.stdin.isatty():
        raise SatelliteError("nobody is there to ask: say --yes", REFUSED)
