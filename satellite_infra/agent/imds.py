"""What the instance's metadata says, by IMDSv2: the role's credentials, and where it is."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

from . import web
from .sigv4 import Credentials

URL = "http://169.254.169.254"
ANSWER = 3  # seconds
TTL = 60  # seconds that the token is good for
ROLE = "iam/security-credentials/"


class MetadataError(Exception):
    """There is no answer to rely on."""


class Instance(NamedTuple):
    """This one, as far as a call of AWS needs it."""

    credentials: Credentials
    region: str
    domain: str  # of its AWS, such as amazonaws.com


def instance() -> Instance:
    """Ask; MetadataError says what is missing."""
    token = _ask("api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(TTL)}, "PUT")
    headers = {"X-aws-ec2-metadata-token": token}

    def data(path: str) -> str:
        return _ask(f"meta-data/{path}", headers)

    role = data(ROLE).split("\n")[0]
    if not re.fullmatch(r"[\w+=,.@-]{1,128}", role):
        raise MetadataError("the instance's metadata names no role")
    try:
        found = json.loads(data(ROLE + role))
        credentials = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])
    except (ValueError, LookupError, TypeError):  # not `from`: it may show a part of them
        raise MetadataError(f"the instance's metadata holds no credentials of {role}") from None
    return Instance(credentials, data("placement/region"), data("services/domain"))


def _ask(path: str, headers: Mapping[str, str], method: str = "GET") -> str:
    # by the name that AWS's own programs read it from
    url = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or URL
    request = urllib.request.Request(f"{url}/latest/{path}", headers=dict(headers), method=method)
    try:
        with web.OPENER.open(request, timeout=ANSWER) as answer:
            text: str = answer.read(65_536).decode().strip()
            return text
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404 and path.endswith(ROLE):
            raise MetadataError(
                "the instance has no role yet: it gets it by `pulumi up`, and some seconds"
            ) from None
        raise MetadataError(f"the instance's metadata, {path}: status {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as problem:
        why = type(getattr(problem, "reason", problem)).__name__
        raise MetadataError(
            f"the instance's metadata at {url} does not answer ({why}): only an EC2 instance has it"
        ) from None
