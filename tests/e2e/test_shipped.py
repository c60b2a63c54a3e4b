"""The stack files that people start from: complete after keys, repository and image are set."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import pytest

from demo.stack import CHECKOUT, Stack
from satellite_infra import keys
from satellite_infra.host_identity import host_identity
from tests.e2e.conftest import PLAIN_APP, AppRepository

pytestmark = [pytest.mark.lab, pytest.mark.e2e]


@pytest.mark.parametrize(("name", "hosts"), [("staging", 1), ("production", 2)])
def test_a_shipped_stack_file_needs_keys_repository_and_image(
    tmp_path: Path, name: str, hosts: int
) -> None:
    url = f"{os.environ['LAB_GIT_URL'].rpartition('/')[0]}/shipped.git"
    repository = AppRepository(tmp_path / "app", url)
    commit = repository.create(PLAIN_APP)
    repository.branch(name)
    (tmp_path / "logs").mkdir()
    stack = Stack.copied(tmp_path / "project", tmp_path / "logs", name=name)
    shutil.copy(CHECKOUT / f"Pulumi.{name}.yaml", stack.project)
    stack.run("stack", "init")
    login = host_identity(secrets.token_hex(32), "login").private
    known = Path(os.environ["LAB_GIT_KNOWN_HOSTS"]).read_text("utf-8").splitlines()
    stack.configure(
        {
            "satellite:public_key": keys.public_line(login),
            "satellite:repository": url,
            **{f"satellite:known_hosts[{n}]": line for n, line in enumerate(known)},
            "satellite:ami": os.environ["LAB_AMI"],
        },
        {
            "satellite:private_key": login,
            "satellite:host_key_seed": secrets.token_hex(32),
            "satellite:deploy_key": Path(os.environ["LAB_DEPLOY_KEY"]).read_text("utf-8"),
        },
    )
    shown = stack.run("preview", "--diff")
    assert shown.count("aws:ec2/instance:Instance: (create)") == hosts
    assert f'"{commit}"' in shown
    assert "satellite:ssh_cidrs is empty: no instance can be reached over SSH" in shown
    assert "error" not in shown
    stack.run("stack", "rm", "--yes")
