"""The system's own ssh, to a server that answers: what opens it, and what a bastion says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from satellite_cli import remote
from satellite_cli.fleet import Fleet, Host
from satellite_infra import keys
from tests.ssh_agent import ssh_agent
from tests.standins.ssh_server import SshServer

ENTRY = """\
Host {name}
  HostName {address}
  Port {port}
  User tester
  HostKeyAlias {name}
  KnownHostsCommand /bin/echo {name} {key}
  StrictHostKeyChecking yes
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "server") as found:
        yield found


def entry(name: str, server: SshServer, address: str = "127.0.0.1", port: int = 0) -> str:
    key = keys.bare(server.host_key.export_public_key().decode())
    return ENTRY.format(name=name, address=address, port=port or server.port, key=key)


def private(key: asyncssh.SSHKey) -> str:
    return key.export_private_key().decode()


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def fleet(ssh_config: str, private_key: str = "", public_key: str = "") -> Fleet:
    return Fleet(
        stack="staging",
        app="shop",
        environment="staging",
        revision="",
        formation={},
        grace=0,
        hosts=(Host("worker-1", "i-1", "127.0.0.1"),),
        ssh_config=ssh_config,
        bastion="ProxyJump" in ssh_config,
        private_key=private_key,
        public_key=public_key,
    )


def answer(of: Fleet) -> remote.Answer:
    with remote.connected(of) as connection:
        (found,) = connection.everywhere(of.hosts, "echo in", 30).values()
    return found


def test_of_an_agents_keys_the_stacks_alone_is_tried(
    tmp_path: Path, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the old key would open what the next one is tried at."""
    other = asyncssh.generate_private_key("ssh-ed25519")
    with ssh_agent(tmp_path / "agent", private(server.client_key), private(other)) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        config = entry("worker-1", server)
        assert answer(fleet(config, public_key=public(server.client_key))).out == "in\n"
        assert answer(fleet(config, public_key=public(other))).problem == remote.REFUSED
        through = f"{entry('bastion.shop', server)}{config}  ProxyJump bastion.shop\n"
        assert answer(fleet(through, public_key=public(server.client_key))).out == "in\n"
        assert answer(fleet(through, public_key=public(other))).problem == (
            "the bastion: tester@127.0.0.1: Permission denied (publickey)"
        )


def test_what_the_bastion_says_of_a_host_is_told(server: SshServer) -> None:
    """And none of its banner."""
    server.banner = "welcome\n"
    way = f"{entry('bastion.shop', server)}{{}}  ProxyJump bastion.shop\n"
    key = private(server.client_key)
    there, nobody = entry("worker-1", server), entry("worker-1", server, port=1)
    assert answer(fleet(way.format(there), key)).err == ""
    assert re.fullmatch(
        r"connect failed: .*Connect call failed.*, says the bastion",
        answer(fleet(way.format(nobody), key)).problem,
    )
    server.forwards = False
    assert answer(fleet(way.format(there), key)).problem == (
        "the bastion: its sshd forbids the way on: set AllowTcpForwarding yes (or local)"
    )
    another = way.replace(public(server.host_key), public(server.client_key))
    assert answer(fleet(another.format(there), key)).problem == (
        "the bastion: it shows another host key than the pinned one; nothing was sent: "
        "satellite:bastion.host_key"
    )
