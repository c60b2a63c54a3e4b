"""Numbers reach an emulated CloudWatch as the instance's role; what is in the way is said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import boto3
import pytest
import requests

from lab.emulated_aws import emulated_aws
from satellite_infra.agent import cloudwatch
from satellite_infra.agent.cloudwatch import CloudWatchError, Datum
from satellite_infra.agent.imds import MetadataError
from satellite_infra.agent.layout import Layout
from satellite_infra.role import FOR_INSTANCES, TELL_NUMBERS
from tests.agent.conftest import FakeSystem
from tests.fakes.answers import answering
from tests.fakes.imds import Metadata, serving

Aws = Callable[[str], Any]
CANARY = "canary-5d1f"
DATA = [Datum("QueueDepth", 12, "Count"), Datum("QueueAge", 34.5, "Seconds")]
WHERE = {"App": "shop", "Environment": "a & b", "Queue": "default"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with emulated_aws() as found:
        yield found


@pytest.fixture
def aws(url: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return lambda service: boto3.client(service, region_name="us-east-1", endpoint_url=url, **keys)


@pytest.fixture
def role(aws: Aws) -> Metadata:
    """An instance with the role that the program makes."""
    iam, name = aws("iam"), "satellite-shop-staging-abcdef0"
    trust = json.dumps(FOR_INSTANCES)
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    statement = TELL_NUMBERS["Statement"][0]
    # the emulator takes the name that a request is signed for, and knows no conditions
    document = {
        **TELL_NUMBERS,
        "Statement": [
            {k: v for k, v in statement.items() if k != "Condition"}
            | {"Action": statement["Action"].replace("cloudwatch:", "monitoring:")}
        ],
    }
    iam.put_role_policy(RoleName=name, PolicyName="q", PolicyDocument=json.dumps(document))
    found = aws("sts").assume_role(RoleArn=arn, RoleSessionName="i-1")["Credentials"]
    return Metadata(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


@pytest.fixture
def system(layout: Layout) -> FakeSystem:
    return FakeSystem(layout)


def put(metadata: Metadata, monkeypatch: pytest.MonkeyPatch, system: FakeSystem) -> None:
    with serving(metadata):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        cloudwatch.put(DATA, WHERE, time.time() - 60, system)


def test_signed_by_the_role_they_are_taken_and_otherwise_not(
    url: str,
    aws: Aws,
    role: Metadata,
    monkeypatch: pytest.MonkeyPatch,
    system: FakeSystem,
) -> None:
    checks = f"{url}/moto-api/reset-auth"
    before = requests.post(checks, data=b"0", timeout=10).json()
    try:
        put(role, monkeypatch, system)
        assert role.refused == []
        wrong = replace(role, secret=f"{CANARY}-is-no-secret")
        with pytest.raises(CloudWatchError) as refused:
            put(wrong, monkeypatch, system)
    finally:
        count = before["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"]
        requests.post(checks, data=count.encode(), timeout=10)
    assert str(refused.value) == (
        "CloudWatch did not take the numbers: status 403, SignatureDoesNotMatch: is this host's "
        "clock right?"
    )
    now = datetime.now(UTC)
    for datum in DATA:
        found = aws("cloudwatch").get_metric_statistics(
            Namespace="Satellite",
            MetricName=datum.name,
            Dimensions=[{"Name": name, "Value": value} for name, value in WHERE.items()],
            StartTime=now - timedelta(minutes=5),
            EndTime=now,
            Period=60,
            Statistics=["Maximum", "SampleCount"],
        )["Datapoints"]
        assert [(p["Maximum"], p["SampleCount"], p["Unit"]) for p in found] == [
            (datum.value, 1, datum.unit)
        ]


class Weather:
    """A CloudWatch that answers with `answers`, each a status and a code of AWS, then with 200."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        self.asked += 1
        status, code = self.answers.pop(0) if self.answers else (200, "")
        return status, f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode()


@pytest.mark.parametrize(
    ("answers", "asked", "said"),
    [
        ([(503, "ServiceUnavailable"), (400, "Throttling")], 3, ""),
        ([(500, "InternalFailure")] * 9, 3, "status 500, InternalFailure"),
        (
            [(403, "AccessDenied")],
            1,
            "status 403, AccessDenied: the role may not, or not yet: `pulumi up` allows it",
        ),
        ([(302, "")], 1, "status 302"),
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_else(
    answers: list[tuple[int, str]],
    asked: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    system: FakeSystem,
) -> None:
    weather = Weather(*answers)
    problem = ""
    with answering(weather) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url)
        try:
            put(Metadata("id", CANARY, CANARY), monkeypatch, system)
        except CloudWatchError as found:
            problem = str(found).removeprefix("CloudWatch did not take the numbers: ")
    assert (weather.asked, problem) == (asked, said)


def test_without_a_role_or_an_instance_it_says_so(
    monkeypatch: pytest.MonkeyPatch, system: FakeSystem
) -> None:
    with pytest.raises(MetadataError, match="has no role yet: it gets it by `pulumi up`"):
        put(Metadata("id", CANARY, CANARY, role=""), monkeypatch, system)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MetadataError) as nobody:
        cloudwatch.put(DATA, WHERE, time.time(), system)
    assert str(nobody.value) == (
        "the instance's metadata at http://127.0.0.1:9 does not answer (ConnectionRefusedError): "
        "only an EC2 instance has it"
    )
