"""The comment of a real preview is the one in docs/pull-requests.md; UPDATE_GOLDEN=1 writes it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import preview
from demo.failure import DemoError
from demo.stack import Stack
from lab.engine import environment
from tests.ci import simulated
from tests.infra.conftest import LOGIN, LOGIN_PUBLIC, REVISION, SEED

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs/pull-requests.md"
NEW = "9a8b7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d"
COMMIT = "4be1f0c2d3a495867768594a3b2c1d0e0f1e2d3c"
SECRETS = ("canary-old", "canary-new", "canary-legacy", "canary-smtp")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack `staging` of a copy of the program, which is the current folder."""
    for name, value in environment(tmp_path / "engine").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "logs").mkdir()
    made = Stack.copied(tmp_path / "project", tmp_path / "logs", "staging")
    monkeypatch.chdir(made.project)
    made.run("stack", "init")
    return made


@pytest.fixture
def refused() -> set[str]:
    """Words of commands that fail on hosts."""
    return set()


@pytest.fixture
def servers(tmp_path: Path, refused: set[str]) -> Iterator[tuple[int, str]]:
    with simulated.hosts(tmp_path / "hosts", refused) as found:
        yield found


def deploy(stack: Stack, servers: tuple[int, str], count: int) -> None:
    """That many hosts at the old commit."""
    port, key = servers
    hosts: dict[str, str] = {}
    for number in range(1, count + 1):
        where = f"satellite:hosts.worker-{number}"
        hosts |= {f"{where}.address": f"127.0.0.{number}", f"{where}.port": str(port)}
        hosts |= {f"{where}.host_key": key, f"{where}.user": "root"}
    stack.configure(
        {
            "satellite:app": "shop",
            "satellite:repository": "https://git.example.com/shop.git",
            "satellite:revision": REVISION,
            "satellite:public_key": LOGIN_PUBLIC,
            "satellite:max_unavailable": str(count),
            "satellite:processes.worker.quantity": "2",
            "satellite:processes.mailer.quantity": "1",
            **hosts,
        },
        {
            "satellite:private_key": LOGIN,
            "satellite:host_key_seed": SEED,
            "satellite:config.DATABASE_URL": "canary-old",
            "satellite:config.LEGACY_TOKEN": "canary-legacy",
        },
    )
    stack.run("up", "--yes", "--skip-preview")


def change(stack: Stack) -> None:
    """Config, formation and revision together, as one pull request does it."""
    stack.configure(
        {"satellite:revision": NEW, "satellite:processes.worker.quantity": "3"},
        {
            "satellite:config.DATABASE_URL": "canary-new",
            "satellite:config.SMTP_PASSWORD": "canary-smtp",
        },
    )
    stack.run("config", "rm", "--path", "satellite:config.LEGACY_TOKEN")


def written(stack: Stack, *options: str) -> tuple[int, str, str]:
    """The exit status of the preview, the comment, and all of it."""
    folder = stack.project.parent
    comment, whole = folder / "comment.md", folder / "whole.md"
    whole.unlink(missing_ok=True)
    files = ["--comment", str(comment), "--whole", str(whole), "--commit", COMMIT]
    status = preview.main(["staging", *files, *options])
    return status, comment.read_text(), whole.read_text()


def shown(count: int, text: str) -> str:
    """What the page shows for that many hosts; UPDATE_GOLDEN=1 has it show this text."""
    start, end = f"<!-- {count} hosts: written by a test -->\n", f"<!-- {count} hosts: end -->\n"
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_GOLDEN"):
        before, _, rest = page.partition(start)
        page = before + start + "\n" + text + "\n" + end + rest.partition(end)[2]
        PAGE.write_text(page, encoding="utf-8")
    return page.partition(start)[2].partition(end)[0].strip("\n") + "\n"


@pytest.mark.parametrize("count", [2, 50])
def test_the_comment_of_a_change_is_the_one_in_the_docs(
    stack: Stack, servers: tuple[int, str], count: int
) -> None:
    deploy(stack, servers, count)
    assert written(stack)[1].splitlines()[1:3] == [
        f"<!-- satellite-previewed: {COMMIT}; revision {REVISION} after {REVISION} -->",
        "### staging: nothing changes",
    ]
    change(stack)
    status, comment, whole = written(stack)
    assert status == 0
    assert comment == shown(count, comment)
    assert len(comment) < 64_000
    assert whole == comment
    assert [secret for secret in SECRETS if secret in comment] == []
    digests = re.findall(r"\b[0-9a-f]{16}\b", comment)
    assert digests == []


