"""What every host shall run, known before any resource is touched: a commit and config vars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from satellite_infra import heroku, rules
from satellite_infra.naming import HEROKU
from satellite_infra.revision import revision
from satellite_infra.settings import Settings


@dataclass(frozen=True)
class Deploy:
    """One commit with its config vars."""

    revision: str
    config: Mapping[str, str] = field(repr=False)
    inherited: tuple[str, ...] = ()  # the config vars that hosts follow by themselves


def deploy(settings: Settings) -> Deploy:
    """What is to be deployed; RunError when somebody who has to be asked does not tell."""
    wanted = commit(settings)
    how = settings.heroku.config if settings.heroku else "off"
    theirs = heroku.inherited(settings) if how == "inherit" else {}
    config = config_vars(settings, theirs)
    if found := list(rules.unfilled(settings, config)):
        raise pulumi.RunError("\n  ".join(["neither this stack nor Heroku tells:", *found]))
    if how == "check":
        heroku.check(settings, wanted, config)
    elif how == "inherit":
        heroku.outdone(settings, theirs)
    rotates = settings.heroku and settings.heroku.rotate
    followed = theirs.keys() - settings.config.keys() if rotates else ()
    return Deploy(wanted, config, tuple(sorted(followed)))


def commit(settings: Settings) -> str:
    """The one that Heroku runs, where it is followed; else the pinned one, or its branch's head."""
    return heroku.commit(settings) if settings.revision == HEROKU else revision(settings)


def config_vars(settings: Settings, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """The config vars: the stack's own, else what is inherited, else the environment's name."""
    name = dict.fromkeys(settings.environment_vars, settings.environment)
    return {**name, **(inherited or {}), **settings.config}
