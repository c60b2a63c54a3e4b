"""Somebody's own unit test of a stack: Pulumi's mocks as its documentation has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import config as pulumi_config

from satellite_infra.configuration import load
from satellite_infra.stack import satellite
from satellite_infra.testing import run
from tests.infra.conftest import SECRET
from tests.infra.test_program import ALERTS, changed
from tests.infra.test_settings import MONIT, OTHER

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = "tests/stacks/test_production.py"
OWN = f"""\
  satellite:repository: git@github.com:example/shop.git
  satellite:ami: ami-0123456789abcdef0
  satellite:private_key:
    secure: v1:Zm9v:YmFy
  satellite:public_key: {OTHER.public}
  satellite:host_key_seed:
    secure: v1:Zm9v:YmFy
  satellite:deploy_key:
    secure: v1:Zm9v:YmFy
encryptionsalt: v1:Zm9v:YmFy
"""
"""What README, and `make keys`, make of the shipped file."""


class Textbook(pulumi.runtime.Mocks):
    """Nothing of what AWS computes."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        return f"{args.name}_id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return {}


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"connect": "public", "auto_recover": "true", "max_unavailable": "2"},
        {"connect": "public", "queue": {"delayed_job": True}, **ALERTS},
        {"ami": None, "ami_lookup": {"owner": "self", "name": "debian-*"}},
        {"hosts": {"worker-1": {"lost": True}}, "roll": ["worker-2"], "release_phase": "true"},
    ],
    ids=str,
)
def test_the_textbooks_mocks_do(values: dict[str, Any], preview: bool) -> None:
    pulumi.runtime.set_mocks(Textbook(), "satellite", "staging", preview)
    given = changed(**values)
    pulumi_config.set_all_config(
        {f"satellite:{key}": value for key, value in given.items()},
        [f"satellite:{key}" for key in SECRET & given.keys()],
    )
    found: dict[str, Any] = {}

    def program() -> pulumi.Output[None]:
        outputs = satellite(load())
        return pulumi.Output.all(**outputs).apply(found.update)

    try:
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    finally:
        pulumi_config.set_all_config({}, [])
    if preview:  # what only AWS knows is not known yet
        return
    assert [host["machine"] for host in found["hosts"]] == ["worker-1_id", "worker-2_id"]
    assert not [host for host in found["hosts"] if "None" in host["console"]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout with the test of the page where the page says, and its `.venv`."""
    page = (CHECKOUT / "docs/unit-tests.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    for name in ("satellite_infra", "pyproject.toml", "Pulumi.yaml", "tests/conftest.py"):
        there, here = CHECKOUT / name, tmp_path / name
        here.parent.mkdir(exist_ok=True)
        shutil.copytree(there, here) if there.is_dir() else shutil.copyfile(there, here)
    (tmp_path / "tests/stacks").mkdir()
    (tmp_path / EXAMPLE).write_text(example)
    (tmp_path / ".venv").symlink_to(CHECKOUT / ".venv")
    return tmp_path


def typed(folder: Path, *words: str) -> tuple[int, str]:
    """How a command ends there, and what it prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_what_the_docs_show_works_and_can_fail(copy: Path) -> None:
    shipped = (CHECKOUT / "Pulumi.production.yaml").read_text("utf-8")
    for text, status, said in (
        (shipped + OWN, 0, "1 passed"),
        (
            shipped.replace("protect: true", "protect: false") + OWN,
            1,
            "test_production - assert False",
        ),
        (shipped, 1, "satellite:repository: is missing"),
    ):
        (copy / "Pulumi.production.yaml").write_text(text)
        ended, out = typed(copy, ".venv/bin/pytest", "tests/stacks")
        assert (ended, said in out) == (status, True), out
    for linter in (["mypy"], ["ruff", "check"], ["ruff", "format", "--check"]):
        # here, where mypy has read all that the example needs
        ended, out = typed(CHECKOUT, f".venv/bin/{linter[0]}", *linter[1:], str(copy / EXAMPLE))
        assert ended == 0, out


HIDDEN = {"secure": "v1:Zm9v:YmFy"}
LOOKS = {"app": "shop", "names": ["DATABASE_URL"], "config": "inherit", "rotate": 60}
TEMPLATE = {"config/a.yml": {"template": "{{ DATABASE_URL }} {{ RAILS_ENV }} {{ '{{' }}"}}


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"ssh_agent": True, "private_key": None},
        {"next_private_key": HIDDEN, "next_public_key": OTHER.public},
        {"release_webhook": HIDDEN, "alert_urls": HIDDEN},
        {"alert_urls": [HIDDEN, HIDDEN, "https://alerts.example.com/open"]},
        {"heroku": LOOKS, "heroku_api_token": HIDDEN, "heroku_host_token": HIDDEN},
        {"heroku": json.dumps(LOOKS), "heroku_api_token": HIDDEN, "heroku_host_token": HIDDEN}
        | {"config_files": TEMPLATE, "revision": "heroku"},
        {"config": HIDDEN, "config_files": TEMPLATE},
        {"config": {"DATABASE_URL": HIDDEN, "N": 5, "FLAG": "on"}, "config_files": TEMPLATE},
        {"config_files": {"config/a.yml": {"template": HIDDEN}}},
        {"config_files": HIDDEN, "tags": None},
        {"monit": {**MONIT, "smtp_user": "ops"}, "monit_password": HIDDEN},
        {"release_phase": "on", "packages": '["libpq-dev"]'},
    ],
    ids=str,
)
def test_each_secret_has_a_stand_in_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any]
) -> None:
    keys = {"private_key": HIDDEN, "host_key_seed": HIDDEN, "deploy_key": HIDDEN}
    shipped = yaml.safe_load((CHECKOUT / "Pulumi.production.yaml").read_text("utf-8"))["config"]
    own = {"repository": "git@github.com:you/app.git", "ami": "ami-0123456789abcdef0", **keys}
    ours = {f"satellite:{key}": value for key, value in {**own, **declared}.items()}
    written = {"config": {**shipped, "aws:secretKey": HIDDEN, **ours}}
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "Pulumi.production.yaml").write_text(yaml.safe_dump(written))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for _ in range(2):
        made = run("production")
        assert list(made.resources["aws:ec2/instance:Instance"]) == ["worker-1", "worker-2"]
        assert made.outputs["revision"] == 40 * "0"
    assert pulumi_config.CONFIG.get() == {}


