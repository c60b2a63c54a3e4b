"""The rules as a policy pack of Pulumi: `pulumi preview --policy-pack policy`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the pack is run as a folder

from policy import rules

SECRET_INPUTS = frozenset({"connection", "stdin", "userData"})
"""The inputs that the program marks as secret. Policies in Python get secrets opened, and cannot
see which inputs were; tests/policy/ looks at the marks themselves."""


def policies() -> list[ResourceValidationPolicy]:
    """One policy for each rule."""
    return [_policy(name) for name in rules.RULES]


def _policy(name: str) -> ResourceValidationPolicy:
    description, rule = rules.RULES[name]
    public = rule is rules.public_address

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        inputs: Mapping[str, Any] = args.props
        if rule is rules.plain_secrets:
            inputs = {k: v for k, v in known(inputs).items() if k not in SECRET_INPUTS}
        more = {"allowed": args.get_config().get("allowed", False)} if public else {}
        for problem in rule(args.resource_type, args.name, inputs, **more):
            report(problem)

    schema = {"allowed": {"type": "boolean", "default": False}}
    return ResourceValidationPolicy(
        name=name,
        description=description,
        validate=validate,
        config_schema=PolicyConfigSchema(schema) if public else None,
    )


def known(value: Any) -> Any:
    """The value without what a preview cannot know yet; reading such a thing is an error."""
    if isinstance(value, Mapping):
        return {key: inner for key in value for inner in _known_at(value, key)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [inner for index in range(len(value)) for inner in _known_at(value, index)]
    return value


def _known_at(value: Any, key: Any) -> list[Any]:
    try:
        return [known(value[key])]
    except UnknownValueError:
        return []


if __name__ == "__main__":
    PolicyPack("satellite", policies(), EnforcementLevel.MANDATORY)
