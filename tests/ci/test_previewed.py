"""A push is deployed when it is what a preview has shown, whatever its commit is called."""

from __future__ import annotations

from typing import Any

import pytest

from ci import previewed
from ci.comment import approval, marker

from .github import Server

HEAD, MERGE = "a" * 40, "b" * 40


def comment(
    stack: str = "staging", commit: str = HEAD, user: str = "github-actions[bot]", said: str = ""
) -> dict[str, Any]:
    seen = f"{approval(commit)}\r\n" if commit else ""
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


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    assert previewed.main(["staging", MERGE]) == 1
    first, *advice = capsys.readouterr().err.splitlines()
    assert advice[0].startswith("Nothing was deployed. Open a pull request against staging")
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
        [comment(said=f"a git server says\n{approval(HEAD)}\n", commit="")],
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