def test_a_lost_machine_gets_no_successor_before_its_jobs_are_given_back(
    stack: Stack, servers: tuple[int, str]
) -> None:
    """What has succeeded is asked of the engine itself."""
    deploy(stack, servers, 2)
    up = ("up", "--yes", "--skip-preview")
    stack.configure({"satellite:hosts.worker-2.lost": "true"}, {})
    stack.run(*up)
    jobs = "urn:pulumi:staging::satellite::command:remote:Command::worker-2-jobs"
    stack.run("state", "delete", "--yes", jobs)  # as after an update that failed at it
    successor = {"satellite:hosts.worker-2.machine": "2", "satellite:hosts.worker-2.lost": "false"}
    stack.configure(successor, {})
    status, comment, _ = written(stack)
    assert status == 1
    assert "satellite:hosts/worker-2: should stay lost, with the machine it had" in comment
    stack.configure(dict(zip(successor, ("1", "true"), strict=True)), {})
    stack.run(*up)
    stack.configure(successor, {})
    status, comment, _ = written(stack)
    assert status == 0
    assert "### staging: 1 host is no longer lost" in comment


def test_a_host_that_goes_and_one_that_is_lost(stack: Stack, servers: tuple[int, str]) -> None:
    deploy(stack, servers, 3)
    stack.run("config", "rm", "--path", "satellite:hosts.worker-2")
    stack.configure({"satellite:hosts.worker-3.lost": "true"}, {})
    status, comment, _ = written(stack)
    assert status == 0
    assert comment.splitlines()[2:6] == [
        "### staging: 1 host is declared lost, 1 host is removed",
        "",
        "- **1 host is declared lost** (NOT drained; what jobs it had are given back): worker-3",
        "- **1 host is removed** (drained first): worker-2",
    ]
    assert "**formation" not in comment
    assert "**config vars**" not in comment


def test_another_machine_behind_a_name(stack: Stack, servers: tuple[int, str]) -> None:
    deploy(stack, servers, 2)
    stack.configure({"satellite:hosts.worker-2.address": "127.0.0.9"}, {})
    status, comment, _ = written(stack)
    assert status == 0
    assert comment.split("```")[1].splitlines()[1:] == [
        "@@ worker-2 @@",
        "- address: 127.0.0.2",
        "+ address: 127.0.0.9",
    ]


def test_who_may_connect_is_no_change_of_what_hosts_run(
    stack: Stack, servers: tuple[int, str]
) -> None:
    deploy(stack, servers, 2)
    stack.configure({"satellite:ssh_cidrs[0]": "203.0.113.7/32"}, {})
    status, comment, _ = written(stack)
    assert status == 0
    assert comment.splitlines()[2] == "### staging: 2 hosts are only reached again"
    assert comment.split("```")[1].splitlines()[1:] == [
        "@@ reached again @@",
        "- ssh_cidrs: nobody",
        "+ ssh_cidrs: 203.0.113.7/32",
    ]
    said = stack.run("up", "--yes", "--skip-preview")
    assert "2 updated" in said  # as the comment says: no host is released to
    stack.configure({"satellite:packages[0]": "libpq-dev"}, {})
    assert written(stack)[1].count("it follows what is prepared\n") == 1


def test_what_was_only_tried_is_not_what_hosts_run(stack: Stack, servers: tuple[int, str]) -> None:
    deploy(stack, servers, 2)
    tried = {"satellite:revision": NEW, "satellite:hosts.worker-2.port": "1"}
    stack.configure({**tried, "satellite:reach_seconds": "1"}, {})
    with pytest.raises(DemoError):
        stack.run("up", "--yes", "--skip-preview")
    assert written(stack)[1].splitlines()[1:3] == [
        f"<!-- satellite-previewed: {COMMIT}; revision {NEW} after {REVISION} -->",
        "### staging: 2 hosts change, 0f1e2d3 → 9a8b7c6",
    ]


def test_a_release_after_a_deploy_that_failed_says_why_it_is_one(
    stack: Stack, servers: tuple[int, str], refused: set[str]
) -> None:
    deploy(stack, servers, 2)
    agent = stack.project / "satellite_infra/agent/flat.py"
    shipped = agent.read_text()
    agent.write_text(f"{shipped}# another one\n")
    stack.configure({"satellite:max_unavailable": "1"}, {})
    refused.add("of shop on worker-2: mailer")
    with pytest.raises(DemoError):
        stack.run("up", "--yes", "--skip-preview")
    refused.clear()
    assert written(stack)[1].split("```")[1].splitlines()[1:] == [
        "@@ release: update @@",
        "  nothing of its own changes: it did not come to its end before, and is run again",
    ]
    stack.configure({"satellite:ssh_cidrs[0]": "203.0.113.7/32"}, {})
    told = "2 then release only what did not come to its end before"
    assert told in written(stack)[1]
    refused.add("of shop on worker-1: mailer")  # everywhere: in its first batch
    stack.configure({"satellite:revision": NEW}, {})
    with pytest.raises(DemoError):
        stack.run("up", "--yes", "--skip-preview")
    refused.clear()
    stack.configure({"satellite:revision": REVISION}, {})
    assert ", or what was sent last did not come to its end\n" in written(stack)[1]


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")


