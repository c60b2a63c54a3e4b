"""`make endurance`: ends with one line of counts, and with a status that tells whether they hold.

JOBS, HOSTS, WORKERS (on each host) and GRACE (seconds) in the environment make it smaller.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from demo import evidence
from demo.failure import DemoError, expect
from demo.leftovers import leftovers
from demo.performance import perform
from demo.screen import Clock, Screen
from demo.site import demolished
from endurance.events import EVENTS
from endurance.plan import Scale
from endurance.play import play
from endurance.stage import Stage, recorded
from lab.client import Lab
from lab.errors import LabError


def main() -> int:
    """The exit status: 0 when every promise was kept."""
    last: list[str] = []

    def kept(screen: Screen, logs: Path) -> bool:
        try:
            _run(screen, logs, last)
        except DemoError as failure:
            screen.failure(failure)
            return False
        return True

    status = perform("endurance", kept)
    for line in last:
        print(line)
    return status


def _run(screen: Screen, logs: Path, last: list[str]) -> None:
    """Put the line of counts into `last`; DemoError names each promise that was broken."""
    scale, clock, lab = Scale.read(os.environ), Clock(), Lab()
    with recorded(lab):
        stage = Stage.of(scale, screen, Path(os.environ["SATELLITE_LAB"]) / "endurance")
        with demolished(stage.site):
            try:
                counts = play(stage, EVENTS)
                screen.say(
                    "A killed worker's job was free again "
                    f"{counts.orphaned:.1f} s after its last sign of life, at the latest."
                )
                expect("not every promise was kept", counts.problems())
            except LabError as error:
                _keep(stage, logs)
                raise DemoError("the lab could not do its part", str(error).splitlines()) from error
            except DemoError:
                _keep(stage, logs)
                raise
            finally:
                last[:] = [stage.count().line()]
            stage.site.pulumi("destroy", "--yes", "--skip-preview")
            expect("`destroy` should leave nothing", leftovers(lab, stage.site.stack))
    screen.say(f"All of it took {clock}, and nothing is left of it.")


def _keep(stage: Stage, logs: Path) -> None:
    """Save what the commands and the hosts said; the machines go."""
    shutil.copytree(stage.site.stack.logs, logs / "commands")
    evidence.collect(stage.site.lab, logs)


if __name__ == "__main__":
    sys.exit(main())
