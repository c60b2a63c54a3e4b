"""Which commands of a git client the server obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.git_server import parse


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    (tmp_path / "git/app.git").mkdir(parents=True)
    (tmp_path / "secret.git").mkdir()
    return tmp_path / "git"


@pytest.mark.parametrize("service", ["git-upload-pack", "git-receive-pack"])
def test_fetch_and_push(repositories: Path, service: str) -> None:
    assert parse(f"{service} '/app.git'", repositories) == (service, repositories / "app.git")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "no shell here"),
        ("bash -i", "no shell here"),
        ("git-upload-pack", "no shell here"),
        ("git-upload-archive '/app.git'", "no shell here"),
        ("git-upload-pack '/app.git' --x", "no shell here"),
        ("git-upload-pack '/nosuch.git'", "no repository '/nosuch.git'"),
        ("git-upload-pack '/../secret.git'", "no repository"),
        ("git-upload-pack '/app.git/..'", "no repository"),
        ("git-upload-pack 'unbalanced", "quotation"),
    ],
)
def test_nothing_else(repositories: Path, command: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(command, repositories)
