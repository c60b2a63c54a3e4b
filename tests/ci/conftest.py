"""An emulated AWS account and GitHub for the tests of what the workflows run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests

from lab.emulated_aws import emulated_aws

from .github import Server
from .github import github as github_api


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture
def ec2(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty account, which this process' own AWS calls reach, too."""
    requests.post(f"{moto_url}/moto-api/reset", timeout=10)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("ec2")
    yield client
    client.close()


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty repository, in whose workflow this process seems to run."""
    server = Server()
    with github_api(server) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "example/shop")
        monkeypatch.setenv("GITHUB_TOKEN", "token-1")
        yield server
