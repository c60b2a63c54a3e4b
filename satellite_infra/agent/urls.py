"""A URL as libpq reads it: its password may hold what elsewhere ends a host, such as # and ?."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

PARTS = re.compile(
    r"(?P<scheme>[^:/?#]+)://"
    # up to the first @ that has no other behind it before the host ends
    r"(?:(?P<user>[^:@/]*)(?::(?P<password>[^/]*?))?@)?(?P<hosts>[^@/?#]*)"
    r"(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
WIDEST = re.compile(r"//[^:/@]*:(.*)@", re.DOTALL)


class Place(NamedTuple):
    """A URL's parts as they stand there; empty where it has none."""

    scheme: str
    user: str
    password: str
    hosts: str  # HOST[:PORT], or more of them with commas between
    path: str
    query: str


def parse(url: str) -> Place | None:
    """Its parts; None for what is no such URL."""
    found = PARTS.fullmatch(url)
    return Place(**found.groupdict("")) if found else None


def passwords(text: str) -> set[str]:
    """What may be the password in a text, should it be a URL: as it stands there, and decoded.

    Also with a / in it: libpq takes none, but others do, and it is to be kept out of logs.
    """
    place, widest = parse(text), WIDEST.search(text)
    found = {place.password if place else "", widest[1] if widest else ""}
    return found | {unquote(password) for password in found}
