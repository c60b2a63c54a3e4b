"""Heroku's Platform API as far as Satellite asks it, with the weather that it has on bad days."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "application/vnd.heroku+json; version=3"
TOKEN = "HRKU-canary-0123456789abcdef"
HTML = b"<!DOCTYPE html><title>Application error</title>"


@dataclass(frozen=True)
class Weather:
    """What becomes of one request instead of its answer."""

    status: int = 0  # an error of the API; 0: none
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""  # instead of the API's own
    half: bool = False  # the connection ends in the middle of the body
    silent: bool = False  # no answer until the server ends
    gone: bool = False  # the connection ends without an answer
    drip: str = ""  # `headers` or `body`: one byte of them now and then, until the server ends


@dataclass
class HerokuApp:
    """One app: config vars, releases (oldest first), the commits of its slugs."""

    config: dict[str, str] = field(default_factory=dict)
    releases: list[dict[str, Any]] = field(default_factory=list)
    slugs: dict[str, str | None] = field(default_factory=dict)
    builds: list[dict[str, Any]] = field(default_factory=list)  # newest first

    def release(self, commit: str | None, status: str = "succeeded") -> str:
        """A push of that commit (None: without one); a failed one does not become current."""
        slug = str(uuid.uuid4())
        self.slugs[slug] = commit
        self._add({"id": slug}, f"Deploy {str(commit)[:8]}", status)
        return slug

    def build(self, commit: str, status: str = "pending") -> None:
        """A build of that commit, which somebody has begun."""
        self.builds.insert(0, {"status": status, "source_blob": {"version": commit}})

    def set(self, status: str = "succeeded", /, **config: str) -> None:
        """Other values; that is a release, too, of the same slug."""
        self.config.update(config)
        current = [release for release in self.releases if release["current"]]
        self._add(current[-1]["slug"] if current else None, "Set config vars", status)

    def _add(self, slug: dict[str, str] | None, description: str, status: str) -> None:
        if status == "succeeded":
            for other in self.releases:
                other["current"] = False
        self.releases.append(
            {
                "id": str(uuid.uuid4()),
                "version": len(self.releases) + 1,
                "description": description,
                "slug": slug,
                "status": status,
                "current": status == "succeeded",
                "created_at": "2012-01-01T12:00:00Z",
                "user": {"id": str(uuid.uuid4()), "email": "ada@example.com"},
            }
        )


@dataclass
class Heroku:
    """The whole platform; `weather` is for the next requests, one each, in order."""

    apps: dict[str, HerokuApp] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    weather: list[Weather] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # paths
    page: int = 100  # releases in one answer, at most

    def answer(self, path: str, authorization: str, range_: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers and document of one GET."""
        if authorization.removeprefix("Bearer ") not in self.tokens:
            return 401, {}, {"id": "unauthorized", "message": "Invalid credentials provided."}
        parts = path.strip("/").split("/")
        app = self.apps.get(parts[1]) if parts[0] == "apps" and len(parts) > 2 else None
        if app is None:
            about = {"id": "not_found", "resource": "app", "message": "Couldn't find that app."}
            return 404, {}, about
        if parts[2:] == ["config-vars"]:
            return 200, {}, app.config
        if parts[2:] == ["releases"]:
            return self._releases(app, range_)
        if parts[2:] == ["builds"]:
            return 200, {}, app.builds
        if parts[2] == "slugs" and parts[3] in app.slugs:
            slug: dict[str, Any] = {
                "id": parts[3],
                "commit": app.slugs[parts[3]],
                "process_types": {},
            }
            return 200, {}, {**slug, "blob": {"method": "get", "url": "https://s3.example.com/x"}}
        return 404, {}, {"id": "not_found", "message": "The requested API endpoint was not found."}

    def _releases(self, app: HerokuApp, range_: str) -> tuple[int, dict[str, str], Any]:
        """As Heroku pages: `Range: version ..; order=desc, max=N`, and `Next-Range` for more."""
        newest = app.releases[::-1] if "order=desc" in range_ else app.releases
        first = range_.partition("version ")[2].partition("..")[0].strip("] ")
        rest = [r for r in newest if not first or r["version"] < int(first)]
        shown, more = rest[: self.page], len(rest) > self.page
        headers = {}
        if more:
            headers["Next-Range"] = (
                f"version ]{shown[-1]['version']}..; order=desc, max={self.page}"
            )
        return 206 if more else 200, headers, shown


@contextmanager
def serving(heroku: Heroku, address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Its URL; it ends with the context."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heroku.asked.append(self.path)
            weather = heroku.weather.pop(0) if heroku.weather else Weather()
            if weather.silent:
                ending.wait()
            if weather.silent or weather.gone:
                return
            if weather.drip:
                self._drip(weather.drip)
                return
            headers = {name: self.headers.get(name, "") for name in ("Authorization", "Range")}
            status, more, document = heroku.answer(self.path, *headers.values())
            if self.headers.get("Accept") != VERSION:  # what it says of a version that is none
                status, document = 404, {"id": "not_found", "message": "No such version."}
            if weather.status:
                status, more, document = weather.status, weather.headers, {"id": "error"}
            body = weather.body or json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"RateLimit-Remaining": "4500", **more}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if weather.half else body)

        def _drip(self, what: str) -> None:
            begin = b"HTTP/1.1 200 OK\r\nX: " if what == "headers" else b"HTTP/1.1 200 OK\r\n\r\n"
            self.wfile.write(begin)
            with contextlib.suppress(OSError):  # nobody listens any more
                while not ending.wait(0.05):
                    self.wfile.write(b"x")

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((address, port), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://{address}:{http.server_port}"
        finally:
            ending.set()
            http.shutdown()
            thread.join()
