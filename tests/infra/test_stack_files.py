"""The files that people start from are complete, safe, and say what the code says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from satellite_infra.host_identity import host_identity
from satellite_infra.settings import Settings, validated

from .conftest import LOGIN, LOGIN_PUBLIC, SECRET, SEED

CHECKOUT = Path(__file__).parents[2]
OTHER = host_identity("another seed with more than 32 characters", "x")


def stack_file(name: str) -> dict[str, Any]:
    """The settings of a shipped file, as the engine would send them."""
    config = yaml.safe_load((CHECKOUT / f"Pulumi.{name}.yaml").read_text())["config"]
    ours = {k.removeprefix("satellite:"): v for k, v in config.items() if k != "aws:region"}
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in ours.items()}


@pytest.mark.parametrize("name", ["staging", "production"])
def test_only_keys_repository_and_image_are_left_to_set(name: str) -> None:
    values = {**stack_file(name), "environment": name}
    missing = {line.split(": ")[0].split(":")[1] for line in validated(values, frozenset())[1]}
    assert missing == {"ami", "host_key_seed", "private_key", "public_key", "repository"}
    values |= {
        "ami": "ami-0123456789abcdef0",
        "host_key_seed": SEED,
        "private_key": LOGIN,
        "public_key": LOGIN_PUBLIC,
        "repository": "git@github.com:you/app.git",
        "deploy_key": LOGIN,
    }
    settings, found = validated(values, SECRET)
    assert found == []
    assert settings.ssh_cidrs == ()


def test_the_project_file_gives_the_defaults_of_the_code_and_requires_nothing() -> None:
    declared = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["config"]
    for key, about in declared.items():
        assert about.keys() == {"description", "default"}
        default = Settings.model_fields[key].default
        assert about["default"] == (list(default) if isinstance(default, tuple) else default)
