"""AWS's Signature Version 4 of a request whose path needs no encoding and which has no query."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Credentials:
    """A key of AWS; one of a role comes with a token."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Scope:
    """For which service the signature is, where."""

    region: str
    service: str


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    scope: Scope,
    now: float,
) -> dict[str, str]:
    """The headers with those that sign the request; `now`: seconds since 1970."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    token = {"X-Amz-Security-Token": credentials.token} if credentials.token else {}
    sent = {**headers, "X-Amz-Date": at, **token}
    place = urlsplit(url)
    canonical = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    canonical["host"] = place.netloc
    names = ";".join(sorted(canonical))
    lines = [f"{name}:{canonical[name]}" for name in sorted(canonical)]
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join([method, place.path or "/", "", *lines, "", names, digest])
    within = f"{at[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join([ALGORITHM, at, within, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(key(credentials.secret, within), text.encode(), "sha256").hexdigest()
    parts = f"Credential={credentials.id}/{within}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": f"{ALGORITHM} {parts}"}


def key(secret: str, within: str) -> bytes:
    """What signs; `within`: day, region and service, and the last word."""
    found = f"AWS4{secret}".encode()
    for part in within.split("/"):
        found = hmac.new(found, part.encode(), "sha256").digest()
    return found
