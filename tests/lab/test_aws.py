"""The `aws` of a shell in the lab, where the machine has none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.emulated_aws import emulated_aws

AWS = Path(__file__).parents[2] / "lab/bin/aws"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with emulated_aws() as url:
        keys = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
        path = f"{AWS.parent}:{AWS.parents[2] / '.venv/bin'}:/usr/bin:/bin"
        region = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
        yield {**os.environ, **keys, **region, "PATH": path}


def aws(environment: dict[str, str], line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["aws", *line.split()], env=environment, capture_output=True, text=True, check=False
    )


def test_an_instance_is_looked_at_and_terminated(environment: dict[str, str]) -> None:
    ran = aws(environment, "ec2 run-instances --image-id ami-12c6146b --min-count 1 --max-count 1")
    (made,) = json.loads(ran.stdout)["Instances"]
    one = f"--instance-ids {made['InstanceId']}"
    found = json.loads(aws(environment, f"ec2 describe-instance-status {one}").stdout)
    assert found["InstanceStatuses"][0]["InstanceState"]["Name"] == "running"
    assert aws(environment, f"ec2 terminate-instances {one} --dry-run").returncode == 254
    ended = aws(environment, f"ec2 terminate-instances {one}")
    assert json.loads(ended.stdout)["TerminatingInstances"][0]["InstanceId"] == made["InstanceId"]
    gone = "ec2 describe-instances --filters Name=instance-state-name,Values=running,pending"
    assert json.loads(aws(environment, gone).stdout)["Reservations"] == []


@pytest.mark.parametrize(
    "line",
    ["", "ec2", "ec2 terminate", "ec2 describe-instances --query x", "ec2 describe-instances x"],
)
def test_what_it_does_not_know_it_says(environment: dict[str, str], line: str) -> None:
    ran = aws(environment, line)
    assert (ran.returncode, ran.stdout) == (252, "")
    assert ran.stderr.startswith(f"aws: {line}: ")


def test_the_real_one_comes_first(environment: dict[str, str], tmp_path: Path) -> None:
    real = tmp_path / "aws"
    real.write_text('#!/bin/sh\necho "the real one: $*"\n', encoding="utf-8")
    real.chmod(0o755)
    with_it = {**environment, "PATH": f"{environment['PATH']}:{tmp_path}"}
    assert aws(with_it, "--version").stdout == "the real one: --version\n"