@pytest.mark.usefixtures("aws")
def test_a_host_that_becomes_an_instance_is_another_machine(
    stack: Stack, servers: tuple[int, str]
) -> None:
    deploy(stack, servers, 2)
    stack.run("config", "rm", "--path", "satellite:hosts.worker-2")
    stack.configure(
        {
            "satellite:names[0]": "worker-2",
            "satellite:ami": "ami-0123456789abcdef0",
            "satellite:ssh_cidrs[0]": "203.0.113.7/32",
        },
        {},
    )
    status, comment, _ = written(stack)
    assert status == 0
    title = "1 host changes, 1 host is only reached again, 1 machine is replaced"
    assert comment.splitlines()[2] == f"### staging: {title}"
    assert comment.split("```")[1].splitlines()[1:4] == [
        "@@ worker-2 @@",
        "- address: 127.0.0.2",
        "+ address: (known when it is made)",
    ]


@pytest.mark.usefixtures("aws")
def test_fifty_new_machines_are_one_group(stack: Stack) -> None:
    stack.configure(
        {
            "satellite:app": "shop",
            "satellite:repository": "https://git.example.com/shop.git",
            "satellite:revision": REVISION,
            "satellite:public_key": LOGIN_PUBLIC,
            "satellite:count": "50",
            "satellite:ami": "ami-0123456789abcdef0",
            "satellite:ssh_cidrs[0]": "203.0.113.7/32",
            "satellite:processes.worker.quantity": "2",
        },
        {
            "satellite:private_key": LOGIN,
            "satellite:host_key_seed": SEED,
            "satellite:config.DATABASE_URL": "canary-old",
        },
    )
    status, comment, _ = written(stack)
    assert status == 0
    assert comment.splitlines()[2] == "### staging: 50 hosts are added, at 0f1e2d3"
    titles = re.findall("<summary>(.*)</summary>", comment)
    assert titles == ["50 hosts: worker-1 to worker-50", "beside the hosts"]
    assert "+ ami: ami-0123456789abcdef0\n" in comment
    assert "+ SecurityGroupIngressRule ssh-from-203.0.113.7-32: create\n" in comment
    assert [secret for secret in (*SECRETS, "PRIVATE KEY") if secret in comment] == []


def test_what_is_wrong_with_the_settings_comes_first(
    stack: Stack, servers: tuple[int, str]
) -> None:
    deploy(stack, servers, 1)
    stack.configure({"satellite:gate_seconds": "soon", "satellite:colour": "red"}, {})
    status, comment, _ = written(stack)
    assert status != 0
    lines = comment.splitlines()
    assert lines[:3] == [
        "<!-- satellite-preview: staging -->",
        "### staging: the preview failed",
        "",
    ]
    assert lines[3] == "```text"
    assert "2 problems in this stack's settings:" in lines[4]
    assert [line.strip() for line in lines[5:7]] == [
        "satellite:colour: unknown key",
        "satellite:gate_seconds: should be a whole number, got soon",
    ]


def test_another_app_is_refused_as_long_as_the_one_before_runs(
    stack: Stack, servers: tuple[int, str]
) -> None:
    deploy(stack, servers, 1)
    stack.configure({"satellite:app": "store"}, {})
    for _ in range(2):  # an update that was refused leaves the stack's outputs as they are
        status, comment, _ = written(stack)
        assert status != 0
        assert "satellite:app: should stay shop, whose workers would go on" in comment
        with pytest.raises(DemoError):
            stack.run("up", "--yes", "--skip-preview")
    stack.run("destroy", "--yes", "--skip-preview")
    assert written(stack)[0] == 0


def test_an_engine_that_tells_nothing_else_is_quoted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    stack.project.joinpath("Pulumi.staging.yaml").write_text("config: [\n")
    status, comment, _ = written(stack)
    assert status != 0
    assert comment.splitlines()[1:4] == ["### staging: the preview failed", "", "```text"]
    assert "error:" in comment


def test_a_stack_without_a_file_here_gets_none(stack: Stack) -> None:
    """As the demo's from a checkout: the CLI begins one, and the next `git add` takes it."""
    Path("Pulumi.staging.yaml").unlink()
    status, _, _ = written(stack)
    assert status
    assert list(Path().glob("Pulumi.*.yaml")) == []
