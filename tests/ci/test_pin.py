"""A commit is pinned where the app is in this very repository, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ci import pin
from demo.stack import Stack
from lab.engine import environment

COMMIT = "9a8b7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d"


@pytest.mark.parametrize(
    ("repository", "slug"),
    [
        ("git@github.com:Example/shop.git", "example/shop"),
        ("github.com:example/shop", "example/shop"),
        ("https://github.com/example/shop.git", "example/shop"),
        ("https://github.com/example/shop/", "example/shop"),
        ("ssh://git@github.com/example/shop.git", "example/shop"),
        ("ssh://git@github.com:22/example/shop.git", "example/shop"),
        ("git@gitlab.com:example/shop.git", ""),
        ("https://github.com.example.com/example/shop.git", ""),
        ("git@evil.example.com:github.com/example/shop.git", ""),
    ],
)
def test_a_repository_of_the_git_server(repository: str, slug: str) -> None:
    assert pin.slug(repository, "github.com") == slug


@pytest.mark.engine
@pytest.mark.parametrize(
    ("repository", "revision", "said"),
    [
        ("git@github.com:example/shop.git", COMMIT, f"pinned: staging runs {COMMIT}\n"),
        (
            "git@github.com:example/shop.git",
            "heroku",
            "not pinned: satellite:revision is heroku\n",
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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(tmp_path / "engine").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_REPOSITORY", "Example/shop")
    (tmp_path / "logs").mkdir()
    stack = Stack.copied(tmp_path / "project", tmp_path / "logs", "staging")
    monkeypatch.chdir(stack.project)
    stack.run("stack", "init")
    stack.run("config", "set", "satellite:repository", repository)
    if revision == "heroku":
        stack.run("config", "set", "satellite:revision", revision)
    assert pin.main(["staging", COMMIT]) == 0
    assert capsys.readouterr().out == said
    config = yaml.safe_load((stack.project / "Pulumi.staging.yaml").read_text())["config"]
    assert config.get("satellite:revision") == revision
