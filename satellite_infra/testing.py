"""For a team's own tests: a stack as its file declares it, without AWS, hosts or an engine.

Nobody's secrets are needed: each has a stand-in that fits.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import set_all_config

from satellite_infra import written
from satellite_infra.agent.config_files import uses
from satellite_infra.configuration import load
from satellite_infra.host_identity import host_identity
from satellite_infra.keys import public_line
from satellite_infra.naming import NAMESPACE
from satellite_infra.settings import ENCRYPTED, MAY_BE_ENCRYPTED, Settings, parsed
from satellite_infra.stack import satellite

Inputs = dict[str, Any]
SEED = "nobody's seed, and long enough for one"
STAND_IN = "stand-in"
URL = "https://stand-in.example.com/"
ASKS = ("ssh_agent", "heroku_host_token")
"""Settings that have somebody asked whom a test has not, beside a part of `heroku`."""


@dataclass(frozen=True)
class Made:
    """What one run asked for."""

    resources: dict[str, dict[str, Inputs]] = field(default_factory=lambda: defaultdict(dict))
    """By type and name."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """The stack's."""


def run(stack: str) -> Made:
    """Have everything asked for that the stack's file declares, and Pulumi.yaml for each stack.

    RunError with all its problems.
    """
    made = Made()
    project, known = _read(stack)

    def program() -> pulumi.Output[None]:
        return pulumi.Output.all(**satellite(load())).apply(made.outputs.update)

    pulumi.runtime.set_mocks(_Mocks(made), project=project, stack=stack)
    set_all_config(known, [f"{NAMESPACE}:{key}" for key in ENCRYPTED | MAY_BE_ENCRYPTED])
    try:
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    finally:
        set_all_config({}, [])
    return made


def settings(stack: str) -> dict[str, str]:
    """The settings of the stack by their full names, as the engine would hand them over.

    The login key is one of a test's own, and the commit is all zeros: no agent and no repository is
    asked. Nor is Heroku, whose config vars have stand-ins where something here names them.
    """
    return _read(stack)[1]


def _read(stack: str) -> tuple[str, dict[str, str]]:
    """The project's name, and these settings; RunError where a file is no YAML."""
    file = written.file_of(stack)
    if file is None:
        raise FileNotFoundError(f"Pulumi.{stack}.yaml is not there: run the tests in its folder")
    try:
        project, known = written.values(file)
    except written.UnreadError as problem:
        raise pulumi.RunError(str(problem)) from None
    prefix = f"{NAMESPACE}:"
    others, ours = {}, {}
    for name, value in known.items():
        if name.startswith(prefix):
            key = name.removeprefix(prefix)
            ours[key] = _opened(parsed(key, value), key)
        else:
            others[name] = _opened(value)
    ours = {**ours, **_unasked(ours), **_own(ours)}
    ours = {prefix + key: value for key, value in ours.items() if key not in ASKS}
    return project, {key: _sent(value) for key, value in {**others, **ours}.items()}


class _Mocks(pulumi.runtime.Mocks):
    """Note what is asked for, and know nothing of what only AWS does."""

    def __init__(self, made: Made) -> None:
        self._made = made

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, Inputs]:
        """Its inputs are all that it has, beside an id."""
        self._made.resources[args.typ][args.name] = args.inputs
        return f"{args.name}-id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """The one thing that is looked up is an image."""
        del args
        return {"id": "ami-0123456789abcdef0"}


def _opened(value: Any, *place: str) -> Any:
    """The value with stand-ins for what is encrypted."""
    if isinstance(value, list):
        return [_opened(inner, *place, str(n)) for n, inner in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if [*value] != ["secure"]:
        return {key: _opened(inner, *place, str(key)) for key, inner in value.items()}
    if place in (("config",), ("config_files",)):
        return {}
    if place == ("alert_urls",):
        return [URL]
    if place[:1] in (("alert_urls",), ("release_webhook",)):
        return URL + "".join(place[1:])
    return STAND_IN


def _own(known: Inputs) -> dict[str, str]:
    """What a test has of its own instead of the stack's: keys that are pairs, and a commit."""
    own = {"revision": 40 * "0", "host_key_seed": SEED}
    pairs = ["", "next_"] if "next_private_key" in known else [""]
    for name in pairs:
        private = host_identity(SEED, f"{name}login").private
        own |= {f"{name}private_key": private, f"{name}public_key": public_line(private)}
    return own | ({"deploy_key": own["private_key"]} if "deploy_key" in known else {})


def _unasked(known: Inputs) -> Inputs:
    """Heroku's part where Heroku is not asked; nor is it known what one secret text holds."""
    heroku, config = known.get("heroku"), known.get("config") or {}
    found: Inputs = {}
    if isinstance(heroku, dict):
        found["heroku"] = {**heroku, "config": "off"}
        found["heroku"].pop("rotate", None)
    if isinstance(config, dict) and (found or not config):
        own = known.get("environment_vars") or Settings.model_fields["environment_vars"].default
        named = (name for _, name, _ in uses(json.dumps(known.get("config_files"))))
        found["config"] = {name: STAND_IN for name in named if name and name not in own} | config
    return found


def _sent(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
