"""`satellite promote STACK`: the options, the question and the words around a promotion."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.core import ParameterSource

from satellite_cli import aim, options
from satellite_cli.aim import aimed
from satellite_cli.problems import INTERRUPTED, REFUSED, Interruptions, SatelliteError
from satellite_cli.problems import say as printed
from satellite_cli.promote import not_begun, promote
from satellite_cli.promote_git import without_user
from satellite_cli.promote_plan import Options, Plan, Refused
from satellite_cli.promote_steps import BrokenError, Outcome
from satellite_cli.promote_text import outcome_lines, plan_lines

if TYPE_CHECKING:
    from satellite_infra.settings import Settings


class Desk(Protocol):
    """What it asks of the other commands; click's context object may be another one."""

    def settings(self, stack: str) -> Settings:
        """That stack's settings; the group's own error where they are not right."""

    def ready(
        self, revision: str, stack: str, tell: Callable[[str], None], moves: bool = True
    ) -> None:
        """Show what a deploy would change; the group's own error where it cannot begin."""

    def free(self, stack: str) -> bool | None:
        """Whether nobody is at work there; None where only a try tells that."""

    def deploy(self, revision: str, stack: str) -> None:
        """Release a commit to a stack's hosts; DeployError where that failed."""


@click.command("promote")
@click.argument("stack", callback=options.said, shell_complete=options.complete_stack)
@click.option(
    "--from",
    "source",
    callback=options.said,
    help="A branch of the repository, or a commit here.",
)
@click.option(
    "--remote",
    default="",
    callback=options.said,
    help="Name or URL of the repository's remote.",
)
@click.option(
    "--checkout", default=".", type=click.Path(), callback=options.said, help="The app's checkout."
)
@click.option("--create", is_flag=True, help="Make the branch where there is none.")
@click.option("--force", is_flag=True, help="Lose the commits that are shown as lost.")
@click.option("--tag/--no-tag", default=None, help="Tag the commit at the end.")
@click.option("--dry-run", is_flag=True, help="Show everything, change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, on standard output.")
@click.pass_obj
def command(
    desk: Desk | None,
    stack: str,
    source: str | None,
    remote: str,
    checkout: str,
    create: bool,
    force: bool,
    tag: bool | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring a commit to STACK: its branch, Heroku, its hosts.

    Your checkout is only looked at. It has to be clean, so that what you see is what goes.
    """
    from satellite_cli.desk import Desk as Ours
    from satellite_cli.update import shown

    aim.at(stack)
    desk = desk or Ours()
    interactive = is_there()

    def say(text: str) -> None:
        printed(text, err=as_json)

    def show(plan: Plan) -> None:
        for line in plan_lines(plan):
            say(line)
        places = filter(None, (plan.server, plan.heroku))
        moves = any(place.before != plan.revision for place in places)
        desk.ready(plan.revision, stack, say if as_json else shown, moves)  # before anything does

    def confirm() -> bool:
        try:
            return yes or click.confirm(f"Promote to {stack}?", err=True)
        except click.Abort:
            raise KeyboardInterrupt from None

    given: dict[str, Any] = {"source": source, "source_here": True} if source else {}
    if tag is not None:
        given["tag"] = tag
    try:
        if not (interactive or yes or dry_run):
            raise SatelliteError("nobody is there to be asked: say --yes, or --dry-run", REFUSED)
        with not_begun():
            settings = desk.settings(stack)
        chosen = Options.of(
            settings,
            stack,
            deploy=desk.deploy,
            free=desk.free,
            confirm=confirm,
            show=show,
            say=say,
            again=_typed(stack),
            checkout=Path(checkout),
            remote=remote,
            create=create,
            force=force,
            dry_run=dry_run,
            interactive=interactive,
            interruptions=click.get_current_context().with_resource(Interruptions()),
            **given,
        )
        outcome = promote(chosen)
    except SatelliteError as problem:
        _refused([aimed(str(problem))], problem.status == INTERRUPTED, as_json)
        raise
    except Refused as refused:
        _refused(refused.problems, refused.interrupted, as_json)
        if refused.__cause__:
            raise refused.__cause__ from None
        if refused.interrupted:
            raise SatelliteError(f"{refused}: nothing was changed", INTERRUPTED) from None
        raise click.ClickException(f"nothing was changed. {refused}") from None
    except BrokenError as broken:
        _tell(broken.outcome, as_json)
        raise (broken.__cause__ or broken) from None
    _tell(outcome, as_json)
    sys.exit(_status(outcome))


def _refused(problems: list[str], interrupted: bool, as_json: bool) -> None:
    if as_json:
        document = {"status": "refused", "interrupted": interrupted, "problems": problems}
        click.echo(json.dumps(document, indent=2))


def _tell(outcome: Outcome, as_json: bool) -> None:
    for line in outcome_lines(outcome):
        printed(line, err=as_json or outcome.status == "failed")
    if as_json:
        click.echo(json.dumps(outcome.document(), indent=2))


def _typed(stack: str) -> str:
    """The command line as it was typed, but for what is said anew each time."""
    context = click.get_current_context()
    words = ["satellite", "promote", stack]
    for option in context.command.params:
        name = option.name or ""
        value = context.params[name]
        if not isinstance(option, click.Option) or name in ("yes", "dry_run", "as_json"):
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            on, off = option.opts[0], option.secondary_opts
            if option.is_flag:
                words.append(on if value else off[0])
            else:
                words += [on, without_user(str(value))]
    return shlex.join(words)


def is_there() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _status(outcome: Outcome) -> int:
    """As docs/promote.md has them."""
    if outcome.interrupted:
        return INTERRUPTED
    return {"promoted": 0, "dry run": 0, "declined": 4}.get(outcome.status, 1)
