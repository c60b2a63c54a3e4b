"""The policy pack's rules on all that the shipped stack files declare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policy import rules
from policy.rules import Secret
from tests.infra.conftest import LOGIN, LOGIN_PUBLIC, REVISION, SECRET, SEED
from tests.infra.program import run
from tests.infra.test_stack_files import stack_file

CONFIG = Path(__file__).parents[2] / "policy/config.json"
CANARY = "canary-5d1f"
KNOWN = frozenset({CANARY, "LOGIN KEY", "SEED"})  # as tests.infra.program writes the last two


def declared(name: str, **changed: str) -> dict[str, dict[str, Any]]:
    """The inputs of all resources of a shipped stack, by `TYPE::NAME`."""
    values = stack_file(name)
    values |= {
        "environment": name,
        "ami": "ami-0123456789abcdef0",
        "host_key_seed": SEED,
        "private_key": LOGIN,
        "public_key": LOGIN_PUBLIC,
        "repository": "git@github.com:you/app.git",
        "deploy_key": LOGIN,
        "revision": REVISION,
        "ssh_cidrs": json.dumps(["203.0.113.7/32"]),
        "config": json.dumps({**json.loads(values["config"]), "API_KEY": CANARY}),
        **changed,
    }
    recorded = run(values, SECRET).resources
    return {urn: marked(resource["inputs"]) for urn, resource in recorded.items()}


def marked(value: Any) -> Any:
    """The value with its secrets as the rules know them."""
    if isinstance(value, dict):
        if value.keys() == {"SECRET"}:
            return Secret(value["SECRET"])
        return {key: marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    return value


def problems(resources: dict[str, dict[str, Any]], config: dict[str, Any]) -> list[str]:
    """What the rules say of all resources, under a policy pack's configuration."""
    found = []
    for policy, (_, rule) in rules.RULES.items():
        more = dict(config.get(policy, {}))
        if rule is rules.plain_secrets:
            more["known"] = KNOWN
        for urn, inputs in resources.items():
            kind, _, name = urn.rpartition("::")
            found += [f"{policy}: {line}" for line in rule(kind, name, inputs, **more)]
    return found


@pytest.mark.parametrize("name", ["staging", "production"])
def test_the_shipped_stacks_keep_every_rule(name: str) -> None:
    resources = declared(name)
    kinds = {urn.split("::")[0] for urn in resources}
    assert {rules.INSTANCE, rules.GROUP, rules.INGRESS_RULE, "command:remote:Command"} <= kinds
    sent = [inputs["stdin"] for inputs in resources.values() if "stdin" in inputs]
    assert [secret for secret in sent if CANARY in secret.value] != []
    assert problems(resources, json.loads(CONFIG.read_text())) == []


def test_without_the_packs_configuration_production_is_private() -> None:
    line = (
        "has a public address in production: satellite:connect should be private, with subnet_ids"
    )
    assert problems(declared("production"), {}) == [
        f"no-public-address-in-production: worker-{n} {line}" for n in (1, 2)
    ]
    own = {"vpc_id": "vpc-01234567", "subnet_ids": json.dumps(["subnet-01234567"])}
    assert problems(declared("production", connect="private", **own), {}) == []


def test_what_the_program_refuses_only_without_a_switch_the_policy_refuses_with_it() -> None:
    resources = declared(
        "staging", ssh_cidrs=json.dumps(["0.0.0.0/0"]), allow_ssh_from_anywhere="true"
    )
    assert problems(resources, {}) == [
        "no-ssh-from-the-world: ssh-from-0.0.0.0-0 opens SSH to 0.0.0.0/0: "
        "name the networks that need it"
    ]


def test_a_mark_that_is_forgotten_is_found() -> None:
    resources = {
        "command:remote:Command::worker-1-release": {
            "connection": {"host": "192.0.2.1", "privateKey": "LOGIN KEY"},
            "stdin": CANARY,
        }
    }
    line = "no-plain-secret: worker-1-release shows a secret to everybody: {} should be a secret"
    assert problems(resources, {}) == [line.format("connection.privateKey"), line.format("stdin")]
