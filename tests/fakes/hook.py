"""An HTTP sink of JSON that may fail first; `answering` serves it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass
class Hook:
    """Answers with `answers` first, then 200; 0 is an answer that is cut off."""

    answers: list[int] = field(default_factory=list)
    asked: int = 0
    heard: list[Any] = field(default_factory=list)  # what it took

    def __call__(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        text = request.rfile.read(int(request.headers["Content-Length"])).decode()
        self.asked += 1
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.heard.append(json.loads(text))
        return status, b"ok"
