"""The door of a deploy job, felt: SSH is silent before it, works through it, is silent after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.waiting import wait_until
from tests.lab.conftest import Cloud

pytestmark = pytest.mark.lab
CHECKOUT = Path(__file__).parents[2]
TAGS = {"label": "satellite", "app": "door", "environment": "test"}


def door(*arguments: str) -> str:
    """What `python3 -m ci.ssh_door` says, as the workflow runs it."""
    stack = ["--app", "door", "--environment", "test", "--holder", "run-1"]
    done = subprocess.run(
        [sys.executable, "-m", "ci.ssh_door", *arguments, *stack],
        cwd=CHECKOUT,
        env=os.environ,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_runner_lets_itself_in_and_out(cloud: Cloud) -> None:
    group = cloud.group()
    tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    cloud.lab.ec2.create_tags(Resources=[group], Tags=tags)
    host = cloud.launch("door-1", SecurityGroupIds=[group])
    wait_until("sshd runs", lambda: host.run("systemctl is-active ssh").stdout == "active\n")
    assert "timed out" in cloud.ssh(host).stderr

    assert "opens SSH to 172.31.0.1/32" in door("open", "--cidr", "172.31.0.1")
    wait_until("it can be reached", lambda: cloud.reachable(host))
    assert cloud.ssh(host, "whoami").stdout == "admin\n"

    assert door("close").startswith("close: closed sgr-")
    assert "timed out" in cloud.ssh(host).stderr
    assert door("close") == "close: nothing was open\n"
    cloud.terminate(host)
