"""A commit is pinned where the app is in this very repository, or where a preview has shown it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci import pin
from demo.failure import DemoError
from demo.stack import Stack
from lab.engine import environment
from tests.programs import executable

from .github import Server
from .test_comment import REMOTE, text

COMMIT = "9a8b7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d"
OTHER = "git@github.com:example/other.git"
BEFORE, SHOWN, LATER = "1" * 40, "2" * 40, "3" * 40


@pytest.mark.parametrize(
    ("repository", "slug"),
    [
        ("git@github.com:Example/shop.git", "example/shop"),
        ("github.com:example/shop", "example/shop"),
        ("https://github.com/example/shop.git", "example/shop"),
        ("https://github.com/example/shop/", "example/shop"),
        ("ssh://git@github.com/example/shop.git", "example/shop"),
        ("ssh://git@github.com:22/example/shop.git", "example/shop"),
        ("ssh://git@ssh.github.com:443/example/shop.git", "example/shop"),
        ("git@ssh.github.com:example/shop.git", "example/shop"),
        ("ssh://git@sshxgithub.com/example/shop.git", ""),
        ("https://github.com/example/shop/commits", ""),
        ("https://github.com/example", ""),
        ("git@gitlab.com:example/shop.git", ""),
        ("https://github.com.example.com/example/shop.git", ""),
        ("git@evil.example.com:github.com/example/shop.git", ""),
    ],
)
def test_a_repository_of_the_git_server(repository: str, slug: str) -> None:
    assert pin.slug(repository, "github.com") == slug


def test_only_githubs_own_server_has_another_name() -> None:
    assert pin.slug("ssh://git@ssh.git.example.com/example/shop.git", "git.example.com") == ""


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("example/shop", True),
        ("example/old", True),
        ("example/other", False),
        ("example/older", False),  # another one by now
        ("example/unseen", False),
        ("", False),
    ],
)
def test_this_repository_by_a_name_that_it_had_before(
    name: str, ours: bool, github: Server
) -> None:
    github.names = {
        "example/old": "Example/shop",
        "Example/shop": "Example/shop",
        "example/other": "example/other",
        "example/older": "example/other",
    }
    assert pin.is_ours(name) == ours


@pytest.mark.parametrize(
    ("status", "headers"),
    [(500, {}), (403, {"X-RateLimit-Remaining": "0"}), (403, {"Retry-After": "60"}), (429, {})],
)
def test_a_repository_is_no_other_one_because_github_does_not_answer(
    status: int, headers: dict[str, str], github: Server
) -> None:
    github.status, github.headers = status, headers
    with pytest.raises(OSError, match=str(status)):
        pin.is_ours("example/old")


def test_without_a_token_the_names_decide(
    github: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    github.names = {"example/old": "example/shop", "example/shop": "example/shop"}
    assert pin.is_ours("example/old")
    monkeypatch.delenv("GITHUB_TOKEN")
    assert not pin.is_ours("example/old")
    assert pin.is_ours("example/shop")
    assert capsys.readouterr().out.startswith("::warning::without GITHUB_TOKEN")


@pytest.mark.engine
@pytest.mark.parametrize(
    ("repository", "revision", "said"),
    [
        ("git@github.com:example/shop.git", COMMIT, f"pinned: staging runs {COMMIT}\n"),
        ("git@github.com:example/old.git", COMMIT, f"pinned: staging runs {COMMIT}\n"),
        (
            "git@github.com:example/shop.git",
            "heroku",
            "not pinned: satellite:revision of the stack file is heroku\n",
        ),
        (
            "git@github.com:example/shop.git",
            LATER,  # a rollback that was committed
            f"not pinned: satellite:revision of the stack file is {LATER[:12]}\n",
        ),
        (
            "git@github.com:example/other.git",
            None,
            "not pinned: satellite:repository is git@github.com:example/other.git, "
            "not this repository\n",
        ),
    ],
)
def test_in_the_stack_file(
    repository: str,
    revision: str | None,
    said: str,
    stack: Stack,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.run("config", "set", "satellite:repository", repository)
    if revision and revision != COMMIT:
        stack.run("config", "set", "satellite:revision", revision)
    assert pin.main(["staging", COMMIT]) == 0
    assert capsys.readouterr().out == said
    assert pinned(stack) == revision


@pytest.fixture
def stack(tmp_path: Path, github: Server, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack `staging` of a copy of the program, which is the current folder."""
    for name, value in environment(tmp_path / "engine").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_REPOSITORY", "Example/shop")
    (tmp_path / "logs").mkdir()
    github.names = {"example/old": "Example/shop", "Example/shop": "Example/shop"}
    made = Stack.copied(tmp_path / "project", tmp_path / "logs", "staging")
    monkeypatch.chdir(made.project)
    made.run("stack", "init")
    return made


