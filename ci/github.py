"""GitHub's REST API, as far as the workflows need it, of the repository that a runner works for."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
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
    """This is no step of a workflow, or not as one is; the text says what it lacks."""


@dataclass(frozen=True)
class GitHub:
    """One repository; OSError (HTTPError, where it answers) when it does not do what is asked."""

    api: str
    repository: str
    token: str = field(repr=False)

    @classmethod
    def of_runner(cls) -> GitHub:
        """The one of GITHUB_REPOSITORY, with GITHUB_TOKEN and GITHUB_API_URL."""
        token = of_step("GITHUB_TOKEN")
        if not re.fullmatch("[!-~]+", token):  # http.client says all of a header that it refuses
            raise OutsideError("GITHUB_TOKEN has white space in it, or other than plain ASCII")
        return cls(
            os.environ.get("GITHUB_API_URL", "https://api.github.com"),
            of_step("GITHUB_REPOSITORY"),
            token,
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
            raise _other(type(error).__name__) from None

    def all(self, path: str) -> Iterator[dict[str, Any]]:
        """The entries of a list, whatever its length."""
        for page in itertools.count(1):
            found = self.call("GET", f"{path}?per_page={PAGE}&page={page}")
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise _other("no list")
            if not found:
                return
            yield from found

    def comments(self, pull_request: int | str) -> Iterator[tuple[str, str]]:
        """The id and text of what workflows have said in a pull request, oldest first."""
        for comment in self.all(f"/issues/{pull_request}/comments"):
            who = comment.get("user") or {"login": ""}  # nobody's, any more
            if text(who, "login") == BOT:
                yield text(comment, "id"), text(comment, "body")


def text(answer: Any, *keys: str) -> str:
    """The text, or number, that an answer has there; OSError where it has none."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, str | int):
        raise _other(f"no {'.'.join(keys)}")
    return str(answer)


def _other(what: str) -> OSError:
    return OSError(f"what came is cut off, or not of its API: {what}")


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
