"""An instance's metadata, version 2 alone, with a role's credentials."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Metadata:
    """What an instance is told; without a role where `role` is empty."""

    id: str
    secret: str
    token: str
    role: str = "satellite-shop-staging-abcdef0"
    region: str = "us-east-1"
    url: str = ""
    tokens: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)  # paths asked for without a token

    def answer(self, path: str) -> str | None:
        """The text at that path, if there is one."""
        if path.startswith(ROLE) and not self.role:
            return None
        credentials = {"AccessKeyId": self.id, "SecretAccessKey": self.secret, "Token": self.token}
        return {
            ROLE: self.role,
            f"{ROLE}{self.role}": json.dumps({"Code": "Success", **credentials}),
            "/latest/meta-data/placement/region": self.region,
            "/latest/meta-data/services/domain": "amazonaws.com",
        }.get(path)


@contextmanager
def serving(metadata: Metadata, address: str = "127.0.0.1", port: int = 0) -> Iterator[Metadata]:
    """It answers while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            right = self.path == "/latest/api/token" and seconds.isdigit()
            token = secrets.token_urlsafe()
            metadata.tokens.add(token)
            self._say(token if right else None, 400)

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") not in metadata.tokens:
                metadata.refused.append(self.path)
                self._say(None, 401)
                return
            self._say(metadata.answer(self.path), 404)

        def _say(self, text: str | None, otherwise: int) -> None:
            body = (text or "").encode()
            self.send_response(otherwise if text is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer((address, port), Handler) as server:
        metadata.url = f"http://{address}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield metadata
        finally:
            server.shutdown()
            thread.join()
