"""What Heroku's Platform API says of an app: its config vars, and the commit that it runs.

Standard library only, for this runs on hosts, too. Nothing here tells the token or a value.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Callable

from . import web

URL = "https://api.heroku.com"
ACCEPT = "application/vnd.heroku+json; version=3"
AT_ONCE = "version ..; order=desc, max=100"  # releases in one answer
NEWEST_BUILDS = "created_at ..; order=desc, max=100"
TRIES = 5
ANSWER = 15  # seconds for one answer
PATIENCE = 90  # seconds for everything, pauses included
LONGEST_PAUSE = 30  # seconds
LARGEST = 4 << 20  # bytes of an answer
PAGES = 10
SCOPE = "heroku authorizations:create --scope read-protected"


class HerokuError(Exception):
    """There is no answer to rely on; the text says why, and what to do."""

    def __init__(self, text: str, passing: bool = False):
        super().__init__(text)
        self.passing = passing  # nobody has to mend anything: weather


class NoCommitError(HerokuError):
    """Heroku answers, and the app runs nothing that has a commit."""


class _Again(Exception):  # noqa: N818 - no error yet: it is asked again
    """What may be better in a moment; `pause`: seconds that the server asked for."""

    def __init__(self, what: str, pause: float = 0):
        super().__init__(what)
        self.pause = pause


@dataclass(frozen=True)
class Api:
    """The API as one token sees one app."""

    app: str
    token: str = field(repr=False)
    url: str = field(default_factory=lambda: os.environ.get("SATELLITE_HEROKU_URL") or URL)
    """Another one only in tests."""
    setting: str = "heroku_api_token"  # where the token comes from
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def config_vars(self) -> dict[str, str]:
        """The app's config vars; HerokuError unless they are all there."""
        found, _ = self._get(f"/apps/{self.app}/config-vars")
        pairs = found.items() if isinstance(found, dict) else [(0, 0)]
        if not all(isinstance(part, str) for pair in pairs for part in pair):
            raise HerokuError(f"Heroku's answer about {self.app} holds no config vars")
        return dict(found)

    def commit(self) -> str:
        """The commit of the current release's slug: what the app's web processes run."""
        commit = self._commit(self._current_slug())
        if not commit:
            raise NoCommitError(
                f"the slug that {self.app} runs on Heroku names no commit of 40 hex digits: it was "
                "not pushed by git; set satellite:revision to a commit, or take it away"
            )
        return commit

    def standing(self, commit: str) -> str:
        """How that commit stands: `current` if it runs, else Heroku's own word for its newest
        release, such as `pending` or `failed`; empty where none is as new as the current one.
        """
        newest = ""
        for release in self._releases():
            if not isinstance(release, dict):
                break
            current, slug = release.get("current"), _slug(release)
            if slug and (current or not newest) and self._commit(slug) == commit:
                newest = "current" if current else str(release.get("status"))
            if current:
                break
        return newest

    def building(self, commit: str) -> bool:
        """Whether a build of that commit goes on."""
        found, _ = self._get(f"/apps/{self.app}/builds", NEWEST_BUILDS)
        if not isinstance(found, list):
            raise HerokuError(f"Heroku's answer about {self.app} holds no builds")
        return any(
            isinstance(build, dict)
            and build.get("status") == "pending"
            and (build.get("source_blob") or {}).get("version") == commit
            for build in found
        )

    def _commit(self, slug: str) -> str:
        """The commit that a slug was built from; empty where it names none."""
        found, _ = self._get(f"/apps/{self.app}/slugs/{slug}")
        commit = found.get("commit") if isinstance(found, dict) else None
        return str(commit) if re.fullmatch(r"[0-9a-f]{40}", str(commit)) else ""

    def _current_slug(self) -> str:
        for release in self._releases():
            if not isinstance(release, dict):
                break
            if release.get("current"):
                if slug := _slug(release):
                    return slug
                break
        raise NoCommitError(
            f"satellite:heroku.app: the current release of {self.app} on Heroku has no slug: it "
            "never ran code there, or runs a container; set satellite:revision to a commit"
        )

    def _releases(self) -> Iterator[Any]:
        """The app's releases, the newest first."""
        page: str | None = AT_ONCE
        for _ in range(PAGES):
            found, headers = self._get(f"/apps/{self.app}/releases", page)
            yield from found if isinstance(found, list) else [None]
            page = headers.get("Next-Range")
            if not page:
                return

    def _get(self, path: str, page: str | None = None) -> tuple[Any, http.client.HTTPMessage]:
        """An answer's document and headers; asked again while that may help."""
        end = self.now() + PATIENCE
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(path, page)
            except _Again as problem:
                pause = problem.pause or random.uniform(0.5, 1) * 2 ** (attempt - 1)
                if attempt == TRIES or pause > LONGEST_PAUSE or self.now() + pause > end:
                    raise HerokuError(
                        f"Heroku does not tell about {self.app}: {problem} (asked "
                        f"{attempt} time{'s' if attempt > 1 else ''}); try again in some minutes",
                        passing=True,
                    ) from None
                self.sleep(pause)
        raise AssertionError

    def _once(self, path: str, page: str | None) -> tuple[Any, http.client.HTTPMessage]:
        """One answer, however slowly it comes, but not for ever.

        Of a thread of its own: a socket's time-out begins anew with each byte, and the look-up of a
        name has none. One that is late is left alone, and ends with the process at the latest.
        """
        answer: futures.Future[tuple[Any, http.client.HTTPMessage]] = futures.Future()

        def ask() -> None:
            try:
                answer.set_result(self._answer(path, page))
            except Exception as problem:  # noqa: BLE001 - it is raised below
                answer.set_exception(problem)

        threading.Thread(target=ask, daemon=True).start()
        try:
            return answer.result(ANSWER)
        except futures.TimeoutError:
            raise _Again(f"no answer within {ANSWER} s") from None

    def _answer(self, path: str, page: str | None) -> tuple[Any, http.client.HTTPMessage]:
        headers = {"Accept": ACCEPT, "Authorization": f"Bearer {self.token}"}
        headers |= {"User-Agent": "satellite", **({"Range": page} if page else {})}
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.build_opener(web.Stay).open(request, timeout=ANSWER) as answer:
                return json.loads(self._whole(answer)), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error.code, error.headers) from None
        except urllib.error.URLError as error:
            raise _Again(f"no connection: {error.reason}") from None
        except TimeoutError:
            raise _Again(f"no answer within {ANSWER} s") from None
        except (OSError, http.client.HTTPException):
            raise _Again("the connection broke off") from None
        except (ValueError, RecursionError):  # its text would show a part of the answer
            raise _Again("the answer is no JSON") from None

    def _whole(self, answer: http.client.HTTPResponse) -> bytes:
        """All of the answer's body."""
        body = bytearray()
        while part := answer.read1(65_536):
            body += part
            if len(body) > LARGEST:
                raise HerokuError(f"Heroku's answer about {self.app} is too long to be one")
        length = answer.headers.get("Content-Length")
        if length is not None and len(body) != int(length):
            raise _Again("half an answer")
        return bytes(body)

    def _refused(self, status: int, headers: Message) -> Exception:
        told = {
            401: f"satellite:{self.setting}: Heroku does not accept it (401): {SCOPE}; then "
            f"pulumi config set --secret satellite:{self.setting}",
            403: f"satellite:{self.setting}: it may not read {self.app} (403): it has to be of "
            f"somebody who is a member of the app, made with {SCOPE}",
            404: f"satellite:heroku.app: Heroku has no app {self.app} that "
            f"satellite:{self.setting} may see (404)",
        }
        if status in told:
            return HerokuError(told[status])
        if status == 429:
            after = headers.get("Retry-After") or ""
            pause = float(after) if re.fullmatch(r"[0-9]{1,6}", after) else 0
            return _Again("its rate limit is reached (429)", pause)
        if status >= 500:
            return _Again(f"it fails (status {status})")
        return HerokuError(f"Heroku refuses to tell about {self.app}: status {status}")


def _slug(release: dict[str, Any]) -> str:
    """The id of the slug that a release runs; empty where it has none."""
    slug = release.get("slug")
    found = str(slug.get("id")) if isinstance(slug, dict) else ""
    return found if re.fullmatch(r"[0-9a-f-]{36}", found) else ""
