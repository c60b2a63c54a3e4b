"""docs/iam.md allows a deployer what the program's resources need, and nothing else."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pulumi
import pytest

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs/iam.md").read_text(encoding="utf-8")
STACK, STATE = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
LONGEST = 6144
"""Characters of a managed policy, white space apart."""
NO_OPERATION = {"iam:PassRole"}
"""Actions that are no call of the API."""
OWN_RULES = ("MakeWithTheTags", "TagDisksAndRules", "ChangeWhatHasTheTags")
"""Statements that hold only for what has the stack's tags."""


def lines() -> dict[str, set[str]]:
    """The actions of each resource type, and of the door."""
    rows = re.findall(r"^\| (.+?) \| (`.+`) \|$", PAGE, re.MULTILINE)
    return {what.strip("`"): set(re.findall(r"`(.+?)`", actions)) for what, actions in rows}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(policy: Any) -> set[str]:
    return {action for one in policy["Statement"] for action in listed(one["Action"])}


def made(source: str) -> Iterator[str]:
    """The types of the resources that a module makes in AWS, and of its look-ups."""
    tree = ast.parse(source)
    modules = {
        name.asname or name.name: name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "pulumi_aws"
        for name in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if (
                module in modules
            ):
                made_by = getattr(importlib.import_module(f"pulumi_aws.{modules[module]}"), name)
                if name.startswith("get_"):
                    head, *tail = name.split("_")
                    token = head + "".join(map(str.title, tail))
                    yield f"aws:{modules[module]}/{token}:{token}"
                elif issubclass(made_by, pulumi.CustomResource):
                    yield made_by.pulumi_type


def program() -> set[str]:
    files = (CHECKOUT / "satellite_infra").glob("*.py")
    return {type_ for file in files for type_ in made(file.read_text("utf-8"))}


def test_each_type_of_the_program_has_its_line() -> None:
    assert {what for what in lines() if what.startswith("aws:")} == program()


def test_a_type_without_a_line_is_found() -> None:
    source = "from pulumi_aws import ec2 as there\nthere.Eip('x')\nthere.get_vpc()\n"
    assert set(made(source)) - lines().keys() == {"aws:ec2/eip:Eip", "aws:ec2/getVpc:getVpc"}


def test_the_policy_allows_what_the_lines_name_and_nothing_else() -> None:
    assert allowed(STACK) == set().union(*lines().values())


def test_the_calls_of_the_door_are_in_its_line() -> None:
    source = (CHECKOUT / "ci/ssh_door.py").read_text(encoding="utf-8")
    ec2 = boto3.client("ec2", region_name="us-east-1")
    operations = ec2.meta.method_to_api_mapping
    ec2.close()
    called = {operations[name] for name in re.findall(r"\w+", source) if name in operations}
    (line,) = (actions for what, actions in lines().items() if "door" in what)
    assert len(called) == 5
    missing = [
        name for name in called if not any(fnmatch.fnmatch(f"ec2:{name}", one) for one in line)
    ]
    assert missing == []


@pytest.mark.parametrize("service", ["ec2", "iam", "sns", "cloudwatch"])
def test_each_action_is_one_of_aws(service: str) -> None:
    client = boto3.client(service, region_name="us-east-1")
    operations = [f"{service}:{name}" for name in client.meta.service_model.operation_names]
    client.close()
    own = {one for one in allowed(STACK) - NO_OPERATION if one.startswith(f"{service}:")}
    assert own
    assert [one for one in own if not fnmatch.filter(operations, one)] == []


def test_what_can_be_said_by_tags_or_names_is() -> None:
    tags = {"label": "satellite", "app": "APP", "environment": "ENVIRONMENT"}
    for one in STACK["Statement"]:
        if one["Sid"] in OWN_RULES:
            said = one["Condition"]["StringEquals"]
            assert {key.partition("/")[2]: value for key, value in said.items()} == tags
    for one in (one for one in STACK["Statement"] if "iam:" in str(one["Action"])):
        own = [name for name in listed(one["Resource"]) if "/satellite-APP-ENVIRONMENT-" in name]
        assert own == listed(one["Resource"]) or one["Sid"] == "RoleThatRecovers"
    assert [one["Sid"] for one in STACK["Statement"] if one["Resource"] == "*"] == ["Look"]


def test_the_state_needs_what_its_own_page_says() -> None:
    page = (CHECKOUT / "docs/state.md").read_text(encoding="utf-8")
    assert allowed(STATE) == set(re.findall(r"`((?:s3|kms):\w+)`", page))


def test_it_is_short_enough_for_aws() -> None:
    text = json.dumps(STACK, separators=(",", ":"))
    names = re.sub(r"\b(APP|ENVIRONMENT|ACCOUNT|REGION)\b", "a-name-of-20-letters", text)
    assert len(text) < len(names) <= LONGEST
