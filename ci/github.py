"""GitHub's REST API, as far as the workflows need it, of the repository that a runner works for."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 30.0  # seconds for one answer
BOT = "github-actions[bot]"
"""Whose comments a workflow writes with its own token."""
PAGE = 100  # entries of one answer, the most that there can be


class OutsideError(OSError):
    """This is no step of a workflow; the text says what it lacks."""


@dataclass(frozen=True)
class GitHub:
    """One repository; OSError (HTTPError, where it answers) when it does not do what is asked."""

    api: str
    repository: str
    token: str = field(repr=False)

    @classmethod
    def of_runner(cls) -> GitHub:
        """The one of GITHUB_REPOSITORY, with GITHUB_TOKEN and GITHUB_API_URL."""
        return cls(
            os.environ.get("GITHUB_API_URL", "https://api.github.com"),
            of_step("GITHUB_REPOSITORY"),
            of_step("GITHUB_TOKEN"),
        )

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """What it answers; `path`: below the repository."""
        request = urllib.request.Request(
            f"{self.api}/repos/{self.repository}{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"what came is cut off, or not of its API: {error!r}") from None

    def all(self, path: str) -> Iterator[dict[str, Any]]:
        """The entries of a list, whatever its length."""
        page = 1
        while found := self.call("GET", f"{path}?per_page={PAGE}&page={page}"):
            yield from found
            page += 1

    def comments(self, pull_request: int) -> Iterator[dict[str, Any]]:
        """The comments of a pull request, oldest first."""
        return self.all(f"/issues/{pull_request}/comments")


def of_step(variable: str) -> str:
    """Its value; OutsideError where it is not set."""
    if value := os.environ.get(variable):
        return value
    raise OutsideError(f"{variable} is not set, as it is in a step of a workflow")


def problem(error: OSError) -> str:
    """What went wrong, for people; never the token."""
    if isinstance(error, OutsideError):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        said = b""
        with contextlib.suppress(OSError, http.client.HTTPException):  # cut off
            said = error.read(500)
        return f"GitHub says {error.code}: {said.decode('utf-8', 'replace')}"
    return f"GitHub does not answer: {error}"
