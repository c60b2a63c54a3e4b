"""What the app has on Heroku: inherited, or compared; asked for before any resource."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pulumi
from pydantic import TypeAdapter, ValidationError

from satellite_infra.agent.heroku import Api, HerokuError
from satellite_infra.fields import DYNOS_OWN, EnvName, EnvValue
from satellite_infra.naming import HEROKU
from satellite_infra.settings import Settings

VARIABLE = TypeAdapter(tuple[EnvName, EnvValue])


def commit(settings: Settings) -> str:
    """The commit that the app runs on Heroku; RunError when Heroku does not tell."""
    try:
        return _api(settings).commit()
    except HerokuError as error:
        raise pulumi.RunError(str(error)) from None


def inherited(settings: Settings) -> dict[str, str]:
    """The config vars to inherit; RunError when Heroku tells none, or lacks a named one."""
    try:
        found = _api(settings).config_vars()
    except HerokuError as error:
        raise pulumi.RunError(str(error)) from None
    assert settings.heroku
    if missing := [name for name in settings.heroku.names if name not in found]:
        raise pulumi.RunError(
            f"satellite:heroku/names: {settings.heroku.app} on Heroku has no config var "
            f"{', '.join(missing)}"
        )
    if not found:  # all that the workers have of it would be taken away
        raise pulumi.RunError(
            f"satellite:heroku.config: {settings.heroku.app} on Heroku has no config vars at all "
            "to inherit; where that is right: pulumi config set --path satellite:heroku.config off"
        )
    wanted = _chosen(settings, found)
    unfit = [name for name, value in wanted.items() if not _fits(name, value)]
    if named := [name for name in unfit if name in settings.heroku.names]:
        raise pulumi.RunError(
            f"satellite:heroku/names: {', '.join(named)} cannot be set on a host, by its name or "
            "its value"
        )
    if unfit:
        pulumi.log.warn(
            f"not inherited from Heroku: {', '.join(sorted(unfit))}; on a host nobody can set them"
        )
    return {name: value for name, value in wanted.items() if name not in unfit}


def check(settings: Settings, revision: str, config: Mapping[str, str]) -> None:
    """In a preview: warn of names that differ, and of another commit. It stops nothing."""
    if not pulumi.runtime.is_dry_run():
        return
    try:
        api = _api(settings)
        theirs = _chosen(settings, api.config_vars())
        for line in differences(_chosen(settings, config), theirs):
            pulumi.log.warn(f"{line} (satellite:heroku, {api.app})")
        if settings.revision != HEROKU and (head := api.commit()) != revision:
            pulumi.log.warn(f"Heroku runs {head[:12]} of {api.app}, and this stack {revision[:12]}")
    except HerokuError as error:
        pulumi.log.warn(f"not compared with Heroku: {error}")


def outdone(settings: Settings, theirs: Mapping[str, str]) -> None:
    """In a preview: warn of what is not inherited because the stack has it itself."""
    if not pulumi.runtime.is_dry_run():
        return
    assert settings.heroku
    where, ours = f"(satellite:heroku, {settings.heroku.app})", settings.config
    both = sorted(ours.keys() & theirs.keys())
    if other := [name for name in both if ours[name] != theirs[name]]:
        pulumi.log.warn(
            f"satellite:config wins over Heroku's {', '.join(other)}, whose value is another "
            f"{where}"
        )
    if settings.heroku.rotate and both:
        pulumi.log.warn(
            f"no host follows Heroku's {', '.join(both)}, which satellite:config has, too {where}"
        )


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    """What is not the same, by name; never a value."""
    other = [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
    for what, names in (
        ("config vars of another value on Heroku", other),
        ("config vars that only Heroku has", theirs.keys() - ours.keys()),
        ("config vars that Heroku does not have", ours.keys() - theirs.keys()),
    ):
        if names:
            yield f"{what}: {', '.join(sorted(names))}"


def _api(settings: Settings) -> Api:
    assert settings.heroku  # a rule of the settings
    return Api(settings.heroku.app, settings.heroku_api_token)


def _chosen(settings: Settings, found: Mapping[str, str]) -> dict[str, str]:
    assert settings.heroku
    names = settings.heroku.names or found.keys() - DYNOS_OWN
    return {name: value for name, value in found.items() if name in names}


def _fits(name: str, value: str) -> bool:
    try:
        VARIABLE.validate_python((name, value))
    except ValidationError:
        return False
    return True
