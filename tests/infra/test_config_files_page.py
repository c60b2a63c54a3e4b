"""The examples of docs/config-files.md are settings that are accepted, and become right files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from satellite_infra.agent.config_files import render
from satellite_infra.deploy import config_vars
from satellite_infra.settings import validated

from .conftest import SECRET, stack_values

PAGE = Path(__file__).parents[2] / "docs/config-files.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
CONFIG = {
    "NEW_RELIC_LICENSE_KEY": "a: b # c",
    "NEW_RELIC_APP_NAME": "Shop; staging",
    "SENDGRID_USERNAME": "shop",
    "SENDGRID_PASSWORD": '#{exit} "x"',
    "DATABASE_URL": "postgres://app:a%20b@db/app?x=y",
    "CLIENT_CERTIFICATE": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
}


def rendered(example: str) -> dict[str, str]:
    """The files that an example declares, by path."""
    files = yaml.safe_load(example)["satellite:config_files"]
    values = {
        **stack_values(),
        "config": json.dumps(CONFIG),
        "config_files": json.dumps(files),
    }
    settings, problems = validated(values, SECRET & values.keys())
    assert problems == []
    vars_ = config_vars(settings)
    return {path: render(f.template, vars_) for path, f in settings.config_files.items()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_is_accepted_and_filled_in(example: str) -> None:
    for path, text in rendered(example).items():
        assert "{{" not in text
        if path.endswith(".yml"):
            assert list(yaml.safe_load(text))[-1] == "staging"


def test_the_files_hold_the_values() -> None:
    files = {path: text for example in EXAMPLES for path, text in rendered(example).items()}
    relic = yaml.safe_load(files["config/newrelic.yml"])["staging"]
    assert relic["license_key"] == CONFIG["NEW_RELIC_LICENSE_KEY"]
    database = yaml.safe_load(files["config/database.yml"])["staging"]
    assert database == {"url": CONFIG["DATABASE_URL"], "pool": 5}
    assert 'password: "\\#{exit} \\"x\\"",' in files["config/initializers/sendgrid.rb"]
    assert files["config/certs/client.pem"] == CONFIG["CLIENT_CERTIFICATE"] + "\n"


def test_the_environments_name_is_set_where_nothing_else_sets_it() -> None:
    values = {**stack_values(), "config": json.dumps({"RACK_ENV": "production"})}
    settings, _ = validated(values, SECRET & values.keys())
    assert config_vars(settings) == {"RAILS_ENV": "staging", "RACK_ENV": "production"}
