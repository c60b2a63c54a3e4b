"""Commands that change what shall be: up, preview, destroy, deploy, scale; and how it is done."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import click

from satellite_cli import inline, look, options, partial, screen
from satellite_cli.fleet import NeverUpError, counted
from satellite_cli.problems import (
    FAILED,
    INTERRUPTED,
    REFUSED,
    USAGE,
    SatelliteError,
    consent,
    note,
)
from satellite_cli.project import Draft, Project
from satellite_cli.promote_git import COMMIT
from satellite_cli.reachable import Check, Gate
from satellite_cli.running import Running
from satellite_cli.update import Outcome, Update, left_over, shown, summary
from satellite_infra import naming
from satellite_infra.reach import ANSWERED

Change = Callable[[Draft], None]
TYPE, MANY = f"({naming.PROCESS_TYPE})", "([1-9][0-9]{0,8})"
"""A process type, and how many workers of it."""
FOLLOWS = f"satellite:revision {naming.HEROKU}"


def run(
    project: Project,
    verb: str,
    words: list[str],
    as_json: bool = False,
    tell: Callable[[str], None] = shown,
    check: Check | None = None,
) -> Outcome:
    """Run the engine; SatelliteError with the resources' own errors where it fails."""
    inline.loading(project.file.parent)  # while the engine is asked for the settings
    words = [*words, "--parallel", str(max(project.hosts, 8))]
    heard = (lambda _: None) if as_json else tell
    if verb == "preview" and sys.stderr.isatty():
        note("looking what would change ...")
    with tempfile.TemporaryDirectory(prefix="satellite-") as folder:
        gate = Gate(check, Path(folder, "answered"))
        with inline.client(project.file.parent, gate) as program:
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
        raise SatelliteError(_stopped(project, outcome), INTERRUPTED)
    if check:
        check.end()
    if outcome.status:
        raise SatelliteError("\n".join(left_over(outcome, project.stack)), FAILED)
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


def _stopped(project: Project, outcome: Outcome) -> str:
    """In which state an interrupted update has left things."""
    lines = [f"interrupted; the engine ended by itself ({summary(outcome, planned=False)})."]
    try:
        _, hosts, said, silent = look.ask(project.stack, (), look.SECONDS, "status")
    except SatelliteError as problem:
        return "\n".join([*lines, str(problem)])
    for host in hosts:
        told = said.get(host.name)
        at_work = f", still {told['lock']}" if told and told["lock"] else ""
        lines.append(f"  {host.name}: {look.runs(host.name, said, silent)}{at_work}")
    # `up` would do what the stack's file says, which the change comes into at its end
    return "\n".join([*lines, "Nothing has to be cleaned. To go on: the same command again"])


def apply(
    project: Project,
    change: Change | None,
    yes: bool,
    as_json: bool,
    why: str = "",
    check: Callable[[Project], Check | None] = Check.of,
    names: Sequence[str] = (),
    more: Sequence[str] = (),
    commit: str = "",
    once: Mapping[str, str] = {},
) -> None:
    """Preview the change, ask, do it, and keep it in the stack's file once it is done.

    The commit that the preview was about is the one that is deployed. `names`: to these hosts
    alone, and then the file stays as it is. `more`: words for the engine. `commit`, `once`: the
    commit and other settings for this time, which do not go into the file.
    """
    if not yes:
        somebody_to_ask(as_json)  # before anything is begun
    asked = check(project)
    inline.loading(project.file.parent)  # after the engine was asked, which goes on by itself
    with project.draft() as draft:
        if change:
            change(draft)
        more = [*more, *(partial.targets(project, draft, names) if names else ())]
        revision = commit
        if not yes:
            with draft.pinned(commit, once) as file:
                words = ["--config-file", str(file), *more]
                planned = run(project, "preview", words, check=asked)
            revision = planned.revision or commit if not names else ""
            if not planned.idle:
                click.echo(summary(planned, planned=True))
                consent(why or "Do this?")
        with draft.pinned(revision, once) as file:
            done = update(project, file, as_json, check=asked, more=more)
        kept = not names and draft.keep()
    if as_json:
        data = {"stack": project.stack, "changes": done.changes, "revision": done.revision}
        screen.data({**data, "settings_changed": kept})
    else:
        click.echo(summary(done, planned=False))
        if kept:
            click.echo(f"{project.file.name} says so now: commit it")
    if names:
        partial.tell_others(project.stack, names)


