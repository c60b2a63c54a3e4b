"""One comment for each stack, however often somebody pushes; on a server that is GitHub's API."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci import publish

from .github import Server

BOT = {"login": "github-actions[bot]"}
BODY = "<!-- satellite-preview: staging -->\n### staging: nothing changes\n"


def put(folder: Path) -> int:
    file = folder / "comment.md"
    file.write_text(BODY)
    return publish.main([str(file), "--pull-request", "7"])


def test_the_first_one_is_made(github: Server, tmp_path: Path) -> None:
    github.comments.append(
        {"id": 3, "body": "<!-- satellite-preview: production -->\nother", "user": BOT}
    )
    assert put(tmp_path) == 0
    assert github.asked == [("POST", "/repos/example/shop/issues/7/comments", {"body": BODY})]


def test_later_it_is_updated_also_on_a_later_page(
    github: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.comments += [{"id": n, "body": f"> {BODY}", "user": BOT} for n in range(150)]
    github.comments.append({"id": 800, "body": BODY, "user": {"login": "ada"}})
    github.comments.append({"id": 801, "body": BODY, "user": None})  # whose account is gone
    old = BODY.replace("\n", "\r\n") + "old"
    github.comments.append({"id": 900, "body": old, "user": BOT})
    assert put(tmp_path) == 0
    assert github.asked == [("PATCH", "/repos/example/shop/issues/comments/900", {"body": BODY})]
    assert capsys.readouterr().out == "https://github.example.com/c/1\n"


def test_a_refusal_is_said_without_the_token(
    github: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.status = 403
    assert put(tmp_path) == 1
    assert capsys.readouterr().err == "error: GitHub says 403: []\n"


def test_nobody_there(
    github: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    assert put(tmp_path) == 1
    assert capsys.readouterr().err.startswith("error: GitHub does not answer: ")
