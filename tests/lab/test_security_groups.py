"""Security groups are felt, and a change of them is felt at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.client import LabHost
from tests.lab.conftest import ANYWHERE, GATEWAY, Cloud, permission

pytestmark = pytest.mark.lab

EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE}]}
SSH = permission("tcp", 22, GATEWAY)


@pytest.fixture(scope="module")
def guarded(cloud: Cloud) -> Iterator[tuple[LabHost, str]]:
    """A machine and its only security group, which lets the gateway's SSH in and all out."""
    group = cloud.group(SSH)
    host = cloud.boot("guarded-1", SecurityGroupIds=[group])
    yield host, group
    cloud.terminate(host)


def connects(host: LabHost, address: str, port: int) -> bool:
    command = f"timeout 2 bash -c '</dev/tcp/{address}/{port}'"
    return host.run(command, check=False).returncode == 0


def change(cloud: Cloud, action: str, direction: str, group: str, rule: dict[str, Any]) -> None:
    call = getattr(cloud.lab.ec2, f"{action}_security_group_{direction}")
    call(GroupId=group, IpPermissions=[rule])


def test_missing_ingress_rule_is_silence(cloud: Cloud, guarded: tuple[LabHost, str]) -> None:
    host, group = guarded
    assert cloud.reachable(host)
    change(cloud, "revoke", "ingress", group, SSH)
    assert "timed out" in cloud.ssh(host).stderr
    change(cloud, "authorize", "ingress", group, permission("tcp", 22, "172.31.0.2/32"))
    assert not cloud.reachable(host)
    change(cloud, "authorize", "ingress", group, SSH)
    assert cloud.reachable(host)
    assert cloud.ssh(host, address=host.public_address).returncode == 0


@pytest.mark.parametrize(("name", "port"), [("db.lab", 5432), ("git.lab", 22)])
def test_missing_egress_rule_is_silence(
    cloud: Cloud, guarded: tuple[LabHost, str], name: str, port: int
) -> None:
    host, group = guarded
    assert connects(host, name, port)
    change(cloud, "revoke", "egress", group, EVERYTHING)
    assert not connects(host, name, port)
    assert cloud.reachable(host)  # answers to what was let in pass
    assert host.run(f"getent hosts {name}").stdout.split() == ["172.31.0.1", name]
    change(cloud, "authorize", "egress", group, permission("tcp", port, ANYWHERE))
    assert connects(host, name, port)
    change(cloud, "revoke", "egress", group, permission("tcp", port, ANYWHERE))
    change(cloud, "authorize", "egress", group, EVERYTHING)


def test_established_connections_outlive_their_rule(
    cloud: Cloud, guarded: tuple[LabHost, str]
) -> None:
    import subprocess

    host, group = guarded
    argv = ["/usr/bin/ssh", "-F", "none", "-i", str(cloud.key), "-o", "StrictHostKeyChecking=no"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", f"admin@{host.address}", "cat"]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL) as session:
        assert session.stdin
        assert session.stdout
        session.stdin.write(b"before\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"before\n"
        change(cloud, "revoke", "ingress", group, SSH)
        session.stdin.write(b"after\n")
        session.stdin.close()
        assert session.stdout.read() == b"after\n"
    change(cloud, "authorize", "ingress", group, SSH)


def test_groups_between_machines(cloud: Cloud, guarded: tuple[LabHost, str]) -> None:
    host, group = guarded
    client = cloud.boot("client-1")
    assert not connects(client, host.address, 22)
    members = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "UserIdGroupPairs": [{"GroupId": cloud.group()}],
    }
    change(cloud, "authorize", "ingress", group, members)
    assert not connects(client, host.address, 22)
    member_of = members["UserIdGroupPairs"][0]["GroupId"]  # type: ignore[index]
    cloud.lab.ec2.modify_instance_attribute(InstanceId=client.instance_id, Groups=[member_of])
    assert connects(client, host.address, 22)
    cloud.terminate(client)


def test_a_machine_cannot_open_its_own_firewall(cloud: Cloud, guarded: tuple[LabHost, str]) -> None:
    host, group = guarded
    change(cloud, "revoke", "egress", group, EVERYTHING)
    host.run("nft flush ruleset")
    assert not connects(host, "db.lab", 5432)
    change(cloud, "authorize", "egress", group, EVERYTHING)


def test_nobody_answers_for_others(cloud: Cloud, guarded: tuple[LabHost, str]) -> None:
    host, _ = guarded
    assert "timed out" in cloud.ssh(host, address="172.31.9.9").stderr
    refused = host.run("curl -sS -m 5 http://169.254.169.254/latest/meta-data/", check=False)
    assert refused.returncode == 7  # refused at once; 28 would be a time-out