def keeping(
    project: Project,
    change: Change | None,
    yes: bool,
    as_json: bool,
    why: str = "",
    dead: Collection[str] | None = None,
    more: Sequence[str] = (),
    once: Mapping[str, str] = {},
    fits: Callable[[Running], None] = lambda _: None,
) -> None:
    """Apply a change that is no deploy: the hosts go on with the commit that they run.

    `dead`: hosts that are not asked; then it goes on also where others do not answer or agree.
    `more`: words for the engine. `once`: settings for this time. `fits`: SatelliteError where the
    change is none for what runs.
    """
    if not yes:
        somebody_to_ask(as_json)  # before anybody is asked
    fleet = project.fleet()
    inline.loading(project.file.parent)  # while the hosts are asked
    running = Running.of(project, fleet, strict=dead is None, but=dead or ())
    commit = running.commit() if dead is None else running.most() or fleet.revision
    fits(running)
    check = running.check
    apply(project, change, yes, as_json, why, lambda _: check, (), more, commit, once)


def unpin(draft: Draft, branch: bool = False, quiet: bool = False) -> None:
    """Have it follow its branch again; or Heroku, unless a `branch` was said."""
    project = draft.project
    pinned = str(project.known.get("revision") or "")
    if not pinned or (pinned == naming.HEROKU and not branch):
        return
    if not quiet:
        pin = screen.short(pinned)
        note(f"{project.stack} is pinned to {pin}, and no longer once this has succeeded")
    draft.remove("revision")


def must_follow(project: Project) -> None:
    """SatelliteError where nobody has said what it shall follow once it is no longer pinned."""
    known = project.known
    pinned = str(known.get("revision") or naming.HEROKU)
    if pinned != naming.HEROKU and known.get("heroku") and not known.get("branch"):
        raise SatelliteError(
            f"{project.stack} is pinned to {screen.short(pinned)}; say what it shall follow now: "
            f"satellite deploy --branch NAME, or pulumi config set {FOLLOWS} --stack "
            f"{project.stack}, then satellite up",
            USAGE,
        )


def leave_heroku(project: Project) -> None:
    """Say how it comes to follow Heroku again, where it does and is about to be pinned."""
    if project.known.get("revision") == naming.HEROKU:
        note(
            f"{project.stack} does not follow Heroku from now on; to have it do so again: pulumi "
            f"config set {FOLLOWS} --stack {project.stack}, then satellite up"
        )


def somebody_to_ask(as_json: bool) -> None:
    """SatelliteError where nobody is."""
    if as_json or not sys.stdin.isatty():
        raise SatelliteError("nobody is there to ask: say --yes", REFUSED)


@click.command()
@options.stack
@click.option("--again", is_flag=True, help="Visit hosts although nothing changed for them.")
@click.option("--same-commit", "same", is_flag=True, help="No deploy: at the commit that runs.")
@options.hosts
@options.yes
@options.as_json
def up(
    stack: str, again: bool, same: bool, names: tuple[str, ...], yes: bool, as_json: bool
) -> None:
    """Make everything as the stack's file says: machines, settings, the commit.

    Shows what would change and asks first. What was shown is what is done, the commit included.
    --again makes what somebody has changed by hand on a host what it was; --host says on which.
    --same-commit brings settings, such as config vars, and no commit that was pushed meanwhile.
    """
    if names and not again:
        raise click.UsageError("--host: only with --again; everything is made as the file says")
    project = Project.of(stack)
    project.check()
    hosts = project.fleet().chosen(names) if again else []
    # the engine thinks that they are right: it makes anew what visits them, and nothing else
    anew = [naming.of_host(host.name, role) for host in hosts for role in naming.VISIT]
    visits = [f"--replace=**::{name}" for name in anew]
    if same:
        with contextlib.suppress(NeverUpError):  # no host runs anything: then it is an `up`
            keeping(project, None, yes, as_json, more=visits)
            return
    # it may be about to replace the very machine that does not answer
    apply(project, None, yes, as_json, check=functools.partial(Check.of, strict=False), more=visits)


@click.command()
@options.stack
@options.as_json
def preview(stack: str, as_json: bool) -> None:
    """What `up` would change, on each host; nothing is done."""
    project = Project.of(stack)
    project.check()
    planned = run(project, "preview", [], as_json)
    if as_json:
        data = {"stack": project.stack, "changes": planned.changes, "revision": planned.revision}
        screen.data(data)
    else:
        click.echo(summary(planned, planned=True))