def test_what_is_wrong_is_said_as_a_preview_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not there: run the tests in"):
        run("production")
    (tmp_path / "Pulumi.yaml").touch()
    text = "config:\n  satellite:heroku: {apps: shop}\n  satellite:config: ['{{ A }}']\n"
    (tmp_path / "Pulumi.production.yaml").write_text(text)
    with pytest.raises(pulumi.RunError) as caught:
        run("production")
    for said in ("heroku/apps: unknown key, did you mean app?", "config: should be a map"):
        assert f"  satellite:{said}" in str(caught.value)


def test_what_the_projects_file_sets_counts_as_pulumi_has_it(copy: Path) -> None:
    stack, project = copy / "Pulumi.production.yaml", copy / "Pulumi.yaml"
    shipped = (CHECKOUT / "Pulumi.production.yaml").read_text("utf-8")
    stack.write_text(shipped.replace("  satellite:tags: {}\n", "") + OWN)
    text = project.read_text()
    project.write_text(f"{text}  satellite:tags:\n    value: {{team: jobs}}\n")
    test = copy / EXAMPLE
    test.write_text(
        "from satellite_infra.testing import run\n\n\n"
        "def test_production() -> None:\n"
        "    instances = run('production').resources['aws:ec2/instance:Instance']\n"
        "    assert {one['tags']['team'] for one in instances.values()} == {'jobs'}\n"
    )
    assert typed(copy, ".venv/bin/pytest", "tests/stacks")[0] == 0
    stack.write_text(shipped + OWN + "---\n")
    ended, out = typed(copy, ".venv/bin/pytest", "tests/stacks")
    assert (ended, "Pulumi.production.yaml is no YAML: line" in out) == (1, True), out
