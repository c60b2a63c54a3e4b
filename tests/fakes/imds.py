"""An instance's metadata, version 2 alone, with a role's credentials."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.fakes.answers import answering

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

    def asked(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        """The answer to a request: a token to a PUT, all else to whoever shows one."""
        if request.command == "PUT":
            seconds = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if request.path != "/latest/api/token" or not seconds.isdigit():
                return 400, b""
            self.tokens.add(token := secrets.token_urlsafe())
            return 200, token.encode()
        if request.headers.get("X-aws-ec2-metadata-token") not in self.tokens:
            self.refused.append(request.path)
            return 401, b""
        text = self.answer(request.path)
        return (404, b"") if text is None else (200, text.encode())

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

    with answering(metadata.asked, address, port) as metadata.url:
        yield metadata