@click.command()
@options.stack
@options.yes
@click.option(
    "--confirm",
    default="",
    callback=options.said,
    metavar="NAME",
    help="The stack's name, typed: what production asks for instead of --yes.",
)
@options.as_json
def destroy(stack: str, yes: bool, confirm: str, as_json: bool) -> None:
    """Drain all hosts and remove everything in AWS; hosts that existed before stay as they are.

    Of the environment `production` the stack's name has to be typed.
    """
    project = Project.of(stack)
    typed = project.environment() == "production"
    question = f"Drain {counted(project.hosts)} and remove all of {project.stack}?"
    if typed and not confirm and sys.stdin.isatty():
        confirm = click.prompt(f"{question} Type its name", default="", err=True)
    elif not typed and not yes and not confirm and sys.stdin.isatty():
        yes = click.confirm(question, err=True)
    if confirm != project.stack and (typed or confirm or not yes):
        needed = f"--confirm {project.stack}" if typed else "--yes"
        raise SatelliteError(f"nothing was done; to be sure, say {needed}", REFUSED)
    done = run(project, "destroy", ["--yes", "--skip-preview"], as_json)
    if as_json:
        screen.data({"stack": project.stack, "changes": done.changes})
    else:
        click.echo(summary(done, planned=False))


@click.command()
@click.option(
    "--branch",
    metavar="NAME",
    callback=options.said,
    help="Deploy the head of this branch from now on.",
)
@click.option(
    "--revision",
    metavar="COMMIT",
    callback=options.said,
    help="Deploy this commit, and stay there.",
)
@options.stack
@options.hosts
@options.yes
@options.as_json
def deploy(
    branch: str | None,
    revision: str | None,
    stack: str,
    names: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Deploy the branch's head, or another branch or commit, to all hosts or to some.

    A pinned commit, such as a rollback's, is no longer pinned then. Where it succeeds, the stack's
    file says the same; where it fails, the hosts and the file are as they were. A deploy to some
    hosts leaves the others and the file as they are.
    """
    if branch and revision:
        raise click.UsageError("--branch or --revision, not both")
    if revision and not COMMIT.fullmatch(revision):
        raise click.UsageError(f"--revision: should be 40 hex digits, got {revision}")

    def change(draft: Draft) -> None:
        if revision:
            if not names:
                leave_heroku(draft.project)
            draft.put("revision", revision)
        else:
            if not branch:
                must_follow(draft.project)
            unpin(draft, branch=bool(branch), quiet=bool(names))
        if branch:
            draft.put("branch", branch)

    check = functools.partial(Check.of, names=names)
    apply(Project.of(stack), change, yes, as_json, "Deploy this?", check, names)


@click.command()
@click.argument(
    "workers",
    nargs=-1,
    required=True,
    metavar="TYPE=N...",
    shell_complete=options.complete_size,
)
@options.stack
@options.yes
@options.as_json
def scale(workers: tuple[str, ...], stack: str, yes: bool, as_json: bool) -> None:
    """So many workers of a process type on each host, such as worker=4.

    No deploy: the hosts go on with the commit that they run.
    """
    types = Counter(word.partition("=")[0] for word in workers)
    if twice := [type_ for type_, many in types.items() if many > 1]:
        raise click.UsageError(f"each process type once, got {', '.join(twice)} again")
    if wrong := [word for word in workers if not _is_size(word)]:
        meant = re.sub(rf"(?<!\S){TYPE} {MANY}(?!\S)", r"\1=\2", typed := " ".join(workers))
        near = f", did you mean satellite scale {meant}?" if meant != typed else ""
        most, got = naming.MOST_WORKERS, " ".join(wrong)
        raise click.UsageError(
            f"should be TYPE=N with N from 1 to {most}, got {got}{near}\n"
            "  None for a while: satellite stop TYPE\n"
            "  None for good: pulumi config rm --path satellite:processes.TYPE, then satellite up "
            "--same-commit"
        )

    def change(draft: Draft) -> None:
        for word in workers:
            type_, _, number = word.partition("=")
            draft.put(f"processes.{type_}.quantity", number)

    project = Project.of(stack)
    keeping(
        project, change, yes, as_json, fits=functools.partial(known_types, project, sorted(types))
    )


def _is_size(word: str) -> bool:
    """Whether it is one of those that the settings take."""
    found = re.fullmatch(f"{TYPE}={MANY}", word)
    return found is not None and int(found[2]) <= naming.MOST_WORKERS


def known_types(project: Project, types: Sequence[str], running: Running) -> None:
    """SatelliteError with those for which the commit that runs has no command.

    The first host would refuse them itself, in a release. An older agent does not say what it has.
    """
    said = (told.get("procfile") for told in running.said.values())
    there = next((known for known in said if known is not None), None)
    if there is None:
        return
    own = project.known_as("processes", dict)
    problems = [
        f"{type_}: should be in the Procfile (it has: {', '.join(there) or 'nothing'}) or have "
        f"satellite:processes.{type_}.command"
        for type_ in types
        if type_ not in there
        if not (isinstance(own.get(type_), dict) and own[type_].get("command"))
    ]
    if problems:
        raise SatelliteError("\n  ".join(["nothing was done:", *problems]), USAGE)
