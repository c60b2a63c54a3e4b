"""The ssh_config output, as its text and as OpenSSH itself reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.host_identity import host_identity

from .conftest import SEED
from .program import run
from .test_program import OTHER, changed

ONE, TWO = (host_identity(SEED, f"worker-{n}").public for n in (1, 2))
BASTION = {"address": "bastion.example.com", "host_key": f"{OTHER.public} jump", "port": 2200}
HOSTS = {
    "worker-3": {"lost": True},
    "rented": {"address": "192.0.2.7", "host_key": f"{OTHER.public} it", "user": "root", "port": 9},
}
PLAIN = f"""\
Host worker-1
  HostName 172.31.0.1
  User admin
  HostKeyAlias worker-1
  KnownHostsCommand /bin/echo worker-1 {ONE}

Host worker-2
  HostName 172.31.0.2
  User admin
  HostKeyAlias worker-2
  KnownHostsCommand /bin/echo worker-2 {TWO}

Host rented
  HostName 192.0.2.7
  Port 9
  User root
  HostKeyAlias rented
  KnownHostsCommand /bin/echo rented {OTHER.public}

Host worker-1 worker-2 rented
  StrictHostKeyChecking yes
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
"""
JUMP = f"""\
Host bastion.shop
  HostName bastion.example.com
  Port 2200
  User admin
  HostKeyAlias bastion.shop
  KnownHostsCommand /bin/echo bastion.shop {OTHER.public}

Host bastion.shop
  StrictHostKeyChecking yes
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null

"""


def config(**values: Any) -> str:
    """The output of a stack with these settings."""
    text: str = run(changed(count="3", hosts=HOSTS, **values)).outputs["ssh_config"]
    return text


def read(path: Path, host: str) -> dict[str, str]:
    """What ssh would do for that host."""
    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), host], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_whole_text_without_and_with_a_bastion() -> None:
    assert config() == PLAIN
    assert config(bastion=BASTION) == JUMP + PLAIN + "  ProxyJump bastion.shop\n"


@pytest.mark.parametrize("bastion", [None, BASTION], ids=["direct", "bastion"])
def test_openssh_reads_it_so(tmp_path: Path, bastion: dict[str, Any] | None) -> None:
    path = tmp_path / "config"
    path.write_text(config(bastion=bastion))
    host = read(path, "rented")
    wanted = {
        "hostname": "192.0.2.7",
        "port": "9",
        "user": "root",
        "hostkeyalias": "rented",
        "stricthostkeychecking": "true",
        "userknownhostsfile": "/dev/null",
        "knownhostscommand": f"/bin/echo rented {OTHER.public}",
    }
    assert {key: host[key] for key in wanted} == wanted
    assert host.get("proxyjump") == ("bastion.shop" if bastion else None)
    assert "proxyjump" not in read(path, "bastion.shop")
    assert "knownhostscommand" not in read(path, "somebody.else")
