"""How this program speaks HTTP: never on to where an answer points."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Callable


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a token would go where it points, and a POST arrive there as a GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the answer is the redirect itself."""


OPENER = urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))
"""Speaks directly, whatever proxies the environment names."""
Refusal = Callable[[urllib.error.HTTPError], "tuple[str, bool]"]
"""What to say of an answer after its status, and whether another attempt may have another."""


def post(
    url: str,
    body: bytes,
    headers: Callable[[], Mapping[str, str]],
    refusal: Refusal,
    *,
    timeout: float,
    pauses: Sequence[float],
    sleep: Callable[[float], None],
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Send it until it is taken or never will be; what went wrong at last, empty where it was.

    `headers` are made for each attempt, `pauses` are before each further one, and `say` hears what
    went wrong with each. Nothing of the URL, which may be secret, is in that.
    """
    problem = ""
    for pause in (0, *pauses):
        sleep(pause)
        problem, passing = _once(url, body, headers(), refusal, timeout)
        if problem:
            say(problem)
        if not passing:
            break
    return problem


def _once(
    url: str, body: bytes, headers: Mapping[str, str], refusal: Refusal, timeout: float
) -> tuple[str, bool]:
    """What went wrong, empty where nothing did, and whether another attempt may help."""
    try:
        request = urllib.request.Request(url, body, dict(headers), method="POST")
        with OPENER.open(request, timeout=timeout):
            return "", False
    except urllib.error.HTTPError as answer:
        with answer:
            said, passing = refusal(answer)
        return f"status {answer.code}{said}", answer.code >= 500 or passing
    except Exception as problem:  # noqa: BLE001 - the other side may send anything
        inner = getattr(problem, "reason", problem)
        return type(inner).__name__, not isinstance(problem, ValueError)
