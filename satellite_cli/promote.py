"""Promotion: one commit becomes an environment's branch, Heroku's build and the hosts' release.

Everything that can be known is known, shown and confirmed before anything moves. A step that fails
leaves the remotes as they were where that is safe, and in any case says what is where.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from satellite_cli.problems import SatelliteError
from satellite_cli.promote_git import GitError, harmless
from satellite_cli.promote_plan import Options, Planning, Refused
from satellite_cli.promote_steps import INTERRUPTED, Outcome, Promotion, Where
from satellite_infra.agent.heroku import HerokuError


@contextlib.contextmanager
def not_begun() -> Iterator[None]:
    """What is done before anything moves: who interrupts it is told that nothing has.

    So is who meets what nobody has foreseen, which is the cause then.
    """
    try:
        yield
    except (Refused, SatelliteError):
        raise
    except KeyboardInterrupt:
        raise Refused([INTERRUPTED], interrupted=True) from None
    except Exception as fault:
        raise Refused([harmless(f"{type(fault).__name__}: {fault}")]) from fault


def promote(options: Options) -> Outcome:
    """Promote a commit; Refused when nothing was changed because something is in the way.

    BrokenError when a step met what nobody has foreseen.
    """
    with contextlib.ExitStack() as stack:
        with not_begun():
            folder = tempfile.TemporaryDirectory(prefix="satellite-promote-")
            directory = stack.enter_context(folder)
            stack.enter_context(options.interruptions.until_here())
            planning = Planning(options, Path(directory, "scratch.git"))
            try:
                plan = planning.plan()
            except (GitError, HerokuError) as error:
                raise Refused([*planning.problems, str(error)]) from None
            options.show(plan)
            asked = tuple(Where(p.label(), p.url, p.before, p.before) for p in plan.places())
            if options.dry_run:
                return Outcome("dry run", plan, asked)
            if not options.confirm():
                return Outcome("declined", plan, asked)
        return Promotion(options, planning.scratch, plan).run()
