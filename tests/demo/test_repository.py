"""The app's repository, against a bare one on disk."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from demo.failure import DemoError
from demo.report import APP
from demo.repository import CHANGE, Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    bare = tmp_path / "app.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(bare)], check=True)
    return Repository(tmp_path / "work", str(bare))


def git(repository: Repository, *args: str) -> str:
    command = ["git", "-C", repository.url, *args]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()


def test_the_example_app_is_published_whole(repository: Repository) -> None:
    revision = repository.publish()
    assert git(repository, "rev-parse", "main") == revision
    published = git(repository, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert published == sorted(path.name for path in APP.iterdir())
    assert repository.last_change() == f"{revision[:7]} The app"


def test_a_change_is_one_line_of_one_file(repository: Repository) -> None:
    old = repository.publish()
    new = repository.change()
    assert git(repository, "rev-parse", "main") == new
    assert git(repository, "diff", "--numstat", old, new) == f"1\t1\t{CHANGE[0]}"


def test_a_push_that_fails_says_why(repository: Repository) -> None:
    lost = Repository(repository.folder, f"{repository.url}-gone")
    with pytest.raises(DemoError) as caught:
        lost.publish()
    assert (
        caught.value.what == "`git push --quiet --set-upstream origin main` ended with status 128"
    )
    assert caught.value.why[0] == (f"fatal: '{lost.url}' does not appear to be a git repository")


def test_a_person_without_an_identity_commits_and_pushes_as_always(
    repository: Repository, tmp_path: Path
) -> None:
    old = repository.publish()
    (repository.folder / "Procfile").write_text("worker: exit 1\n", encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    for command in (["commit", "--quiet", "--all", "--message", "Broken"], ["push", "--quiet"]):
        subprocess.run(["git", *command], cwd=repository.folder, env=env, check=True)
    assert git(repository, "rev-parse", "main~1") == old
