"""One engine for all; a project, an SSH server, an emulated AWS for each test that asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from lab.emulated_aws import emulated_aws
from lab.engine import environment
from tests.standins.project import Project
from tests.standins.ssh_server import SshServer


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an engine of its own, with the stand-ins unless the vendor's are here."""
    return {**os.environ, **environment(tmp_path_factory.mktemp("engine"))}


@pytest.fixture
def project(tmp_path: Path, engine: dict[str, str]) -> Project:
    return Project(tmp_path, engine)


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "home") as server:
        yield server


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture
def aws(moto_url: str, project: Project) -> Iterator[Callable[[str], Any]]:
    """An empty emulated account, which the project's provider uses; gives boto3 clients."""
    requests.post(f"{moto_url}/moto-api/reset", timeout=10)
    variables = {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_REGION": "us-east-1",
    }
    project.environment |= variables
    clients: list[Any] = []

    def client(service: str) -> Any:
        made = boto3.client(
            service,
            endpoint_url=moto_url,
            region_name="us-east-1",
            aws_access_key_id="lab",
            aws_secret_access_key="lab",
        )
        clients.append(made)
        return made

    yield client
    for made in clients:
        made.close()
