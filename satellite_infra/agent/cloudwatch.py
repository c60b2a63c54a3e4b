"""Numbers for CloudWatch, told as the instance's role."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import imds, moments, sigv4, web
from .metrics import NAMESPACE
from .system import System

API = "2010-08-01"
ANSWER = 10  # seconds
PAUSES = (1, 4)  # seconds before each further attempt; the next minute brings another number
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


class CloudWatchError(Exception):
    """It did not take the numbers."""


class Datum(NamedTuple):
    """One number."""

    name: str
    value: float
    unit: str


def put(data: Sequence[Datum], dimensions: Mapping[str, str], at: float, system: System) -> None:
    """Tell the numbers of that moment; CloudWatchError, MetadataError."""
    here = imds.instance()
    # by the name that AWS's own programs read it from
    host = f"https://monitoring.{here.region}.{here.domain}"
    url = (os.environ.get("AWS_ENDPOINT_URL_CLOUDWATCH") or host).rstrip("/") + "/"
    body = urllib.parse.urlencode(form(data, dimensions, at)).encode()
    scope = sigv4.Scope(here.region, "monitoring")
    problem = web.post(
        url,
        body,
        lambda: sigv4.signed("POST", url, FORM, body, here.credentials, scope, time.time()),
        _code,
        timeout=ANSWER,
        pauses=PAUSES,
        sleep=system.sleep,
    )
    if problem:
        raise CloudWatchError(f"CloudWatch did not take the numbers: {problem}")


def form(data: Sequence[Datum], dimensions: Mapping[str, str], at: float) -> dict[str, str]:
    """The call's parameters."""
    found = {"Action": "PutMetricData", "Version": API, "Namespace": NAMESPACE}
    for n, datum in enumerate(data, 1):
        begin = f"MetricData.member.{n}."
        value = repr(float(datum.value))
        found |= {f"{begin}MetricName": datum.name, f"{begin}Value": value}
        found |= {f"{begin}Unit": datum.unit, f"{begin}Timestamp": moments.stamp(at)}
        for m, (name, text) in enumerate(dimensions.items(), 1):
            found[f"{begin}Dimensions.member.{m}.Name"] = name
            found[f"{begin}Dimensions.member.{m}.Value"] = text
    return found


def _code(error: urllib.error.HTTPError) -> tuple[str, bool]:
    """AWS's word for it, and what to do where that is known; and whether it passes by itself."""
    try:
        text = error.read(65_536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return "", False
    found = re.search(r"<Code>(\w{1,60})</Code>", text)
    advice = {
        "AccessDenied": ": the role may not, or not yet: `pulumi up` allows it",
        "SignatureDoesNotMatch": ": is this host's clock right?",
        "RequestExpired": ": is this host's clock right?",
    }
    if not found:
        return "", False
    return f", {found[1]}{advice.get(found[1], '')}", "Throttling" in found[1]
