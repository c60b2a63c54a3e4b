"""The system's own ssh, to a server that answers: what opens it, and what a bastion says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from satellite_cli import bastion, remote
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


def fleet(ssh_config: str, private_key: str = "", public_key: str = "", moved: str = "") -> Fleet:
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
        moved=moved,
        private_key=private_key,
        public_key=public_key,
    )


def answer(of: Fleet, alone: bool = False) -> remote.Answer:
    with remote.connected(of, alone) as connection:
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
        assert answer(fleet(through, private(server.client_key)), alone=True).out == "in\n"
        assert answer(fleet(through, public_key=public(other)), alone=True).problem == (
            "the bastion: tester@127.0.0.1: Permission denied (publickey)"
        )
        # a bastion may know its people by other keys
        assert answer(fleet(through, public_key=public(other))).problem == remote.REFUSED


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


def test_hosts_are_asked_through_the_bastion_that_the_settings_name(
    tmp_path: Path, server: SshServer
) -> None:
    """Where the one of the last update is gone, or has another key."""
    key, host = private(server.client_key), f"{entry('worker-1', server)}  ProxyJump bastion.shop\n"
    with SshServer(tmp_path / "former") as former:
        former.client_key = server.client_key
        config = f"{entry('bastion.shop', former)}{host}"
        settings = {"satellite:bastion": {"value": json.dumps(named(server))}}
        through = fleet(config, key, moved=bastion.moved(config, settings))
        assert answer(through).out == "in\n"
        # hosts need not be open to the new one yet
        assert former.forwarded == [("127.0.0.1", server.port)]
        bastion._stands.cache_clear()
    assert answer(through).out == "in\n"
    assert server.forwarded == [("127.0.0.1", server.port)]
    rebuilt = config.replace(entry("bastion.shop", former), entry("bastion.shop", server))
    rebuilt = rebuilt.replace(public(server.host_key), public(former.host_key), 1)
    assert "bastion.host_key" in answer(fleet(rebuilt, key)).problem
    through = fleet(rebuilt, key, moved=bastion.moved(rebuilt, settings))
    assert answer(through).out == "in\n"


def test_a_bastions_next_key_may_be_set_before_it_is_rebuilt(server: SshServer) -> None:
    key, host = private(server.client_key), f"{entry('worker-1', server)}  ProxyJump bastion.shop\n"
    config = f"{entry('bastion.shop', server)}{host}"
    settings = {"satellite:bastion": {"value": json.dumps(named(server, host_key="ssh-ed25519 A"))}}
    through = fleet(config, key, moved=bastion.moved(config, settings))
    assert through.moved
    assert answer(through).out == "in\n"


def named(server: SshServer, **more: Any) -> dict[str, Any]:
    """The bastion as a setting."""
    key = public(server.host_key)
    return {"address": "127.0.0.1", "host_key": key, "port": server.port, "user": "tester", **more}


def test_settings_that_name_no_other_bastion_are_none(server: SshServer) -> None:
    config = f"{entry('bastion.shop', server)}{entry('worker-1', server)}  ProxyJump bastion.shop\n"

    def by(value: object, text: str = config) -> str:
        return bastion.moved(text, {"satellite:bastion": {"value": json.dumps(value)}})

    assert bastion.moved(config, {}) == by(named(server)) == ""
    assert by([]) == by({}) == by("x") == ""
    assert by(named(server, address="a b")) == by(named(server, host_key=7)) == ""
    assert by(named(server, host_key="ssh-ed25519")) == by(named(server, user=1001)) == ""
    assert [by(named(server, port=port)) for port in ("22x", 70000, 22.5, True)] == [""] * 4
    assert by(named(server, address="")) == by(named(server, address=None)) == ""
    assert by(named(server), entry("worker-1", server)) == ""
    other = by(named(server, user="ada"))
    assert other == config.replace("User tester", "User ada", 1)
