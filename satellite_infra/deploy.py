"""What every host shall run, known before any resource is touched: a commit and config vars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from satellite_infra import revision
from satellite_infra.settings import Settings


@dataclass(frozen=True)
class Deploy:
    """One commit with its config vars."""

    revision: str
    config: Mapping[str, str] = field(repr=False)


def deploy(settings: Settings) -> Deploy:
    """What is to be deployed; RunError when somebody who has to be asked does not tell."""
    return Deploy(revision.revision(settings), config_vars(settings))


def config_vars(settings: Settings) -> dict[str, str]:
    """The config vars: the stack's own before the environment's name."""
    return {**dict.fromkeys(settings.environment_vars, settings.environment), **settings.config}
