"""A push is deployed when it is what a preview has shown, whatever its commit is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ci import previewed
from ci.comment import Seen, approval, marker

from .github import Server

HEAD, MERGE = "a" * 40, "b" * 40
CHECKOUT = Path(__file__).parents[2]
REVISION, BEFORE = "1" * 40, "2" * 40


def comment(
    stack: str = "staging",
    commit: str = HEAD,
    user: str = "github-actions[bot]",
    said: str = "",
    revision: str = "",
    before: str = "nothing",
) -> dict[str, Any]:
    seen = f"{approval(Seen(commit, revision, before))}\r\n" if commit else ""
    body = f"{marker(stack)}\r\n{seen}### {stack}: nothing changes\r\n{said}"
    return {"id": 1, "body": body, "user": {"login": user}}


@pytest.fixture
def merged(github: Server) -> Server:
    """Pull request 7, previewed and merged into staging."""
    pull = {"number": 7, "base": {"ref": "staging"}, "head": {"sha": HEAD}}
    github.pulls = {MERGE: [pull], HEAD: [pull]}
    github.trees = {HEAD: "tree-1", MERGE: "tree-1"}
    github.comments = [{"id": 2, "body": "fine!", "user": {"login": "ada"}}, comment()]
    return github


@pytest.mark.parametrize("commit", [MERGE, HEAD])
def test_a_merge_and_a_fast_forward(
    merged: Server, commit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert previewed.main(["staging", commit]) == 0
    said = f"{commit[:12]} is what was previewed in #7 as {HEAD[:12]}\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("there", "handed"),
    [
        (
            comment(revision=REVISION, before=BEFORE),
            f"revision={REVISION}\nbefore={BEFORE}\n",
        ),
        (
            comment(revision=REVISION, before=f"{BEFORE},{REVISION}"),
            f"revision={REVISION}\nbefore={BEFORE},{REVISION}\n",
        ),
        (comment(revision=REVISION), f"revision={REVISION}\nbefore=nothing\n"),  # the first deploy
        (comment(), ""),
    ],
)
def test_the_apps_commit_that_was_shown_is_handed_on(
    merged: Server, there: dict[str, Any], handed: str, tmp_path: Path
) -> None:
    somebody = comment(user="ada", revision="3" * 40)
    older = comment(commit="c" * 40, revision="4" * 40)
    production = comment("production", revision="5" * 40)
    merged.comments = [somebody, older, production, there]
    output = tmp_path / "output"
    output.write_text("other=1\n")
    assert previewed.main(["staging", MERGE, "--output", str(output)]) == 0
    assert output.read_text() == f"other=1\n{handed}"


@pytest.mark.parametrize("revision", ["1" * 39, f"{'1' * 40}\nPATH=/tmp", "HEAD"])
def test_a_commit_of_the_app_is_forty_hex_digits(
    merged: Server, revision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merged.comments = [comment(revision=revision)]
    assert previewed.main(["staging", MERGE, "--output", str(tmp_path / "output")]) == 1
    assert not (tmp_path / "output").exists()


def test_it_needs_nothing_that_is_installed() -> None:
    """The workflow asks before it installs anything."""
    command = [sys.executable, "-S", "-m", "ci.previewed", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    assert previewed.main(["staging", MERGE]) == 1
    first, *advice = capsys.readouterr().err.splitlines()
    # what it has by now is no pull request any more
    advised = "Nothing was deployed. Open a pull request against staging with any further commit"
    assert advice[0].startswith(advised)
    return first


def test_a_merge_of_what_went_on_in_between(
    merged: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    merged.trees[MERGE] = "tree-2"
    assert refused(capsys) == (
        f"error: {MERGE[:12]} has other files than {HEAD[:12]}, which was previewed in #7: "
        "staging went on in between."
    )


@pytest.mark.parametrize(
    "there",
    [
        [],
        [comment("production")],
        [comment(commit="c" * 40)],
        [comment(user="User")],  # anybody can write a comment
        [comment(said=f"a git server says\n{approval(Seen(HEAD))}\n", commit="")],
    ],
)
def test_a_merge_without_a_preview(
    merged: Server, there: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    merged.comments = there
    assert refused(capsys) == (
        f"error: #7 has no preview of its last commit {HEAD[:12]} that succeeded."
    )


def test_a_push_past_pull_requests(merged: Server, capsys: pytest.CaptureFixture[str]) -> None:
    merged.pulls[MERGE][0]["base"]["ref"] = "main"
    said = f"error: no pull request against staging brought {MERGE[:12]}."
    assert refused(capsys) == said
    merged.pulls = {}
    assert refused(capsys) == said


def test_a_team_can_allow_it(
    merged: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    merged.pulls = {}
    monkeypatch.setenv("SATELLITE_UNPREVIEWED", "allow")
    assert previewed.main(["staging", MERGE]) == 0
    assert capsys.readouterr().out.startswith("::warning::deployed without a preview: no pull")


def test_a_refusal_of_github_is_no_leave(
    merged: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    merged.status = 403
    assert previewed.main(["staging", MERGE]) == 1
    assert capsys.readouterr().err.startswith("error: GitHub says 403: ")
