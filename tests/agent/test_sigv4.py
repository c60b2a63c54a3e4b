"""Signatures are those of AWS's own test suite and documentation, and of its own library."""

from __future__ import annotations

import calendar
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Theirs

from satellite_infra.agent.sigv4 import Credentials, Scope, key, signed

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLE = Credentials("AKIDEXAMPLE", SECRET)
AT = calendar.timegm((2015, 8, 30, 12, 36, 0))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "headers", "body", "names", "signature"),
    [
        # aws-sig-v4-test-suite: get-vanilla
        (
            *("GET", {}, b"", "host;x-amz-date"),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        # post-vanilla
        (
            *("POST", {}, b"", "host;x-amz-date"),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        # get-header-value-trim
        (
            *("GET", {"My-Header1": " value1", "My-Header2": ' "a   b   c"'}, b""),
            "host;my-header1;my-header2;x-amz-date",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        # post-x-www-form-urlencoded
        (
            *("POST", FORM, b"Param1=value1", "content-type;host;x-amz-date"),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_the_suites_vectors(
    method: str, headers: dict[str, str], body: bytes, names: str, signature: str
) -> None:
    scope = Scope("us-east-1", "service")
    url = "https://example.amazonaws.com/"
    found = signed(method, url, headers, body, EXAMPLE, scope, AT)
    assert found["X-Amz-Date"] == "20150830T123600Z"
    assert found["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_the_documented_key() -> None:
    assert key(SECRET, "20150830/us-east-1/iam/aws4_request").hex() == (
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    )


def test_a_roles_token_is_signed_as_awss_own_library_does() -> None:
    body = "Action=PutMetricData&Größe=1".encode()
    url = "http://172.31.0.1:4566/"
    ours = Credentials("AKIDEXAMPLE", SECRET, "a token/with+signs==")
    now = int(time.time())
    found = signed("POST", url, FORM, body, ours, Scope("eu-west-1", "monitoring"), now)
    request = AWSRequest("POST", url, headers=FORM, data=body)
    request.context["timestamp"] = found["X-Amz-Date"]
    request.headers["X-Amz-Date"] = found["X-Amz-Date"]
    request.headers["X-Amz-Security-Token"] = ours.token
    theirs = SigV4Auth(Theirs(ours.id, ours.secret, ours.token), "monitoring", "eu-west-1")
    canonical = theirs.canonical_request(request)
    signature = theirs.signature(theirs.string_to_sign(request, canonical), request)
    assert found["Authorization"].endswith(f"Signature={signature}")
    assert "x-amz-security-token" in found["Authorization"]
    for shown in (repr(ours), repr(EXAMPLE)):
        assert SECRET not in shown
        assert "token/" not in shown
