"""A server that answers as GitHub's API does, for repository example/shop."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse


@dataclass
class Server:
    """What there is, and what was asked to change it."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    """Of pull request 7."""
    pulls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """A commit -> the pull requests that brought it."""
    trees: dict[str, str] = field(default_factory=dict)
    """A commit -> its tree."""
    names: dict[str, str] = field(default_factory=dict)
    """The name of a repository, new or old -> the one that it has now."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        """The document below the repository; KeyError where there is none."""
        parts = path.strip("/").split("/")
        if parts == ["issues", "7", "comments"]:
            return self.comments
        if parts[0] == "commits" and parts[2:] == ["pulls"]:
            return self.pulls.get(parts[1], [])
        assert parts[:2] == ["git", "commits"], path
        return {"sha": parts[2], "tree": {"sha": self.trees[parts[2]]}}


@contextmanager
def github(server: Server) -> Iterator[str]:
    """Its URL; it ends with the context."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            if not url.path.startswith("/repos/example/shop/"):
                self._answer_about(url.path.removeprefix("/repos/"))
                return
            document = server.get(url.path.removeprefix("/repos/example/shop"))
            if isinstance(document, list):
                query = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
                start = (query["page"] - 1) * query["per_page"]
                document = document[start : start + query["per_page"]]
            self._answer(document)

        def do_POST(self) -> None:
            self._write()

        def do_PATCH(self) -> None:
            self._write()

        def _write(self) -> None:
            length = int(self.headers["Content-Length"])
            server.asked.append((self.command, self.path, json.loads(self.rfile.read(length))))
            self._answer({"html_url": "https://github.example.com/c/1"})

        def _answer_about(self, name: str) -> None:
            now = server.names.get(name)
            if now in (None, name):
                self._answer({"full_name": now}, 200 if now else 404)
                return
            self.send_response(301)
            self.send_header("Location", f"/repos/{now}")
            self.end_headers()

        def _answer(self, document: Any, status: int = 200) -> None:
            assert self.headers["Authorization"] == "Bearer token-1"
            self.send_response(status if server.status == 200 else server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()
