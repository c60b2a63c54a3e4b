"""Commands that change what shall be: up, preview, destroy, deploy, scale."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from collections import Counter
from collections.abc import Sequence

import click

from satellite_cli import asking, options, screen
from satellite_cli.fleet import NeverUpError, counted
from satellite_cli.making import Wish, apply, keeping, run, somebody_to_ask
from satellite_cli.problems import REFUSED, USAGE, SatelliteError, note
from satellite_cli.project import Draft, Project
from satellite_cli.promote_git import COMMIT
from satellite_cli.reachable import Check
from satellite_cli.running import Running, pin
from satellite_cli.update import summary
from satellite_infra import naming

TYPE, MANY = f"({naming.PROCESS_TYPE})", "([1-9][0-9]{0,8})"
"""A process type, and how many workers of it."""
FOLLOWS = f"satellite:revision {naming.HEROKU}"
BEGINNING = re.compile(r"[0-9a-f]{1,40}")
"""Of a commit, or all of it."""


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
    pinned = _pinned(project)
    if pinned and not _follows(project):
        raise SatelliteError(
            f"{project.stack} is pinned to {screen.short(pinned)}; say what it shall follow now: "
            f"satellite deploy --branch NAME, or pulumi config set {FOLLOWS} --stack "
            f"{project.stack}, then satellite up",
            USAGE,
        )


def _branch(project: Project) -> str:
    """Its own, which it follows where no commit is pinned and it does not follow Heroku."""
    return str(project.known.get("branch") or "main")


def _pinned(project: Project) -> str:
    """The commit that its file says; empty where it says none."""
    known = str(project.known.get("revision") or "")
    return "" if known == naming.HEROKU else known


def _follows(project: Project) -> str:
    """The branch that it follows once it is no longer pinned; empty where that is to be said."""
    known = project.known
    return "" if known.get("heroku") and not known.get("branch") else _branch(project)


def tell_pinned(project: Project) -> None:
    """Say that what was pushed is not deployed, as a commit is pinned."""
    if pinned := pin(_pinned(project), _follows(project)):
        note(f"{project.stack} is {pinned}")


def leave_heroku(project: Project) -> None:
    """Say how it comes to follow Heroku again, where it does and is about to be pinned."""
    if project.known.get("revision") == naming.HEROKU:
        note(
            f"{project.stack} does not follow Heroku from now on; to have it do so again: pulumi "
            f"config set {FOLLOWS} --stack {project.stack}, then satellite up"
        )


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
            keeping(project, Wish(more=visits), yes, as_json, visited=names)
            return
    if not yes:
        somebody_to_ask(as_json)  # before the engine is asked for anything
    tell_pinned(project)
    branch = "" if project.known.get("revision") else _branch(project)
    wish = Wish(branch=branch, more=visits)
    # it may be about to replace the very machine that does not answer
    apply(project, wish, yes, as_json, functools.partial(Check.of, strict=False))


@click.command()
@options.stack
@options.as_json
def preview(stack: str, as_json: bool) -> None:
    """What `up` would change, on each host; nothing is done."""
    project = Project.of(stack)
    project.check()
    tell_pinned(project)
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
    help="Deploy this commit, or the released one that begins so, and stay there.",
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
    if branch and branch.startswith("-"):  # it would be an option of whoever is given it
        raise click.UsageError(f"--branch: should not begin with a dash, got {branch}")
    if revision and not BEGINNING.fullmatch(revision := revision.lower()):
        raise click.UsageError(
            "--revision: should be 40 hex digits, or the first ones of a commit that was released, "
            f"got {revision}; of a branch or tag, in the app's checkout: git rev-parse NAME^0"
        )
    if not yes:
        somebody_to_ask(as_json)  # before a host is asked for anything
    project = Project.of(stack)
    if revision:
        revision = _whole(project, revision)

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

    elsewhere = revision or project.known.get("revision") == naming.HEROKU
    from_ = branch or ("" if elsewhere else _branch(project))
    wish = Wish(change, "Deploy this?", from_, names)
    apply(project, wish, yes, as_json, functools.partial(Check.of, names=names))


def _whole(project: Project, wanted: str) -> str:
    """The commit that begins so, of those that were released, or in full; SatelliteError."""
    if COMMIT.fullmatch(wanted):
        return wanted
    known: set[str] = set()
    silent: dict[str, str] = {}
    with contextlib.suppress(NeverUpError):
        fleet = project.fleet()
        if hosts := fleet.chosen([]):
            answers = asking.answers_of(fleet, hosts, asking.SECONDS, "history", "--json")
            said, silent = asking.sorted_out(answers, list)
            known = {str(event.get("revision")) for events in said.values() for event in events}
    fitting = sorted(commit for commit in known if commit.startswith(wanted))
    if len(fitting) == 1 and COMMIT.fullmatch(fitting[0]):
        return fitting[0]
    what = f"no commit that was released begins with {wanted}"
    if fitting:
        what = f"several commits begin with {wanted} ({', '.join(map(screen.short, fitting))})"
    elif silent:
        what += f", as far as hosts answered ({', '.join(silent)} did not)"
    raise SatelliteError(
        f"--revision: {what}; all 40 digits, in the app's checkout: git rev-parse {wanted}", USAGE
    )


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
        meant = re.sub(rf"(?<!\S)(?!\d+ ){TYPE} {MANY}(?!\S)", r"\1=\2", typed := " ".join(workers))
        near = f", did you mean satellite scale {meant}?" if meant != typed else ""
        most, got = naming.MOST_WORKERS, " ".join(wrong)
        raise click.UsageError(
            f"should be TYPE=N with N from 1 to {most}, got {got}{near}\n"
            "  None for a while: satellite stop TYPE\n"
            "  None for good, where others are left: pulumi config rm --path "
            "satellite:processes.TYPE, then satellite up --same-commit\n"
            "  Of the only type: satellite stop TYPE, or satellite destroy"
        )

    def change(draft: Draft) -> None:
        for word in workers:
            type_, _, number = word.partition("=")
            draft.put(f"processes.{type_}.quantity", number)

    project = Project.of(stack)
    project.check()  # the file is written, with what the engine makes of it
    fits = functools.partial(known_types, project, sorted(types))
    keeping(project, Wish(change), yes, as_json, fits=fits)


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
