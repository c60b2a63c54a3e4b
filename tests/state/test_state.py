"""The commands of docs/state.md, as they stand there, on the real engine and an emulated AWS."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from demo.stack import Stack
from lab.emulated_aws import emulated_aws
from lab.engine import environment
from tests.ci import simulated
from tests.infra.conftest import LOGIN, LOGIN_PUBLIC, REVISION, SEED

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PAGE = (Path(__file__).parents[2] / "docs/state.md").read_text(encoding="utf-8")
AWS = Path(__file__).with_name("aws.py")
REGION, BUCKET, CANARY = "eu-west-1", "satellite-state", "canary-2b8e"

STATE = ".pulumi/stacks/satellite/staging.json"
EXPORTED = ("PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_SELF_MANAGED_STATE_GZIP")

Run = Callable[[str], str]


def commands(name: str) -> str:
    """The block of the page with this name, the capital words filled in."""
    match = re.search(rf"<!-- tested: {re.escape(name)} -->\n\n((?: {{4}}.*\n)+)", PAGE)
    assert match, f"the page has no block {name}"
    text = re.sub(r"^ {4}", "", match[1], flags=re.MULTILINE)
    # a bucket's name is no host name on loopback
    text = text.replace("s3://BUCKET?", "s3://BUCKET?use_path_style=true&")
    return text.replace("BUCKET", BUCKET).replace("REGION", REGION)


@pytest.fixture
def aws_url() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture
def stack(tmp_path: Path, aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A copy of the program in the current folder, and an AWS account that is empty."""
    variables = environment(tmp_path / "engine")
    del variables["PULUMI_BACKEND_URL"], variables["PULUMI_CONFIG_PASSPHRASE"]
    variables |= {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "HOME": str(tmp_path),
        "PULUMI_SKIP_CONFIRMATIONS": "true",
    }
    aws = tmp_path / "engine/bin/aws"  # the AWS command line, as far as the page needs it
    aws.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{AWS}' \"$@\"\n")
    aws.chmod(0o755)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "logs").mkdir()
    return Stack.copied(tmp_path / "project", tmp_path / "logs", "staging")


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a block as a person would paste it; what it prints."""

    def run(name: str) -> str:
        told = stack.project.parent / "environment"
        # what a block exports holds for the next one, as in one terminal
        script = f"set -e\n{commands(name)}\nenv >{told}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=stack.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        for line in told.read_text().splitlines():
            variable, _, value = line.partition("=")
            if variable in EXPORTED:
                monkeypatch.setenv(variable, value)
        return done.stdout

    return run


@pytest.fixture
def host(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a host that agrees to everything."""
    with simulated.hosts(tmp_path / "hosts") as (port, key):
        where = "satellite:hosts.worker-1"
        yield {
            f"{where}.address": "127.0.0.1",
            f"{where}.port": str(port),
            f"{where}.host_key": key,
            f"{where}.user": "root",
        }


def configure(stack: Stack, host: dict[str, str]) -> None:
    stack.configure(
        {
            "satellite:app": "shop",
            "satellite:repository": "https://git.example.com/shop.git",
            "satellite:revision": REVISION,
            "satellite:public_key": LOGIN_PUBLIC,
            "satellite:processes.worker.quantity": "2",
            **host,
        },
        {
            "satellite:private_key": LOGIN,
            "satellite:host_key_seed": SEED,
            "satellite:config.API_KEY": CANARY,
        },
    )


def objects() -> dict[str, str]:
    """Every object of the bucket, by its key, also those of older versions."""
    s3 = boto3.client("s3")
    found: dict[str, str] = {}
    for version in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        got = s3.get_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
        key = version["Key"] if version["IsLatest"] else f"{version['Key']} {version['VersionId']}"
        body = got["Body"].read()
        found[key] = (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode()
    s3.close()
    return found


def state() -> Any:
    return json.loads(objects()[f"{STATE}.gz"])["checkpoint"]["latest"]


def provider_of(stack: Stack) -> tuple[str, set[str]]:
    """The secrets provider of the state, and what the stack file says about its own."""
    config = yaml.safe_load((stack.project / "Pulumi.staging.yaml").read_text())
    return state()["secrets_providers"]["type"], config.keys() - {"config"}


def assert_secrets_are_encrypted(stack: Stack, resources: int) -> None:
    kept = objects()
    assert len(state()["resources"]) == resources
    texts = [*kept.values(), (stack.project / "Pulumi.staging.yaml").read_text()]
    key = LOGIN.splitlines()[2]
    assert [text for text in texts if CANARY in text or key in text or SEED in text] == []
    assert '"ciphertext"' in kept[f"{STATE}.gz"]


def test_s3_with_a_passphrase_and_then_with_kms(
    stack: Stack, run: Run, host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in ("bucket", "key", "login", "init with a passphrase"):
        run(block)
    configure(stack, host)
    assert "6 unchanged" in run("use")
    assert_secrets_are_encrypted(stack, resources=8)
    assert provider_of(stack) == ("passphrase", {"encryptionsalt"})

    run("change")
    run("unlock")
    assert_secrets_are_encrypted(stack, resources=8)
    assert provider_of(stack) == ("cloud", {"secretsprovider", "encryptedkey"})
    Path(stack.project.parent, "satellite-passphrase").unlink()
    assert "6 unchanged" in run("use")
    # somebody without the variable in between
    monkeypatch.delenv("PULUMI_SELF_MANAGED_STATE_GZIP")
    assert "6 unchanged" in run("use")
    assert objects().keys() & {STATE, f"{STATE}.gz"} == {STATE}
    monkeypatch.setenv("PULUMI_SELF_MANAGED_STATE_GZIP", "true")
    assert "6 unchanged" in run("use")
    assert objects().keys() & {STATE, f"{STATE}.gz"} == {f"{STATE}.gz"}

    run("copy")
    copied = (stack.project / "staging-state.json").read_text()
    assert '"ciphertext"' in copied
    assert CANARY not in copied
    run("end")
    assert objects().keys().isdisjoint({STATE, f"{STATE}.gz"})


def test_s3_with_kms(stack: Stack, run: Run, host: dict[str, str]) -> None:
    for block in ("bucket", "key", "login", "init with KMS"):
        run(block)
    configure(stack, host)
    assert "6 unchanged" in run("use")
    assert_secrets_are_encrypted(stack, resources=8)
    assert provider_of(stack) == ("cloud", {"secretsprovider", "encryptedkey"})
    run("end")
    assert objects().keys().isdisjoint({STATE, f"{STATE}.gz"})


def test_the_bucket_is_closed_versioned_and_encrypted(run: Run) -> None:
    run("bucket")
    s3 = boto3.client("s3")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    closed = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(closed.values()) == {True}
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    s3.close()


def test_a_file(stack: Stack, run: Run, host: dict[str, str]) -> None:
    run("login to a file")
    run("init with a passphrase")
    configure(stack, host)
    assert "6 unchanged" in run("use")
    run("end")


def test_every_block_is_run() -> None:
    names = set(re.findall(r"<!-- tested: (.*) -->", PAGE))
    source = Path(__file__).read_text()
    assert [name for name in sorted(names) if f'"{name}"' not in source] == []