def pinned(stack: Stack) -> Any:
    """The revision in the stack file."""
    file = stack.project / "Pulumi.staging.yaml"
    return yaml.safe_load(file.read_text())["config"].get("satellite:revision")


@pytest.fixture
def elsewhere(stack: Stack) -> Stack:
    """One whose app is in a repository of its own."""
    stack.run("config", "set", "satellite:repository", OTHER)
    return stack


def runs(stack: Stack, *revisions: str) -> None:
    """Have a host for each of these commits, as the state knows them."""
    urn = "urn:pulumi:staging::satellite::"
    root = {"type": "pulumi:pulumi:Stack", "urn": f"{urn}pulumi:pulumi:Stack::satellite-staging"}
    releases = [
        {
            "urn": f"{urn}{REMOTE}::worker-{number}-release",
            "type": REMOTE,
            "custom": True,
            "id": str(number),
            "inputs": {"create": text(f"worker-{number}", {"revision": revision})},
        }
        for number, revision in enumerate(revisions, 1)
    ]
    exported = json.loads(stack.run("stack", "export"))
    exported["deployment"]["resources"] = [root, *releases]
    stack.run("stack", "import", stdin=json.dumps(exported))


def pins(previewed: str, before: str) -> int:
    return pin.main(["staging", COMMIT, "--previewed", previewed, "--before", before])


@pytest.mark.engine
def test_what_a_preview_has_shown_of_an_app_elsewhere(
    elsewhere: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pins(SHOWN, "nothing") == 0  # the first deploy
    assert pinned(elsewhere) == SHOWN
    assert capsys.readouterr().out == f"pinned: staging runs {SHOWN}\n"


@pytest.mark.engine
def test_it_is_pinned_while_nobody_else_has_deployed(
    elsewhere: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(elsewhere, LATER)
    assert pins(SHOWN, BEFORE) == 1
    stale = (
        f"staging runs {LATER[:12]} by now, and what was previewed is {BEFORE[:12]} → {SHOWN[:12]}"
    )
    assert capsys.readouterr().err == f"error: {stale}.\n{pin.ADVICE}\n"
    monkeypatch.setenv("SATELLITE_UNPREVIEWED", "allow")
    assert pins(SHOWN, BEFORE) == 0
    assert capsys.readouterr().out == f"::warning::not pinned: {stale}\n"
    assert pinned(elsewhere) is None
    assert pins(LATER, BEFORE) == 0  # the same deploy once more
    assert pinned(elsewhere) == LATER


@pytest.mark.engine
def test_what_others_have_tried_is_not_what_hosts_run(
    elsewhere: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stack's outputs are those of the last update, whether it has failed or not."""
    (elsewhere.project / "__main__.py").write_text(
        f"import pulumi\npulumi.export('revision', {LATER!r})\nraise pulumi.RunError('no')\n"
    )
    with pytest.raises(DemoError):
        elsewhere.run("up", "--yes", "--skip-preview")
    runs(elsewhere, BEFORE, BEFORE)
    assert pins(SHOWN, BEFORE) == 0
    assert pinned(elsewhere) == SHOWN
    elsewhere.run("config", "rm", "satellite:revision")
    # it came through on a host
    runs(elsewhere, BEFORE, LATER)
    assert pins(SHOWN, BEFORE) == 1
    assert f"runs {BEFORE[:12]}, {LATER[:12]} by now" in capsys.readouterr().err
    assert pins(SHOWN, f"{BEFORE},{LATER}") == 0  # and was seen there


@pytest.mark.engine
def test_an_app_elsewhere_whose_commit_nobody_has_shown(
    elsewhere: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pins("", "") == 0
    said = capsys.readouterr().out
    assert said.endswith(", not this repository, and no preview has shown its commit\n")
    assert pinned(elsewhere) is None
    elsewhere.run("config", "set", "satellite:revision", LATER)
    assert pins(SHOWN, LATER) == 0
    said = f"not pinned: satellite:revision of the stack file is {LATER[:12]}\n"
    assert capsys.readouterr().out == said
    assert pinned(elsewhere) == LATER


def test_nothing_is_pinned_where_github_does_not_say_whose_it_is(
    github: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = json.dumps({"satellite:repository": {"value": OTHER}})
    executable(tmp_path / "pulumi", f"#!/bin/sh\necho '{known}'\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    github.status = 500
    assert pins(SHOWN, BEFORE) == 1
    assert capsys.readouterr().err.startswith("error: GitHub says 500: ")
