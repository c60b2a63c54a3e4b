"""The pack under the real engine: a preview that breaks a rule fails, and says which one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import preview as preview_comment
from demo.failure import DemoError
from demo.stack import Stack
from lab.emulated_aws import emulated_aws
from lab.engine import environment
from tests.infra.conftest import LOGIN, LOGIN_PUBLIC, REVISION, SEED

pytestmark = pytest.mark.engine

PACK = Path(__file__).parents[2] / "policy"
ALLOWED = ("--policy-pack-config", str(PACK / "config.json"))


@pytest.fixture
def aws_url() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture
def stack(tmp_path: Path, aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack `production` with two instances, of which nothing is up."""
    variables = environment(tmp_path / "engine")
    variables |= {"AWS_ENDPOINT_URL": aws_url, "AWS_REGION": "us-east-1"}
    variables |= {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "logs").mkdir()
    made = Stack.copied(tmp_path / "project", tmp_path / "logs", "production")
    made.run("stack", "init")
    made.configure(
        {
            "satellite:app": "shop",
            "satellite:repository": "https://git.example.com/shop.git",
            "satellite:revision": REVISION,
            "satellite:public_key": LOGIN_PUBLIC,
            "satellite:count": "2",
            "satellite:ami": "ami-0123456789abcdef0",
            "satellite:ssh_cidrs[0]": "203.0.113.7/32",
            "satellite:processes.worker.quantity": "2",
        },
        {
            "satellite:private_key": LOGIN,
            "satellite:host_key_seed": SEED,
            "satellite:config.API_KEY": "https://user:canary@api.example.com",
        },
    )
    return made


def preview(stack: Stack, *options: str) -> set[tuple[str, str]]:
    """Policy and what it says, of each rule that is broken; the preview ends accordingly."""
    try:
        stack.run("preview", "--policy-pack", str(PACK), *options)
        failed = False
    except DemoError:
        failed = True
    log = max(stack.logs.iterdir(), key=lambda path: path.name).read_text()
    assert "satellite@v1.0.0" in log
    told = re.findall(r"- \[mandatory\]\s+(\S+) .*\n.*\n\s+(.*)\n", log)
    assert failed == bool(told), log
    return set(told)


def test_a_broken_rule_stops_the_preview(stack: Stack) -> None:
    public = (
        "has a public address in production: satellite:connect should be private, with subnet_ids"
    )
    assert preview(stack) == {
        ("no-public-address-in-production", f"worker-{n} {public}") for n in (1, 2)
    }
    assert preview(stack, *ALLOWED) == set()

    stack.configure(
        {"satellite:ssh_cidrs[0]": "0.0.0.0/0", "satellite:allow_ssh_from_anywhere": "true"}, {}
    )
    assert preview(stack, *ALLOWED) == {
        (
            "no-ssh-from-the-world",
            "ssh-from-0.0.0.0-0 opens SSH to 0.0.0.0/0: name the networks that need it",
        )
    }


def test_the_pull_requests_comment_says_what_is_broken(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stack.project)
    file = stack.project / "comment.md"
    pack = ["--", "--policy-pack", str(PACK)]
    assert preview_comment.main(["production", "--comment", str(file), *pack]) != 0
    public = (
        "has a public address in production: satellite:connect should be private, with subnet_ids"
    )
    assert file.read_text().splitlines()[:9] == [
        "<!-- satellite-preview: production -->",
        "### production: the preview failed",
        "",
        "```text",
        f"no-public-address-in-production: worker-1 {public}",
        f"no-public-address-in-production: worker-2 {public}",
        "```",
        "",
        f"- **2 hosts are added**: worker-1, worker-2, at `{REVISION}`",
    ]


def test_the_comment_warns_of_a_rule_that_is_advisory(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stack.project)
    file, config = stack.project / "comment.md", stack.project / "policy.json"
    rule = "no-public-address-in-production"
    config.write_text(json.dumps({rule: {"enforcementLevel": "advisory"}}))
    pack = ["--", "--policy-pack", str(PACK), "--policy-pack-config", str(config)]
    assert preview_comment.main(["production", "--comment", str(file), *pack]) == 0
    lines = file.read_text().splitlines()
    assert lines[1].startswith("### production: 2 hosts are added")
    assert lines[4].startswith(f"warning: {rule}: worker-1, worker-2: has a public address")
    assert lines[5] == "```"
