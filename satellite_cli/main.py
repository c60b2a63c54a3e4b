"""`satellite`: the list of its commands, and the one place where an error becomes a message."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click
from click.core import ParameterSource

from satellite_cli import aim, options
from satellite_cli.commands import MODULES, PROMOTE, SECTIONS
from satellite_cli.groups import Group
from satellite_cli.problems import FAILED, INTERRUPTED, USAGE, SatelliteError, deafen, note
from satellite_infra.naming import OWN_CHECK

FULL = (errno.ENOSPC, errno.EIO)
"""Why what is said cannot be written: no room, or a terminal that is gone."""
FAULT = 70
"""A fault of this program itself."""


class Sections(Group):
    """A group whose help lists the commands by what they are for, and which loads one alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order of the help."""
        del ctx
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None where there is none."""
        del ctx
        if cmd_name not in MODULES:
            return None
        module, _, name = MODULES[cmd_name].partition(":")
        found: click.Command = vars(importlib.import_module(f"satellite_cli.{module}"))[
            name or cmd_name
        ]
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed; click would guess at a mistyped one among those loaded."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as problem:
            name = problem.command_name
            raise click.exceptions.NoSuchCommand(name, possibilities=MODULES, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One list for each section, in its order."""
        for title, names in SECTIONS.items():
            self.list_some(ctx, formatter, title, names)


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="satellite", message="%(prog)s %(version)s")
@options.stack
@click.pass_context
def satellite(context: click.Context, stack: str) -> None:
    """Background workers on machines of your own: what is there, and what shall be.

    Run it in the folder of Pulumi.yaml. Exit codes: docs/commands.md.
    """
    typed = context.get_parameter_source("stack") is ParameterSource.COMMANDLINE
    if typed and context.invoked_subcommand == PROMOTE:
        raise click.UsageError(f"--stack: the stack is an argument: satellite promote {stack}")


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit status. No error shows a traceback."""
    aim.at("")
    try:
        done = satellite.main(list(arguments), prog_name="satellite", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.ctx.get_help() if asked.ctx else "")
        return 0
    except click.ClickException as problem:
        _show(problem)
        return problem.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except SatelliteError as problem:
        note(f"error: {problem}")
        return problem.status
    except (click.Abort, KeyboardInterrupt):
        note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # such as `| head`; nothing is to be said, and nothing flushed again
        deafen(sys.stdout)
        return 1
    except Exception as fault:
        if isinstance(fault, OSError) and fault.errno in FULL and not fault.filename:
            deafen(sys.stdout)
            note(f"error: not all could be written: {fault.strerror}")
            return FAILED
        if isinstance(fault, OSError) and fault.errno == errno.E2BIG:
            note("error: what is to be run is too long for a command line: put it into a file")
            return USAGE
        if os.environ.get("SATELLITE_DEBUG"):
            raise
        kind = type(fault).__name__
        note(
            f"error: a fault in satellite itself: {kind}: {fault}\n  SATELLITE_DEBUG=1 shows where"
        )
        return FAULT
    return done if isinstance(done, int) else 0


def _show(problem: click.ClickException) -> None:
    """An error of click's as ours: it begins like them, and its lines are broken between words."""
    said = io.StringIO()
    problem.show(said)
    note(re.sub(r"^Error: ", "error: ", said.getvalue().rstrip("\n"), count=1, flags=re.MULTILINE))


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """What a Ctrl-C would do now, which leaves a clean state and says which."""
    now = signal.getsignal(signal.SIGINT)
    (now if callable(now) else signal.default_int_handler)(number, frame)


def outside() -> None:
    """Have what ends a program from outside, and a closed terminal, be a Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # and not ignored, as by nohup
            signal.signal(number, _as_ctrl_c)


def _streams() -> None:
    """Have the standard ones: also where one was closed (as by <&-), or writes another language."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # which gets the lowest number that is free
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does it


def run() -> None:
    """The console script."""
    outside()
    _streams()
    os.environ[OWN_CHECK] = "1"
    # most of what a command makes is modules and classes: nothing that a collection would free
    gc.set_threshold(200_000)  # a deploy makes less than that
    # what is loaded in one thread shall not keep waiting another one that only starts a process
    sys.setswitchinterval(0.0005)
    status = main(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # all is said: what loads beside it ends in a moment
    gc.freeze()  # nor at the end, where it would take longer than all else
    sys.exit(status)
