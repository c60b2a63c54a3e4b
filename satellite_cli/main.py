"""`satellite`: the list of its commands, and the one place where an error becomes a message."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

import click

from satellite_cli import (
    act,
    change,
    doctor,
    lock,
    look,
    machines,
    promote_command,
    reach,
    rollback,
    settings,
)
from satellite_cli.desk import Desk
from satellite_cli.problems import INTERRUPTED, SatelliteError, note

FAULT = 70
"""A fault of this program itself."""
WHOLE = 500
"""Characters of a command's line in the list, which is folded rather than cut off."""


class Sections(click.Group):
    """A group whose help lists the commands by what they are for."""

    sections: dict[str, list[click.Command]]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One list for each section, in its order."""
        del ctx
        for title, commands in self.sections.items():
            with formatter.section(title):
                rows = [(str(c.name), c.get_short_help_str(WHOLE)) for c in commands]
                formatter.write_dl(rows)


SECTIONS: dict[str, list[click.Command]] = {
    "Look": [look.info, look.ps, look.releases, reach.logs, doctor.doctor, lock.lock],
    "Change": [
        change.up,
        change.preview,
        change.deploy,
        rollback.rollback,
        promote_command.command,
        change.scale,
        machines.lost,
        machines.roll,
        change.destroy,
        settings.config,
        settings.keys,
    ],
    "Workers": [act.restart, act.stop, act.start],
    "On a host": [reach.run, reach.ssh],
}


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="satellite", message="%(prog)s %(version)s")
@click.pass_context
def satellite(ctx: click.Context) -> None:
    """Background workers on machines of your own: what is there, and what shall be.

    Run it in the folder of Pulumi.yaml. Exit codes: docs/commands.md.
    """
    ctx.obj = Desk()


satellite.sections = SECTIONS
for _commands in SECTIONS.values():
    for _command in _commands:
        satellite.add_command(_command)


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit status. No error shows a traceback."""
    try:
        done = satellite.main(list(arguments), prog_name="satellite", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as fault:
        if os.environ.get("SATELLITE_DEBUG"):
            raise
        kind = type(fault).__name__
        note(
            f"error: a fault in satellite itself: {kind}: {fault}\n  SATELLITE_DEBUG=1 shows where"
        )
        return FAULT
    return done if isinstance(done, int) else 0


def run() -> None:
    """The console script."""
    # most of what a command makes is modules and classes: nothing that a collection would free
    gc.set_threshold(50_000)
    # what is loaded in one thread shall not keep waiting another one that only starts a process
    sys.setswitchinterval(0.0005)
    status = main(sys.argv[1:])
    gc.freeze()  # nor at the end, where it would take longer than all else
    sys.exit(status)
