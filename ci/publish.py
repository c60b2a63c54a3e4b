"""Put a comment on a pull request; one that is there already with the same first line is updated.

Usage: python3 -m ci.publish FILE --pull-request NUMBER

The repository and the token come from GITHUB_REPOSITORY and GITHUB_TOKEN, the API from
GITHUB_API_URL, as a runner has them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 30.0  # seconds for one answer
PAGE = 100  # comments of one answer, the most that there can be


@dataclass(frozen=True)
class Conversation:
    """The comments of one pull request."""

    api: str
    repository: str
    number: int
    token: str = field(repr=False)

    def put(self, body: str) -> str:
        """Update the comment that begins with the same line, or make it; its URL."""
        first = body.partition("\n")[0]
        issues = f"/repos/{self.repository}/issues"
        for there in self._comments(f"{issues}/{self.number}/comments"):
            if there["body"].partition("\n")[0].rstrip("\r") == first:
                return str(
                    self._call("PATCH", f"{issues}/comments/{there['id']}", body)["html_url"]
                )
        return str(self._call("POST", f"{issues}/{self.number}/comments", body)["html_url"])

    def _comments(self, path: str) -> Iterator[dict[str, Any]]:
        page = 1
        while found := self._call("GET", f"{path}?per_page={PAGE}&page={page}"):
            yield from found
            page += 1

    def _call(self, method: str, path: str, body: str | None = None) -> Any:
        request = urllib.request.Request(
            self.api + path,
            method=method,
            data=None if body is None else json.dumps({"body": body}).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)


def main(arguments: list[str]) -> int:
    """0 when the comment is there; else 1 and one message on stderr."""
    parser = argparse.ArgumentParser(prog="ci.publish", description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pull-request", type=int, required=True)
    parsed = parser.parse_args(arguments)
    conversation = Conversation(
        os.environ.get("GITHUB_API_URL", "https://api.github.com"),
        os.environ["GITHUB_REPOSITORY"],
        parsed.pull_request,
        os.environ["GITHUB_TOKEN"],
    )
    try:
        print(conversation.put(parsed.file.read_text(encoding="utf-8")))
    except urllib.error.HTTPError as error:
        said = error.read(500).decode("utf-8", "replace")
        print(f"error: GitHub says {error.code}: {said}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: GitHub does not answer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
