"""What a promotion asks of the other commands: a stack's settings, and a deploy to its hosts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from satellite_cli import change
from satellite_cli.problems import USAGE, SatelliteError, note
from satellite_cli.project import Project, engine
from satellite_cli.promote import DeployError

if TYPE_CHECKING:
    from satellite_infra.settings import Settings


class Desk:
    """The project that the current folder belongs to."""

    def settings(self, stack: str) -> Settings:
        """That stack's settings; SatelliteError with every problem where they are not right."""
        from satellite_infra.settings import NAMESPACE, validated  # brings Pulumi's SDK along

        project = Project.of(stack)
        shown = engine("config", "--json", "--show-secrets", "--stack", project.stack)
        prefix = f"{NAMESPACE}:"
        found = {
            key.removeprefix(prefix): item
            for key, item in json.loads(shown).items()
            if key.startswith(prefix)
        }
        values = {"environment": project.stack.rpartition("/")[2]}
        values |= {key: item.get("value", "") for key, item in found.items()}
        secret = frozenset(key for key, item in found.items() if item.get("secret"))
        settings, problems = validated(values, secret)
        if problems:
            raise SatelliteError(
                "\n  ".join([f"{project.file.name} is not right:", *problems]), USAGE
            )
        return settings

    def deploy(self, revision: str, stack: str) -> None:
        """Release a commit to a stack's hosts, and have it follow its branch from then on."""
        project = Project.of(stack)
        try:
            with project.draft() as draft:
                change.unpin(draft)
                with draft.pinned(revision) as file:
                    change.update(project, file, tell=note)
                if draft.keep():
                    note(f"{project.file.name} says so now: commit it")
        except SatelliteError as problem:
            raise DeployError(str(problem)) from None
