"""One comment for each stack, however often somebody pushes; on a server that is GitHub's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import pytest

from ci import publish

BODY = "<!-- satellite-preview: staging -->\n### staging: nothing changes\n"


class GitHub(BaseHTTPRequestHandler):
    """The comments of pull request 7 of example/shop, and what was asked to change them."""

    comments: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[tuple[str, str, Any]]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        url = urlparse(self.path)
        assert url.path == "/repos/example/shop/issues/7/comments"
        query = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        start = (query["page"] - 1) * query["per_page"]
        self._answer(self.comments[start : start + query["per_page"]])

    def do_POST(self) -> None:
        self._write()

    def do_PATCH(self) -> None:
        self._write()

    def _write(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked.append((self.command, self.path, json.loads(self.rfile.read(length))))
        self._answer({"html_url": "https://github.example.com/c/1"})

    def _answer(self, document: Any) -> None:
        assert self.headers["Authorization"] == "Bearer token-1"
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[GitHub]]:
    GitHub.comments, GitHub.asked, GitHub.status = [], [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "example/shop")
    monkeypatch.setenv("GITHUB_TOKEN", "token-1")
    yield GitHub
    server.shutdown()
    thread.join()
    server.server_close()


def put(folder: Path) -> int:
    file = folder / "comment.md"
    file.write_text(BODY)
    return publish.main([str(file), "--pull-request", "7"])


def test_the_first_one_is_made(github: type[GitHub], tmp_path: Path) -> None:
    github.comments.append({"id": 3, "body": "<!-- satellite-preview: production -->\nother"})
    assert put(tmp_path) == 0
    assert github.asked == [("POST", "/repos/example/shop/issues/7/comments", {"body": BODY})]


def test_later_it_is_updated_also_on_a_later_page(
    github: type[GitHub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.comments += [{"id": n, "body": f"> {BODY}"} for n in range(150)]
    github.comments.append({"id": 900, "body": BODY.replace("\n", "\r\n") + "old"})
    assert put(tmp_path) == 0
    assert github.asked == [("PATCH", "/repos/example/shop/issues/comments/900", {"body": BODY})]
    assert capsys.readouterr().out == "https://github.example.com/c/1\n"


def test_a_refusal_is_said_without_the_token(
    github: type[GitHub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.status = 403
    assert put(tmp_path) == 1
    assert capsys.readouterr().err == "error: GitHub says 403: []\n"


def test_nobody_there(
    github: type[GitHub],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    assert put(tmp_path) == 1
    assert capsys.readouterr().err.startswith("error: GitHub does not answer: ")
