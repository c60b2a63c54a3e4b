"""What a promotion asks of the other commands: a stack's settings, and a deploy to its hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from satellite_cli.change import unpin
from satellite_cli.making import update
from satellite_cli.problems import INTERRUPTED, SatelliteError, note
from satellite_cli.project import Project
from satellite_cli.promote import DeployError
from satellite_cli.reachable import Check

if TYPE_CHECKING:
    from satellite_infra.settings import Settings


class Desk:
    """The project that the current folder belongs to."""

    def settings(self, stack: str) -> Settings:
        """That stack's settings; SatelliteError with every problem where they are not right."""
        return Project.of(stack).settings()

    def ready(self, stack: str) -> None:
        """SatelliteError where hosts of that stack do not answer."""
        project = Project.of(stack)
        check = Check.of(project)
        check.told(project.config)
        check.end()

    def deploy(self, revision: str, stack: str) -> None:
        """Release a commit to a stack's hosts, and have it follow its branch from then on."""
        project = Project.of(stack)
        check = Check.of(project)
        try:
            with project.draft() as draft:
                unpin(draft)
                with draft.pinned(revision) as file:
                    update(project, file, tell=note, check=check)
                if draft.keep():
                    note(f"{project.file.name} says so now: commit it")
        except SatelliteError as problem:
            raise DeployError(str(problem), problem.status == INTERRUPTED) from None
