"""A URL as libpq reads it: its password may hold what elsewhere ends a host, such as # and ?."""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

PARTS = re.compile(
    r"(?P<scheme>[^:/?#]+)://"
    # up to the first @ that has no other behind it before the host ends
    r"(?:(?P<user>[^:@/]*)(?::(?P<password>[^/]*?))?@)?(?P<hosts>[^@/?#]*)"
    r"(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
BEHIND = re.compile(r"[?&](ssl)?password=([^&]+)")
"""What libpq takes for a password behind the ?, and a # for a part of it; others do not."""
ENDS = re.compile(r"[\s\"'<>]")
"""What ends a URL in a longer text."""
LONGEST = 1 << 13  # characters of a URL; what is longer is no place of a database


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


def logins(text: str) -> set[str]:
    """What may be USER:PASSWORD in a text, should it be a URL, as it stands there.

    By each way to read one: libpq takes no / in it, but others do; and of a mail server's URL the
    user is often an address, with an @ of its own.
    """
    if "@" not in text:
        return set()
    found: set[str] = set()
    with contextlib.suppress(ValueError):
        found.add(urlsplit(text).netloc.rpartition("@")[0])
    if len(text) <= LONGEST:
        place = parse(text)
        found.add(f"{place.user}:{place.password}" if place else "")
        found.add(text.partition("//")[2].rpartition("@")[0])
    return {login for login in found if login.partition(":")[2]}


def passwords(text: str) -> set[str]:
    """What may be a password in it: as it stands there, and decoded."""
    found = {login.partition(":")[2] for login in logins(text)}
    behind = [password for _, password in BEHIND.findall(text)]
    # a URL may have something behind it, such as a line's end, or the rest of a JSON text
    behind += [ENDS.split(password, maxsplit=1)[0] for password in behind]
    found |= {*behind, *(password.partition("#")[0] for password in behind)}
    return found | {unquote(password) for password in found}
