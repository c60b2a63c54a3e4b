"""What the lab's tests share: instances on order, and a stock SSH client to reach them with."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.waiting import wait_until
from lab.client import Lab, LabHost

GATEWAY = "172.31.0.1/32"
ANYWHERE = "0.0.0.0/0"


def cgroups_of(name: str) -> list[str]:
    """Every cgroup of that name; os.walk passes over those that vanish meanwhile."""
    walk = os.walk("/sys/fs/cgroup")
    return [f"{folder}/{name}" for folder, inner, _ in walk if name in inner]


def command_lines() -> list[str]:
    """The command line of every process that is there long enough to be read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return found


def permission(protocol: str, port: int, cidr: str) -> dict[str, Any]:
    """An EC2 IpPermission for one port and one network."""
    return {
        "IpProtocol": protocol,
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": cidr}],
    }


@dataclass(frozen=True)
class Cloud:
    """EC2 with a key pair `tests` and a way to log in with it."""

    lab: Lab
    key: Path

    def group(self, *ingress: dict[str, Any]) -> str:
        """A new security group with these permissions and EC2's default: all egress."""
        name = f"tests-{time.monotonic_ns()}"
        made = self.lab.ec2.create_security_group(GroupName=name, Description="tests")
        group: str = made["GroupId"]
        if ingress:
            self.lab.ec2.authorize_security_group_ingress(
                GroupId=group, IpPermissions=list(ingress)
            )
        return group

    def launch(self, name: str, **arguments: Any) -> LabHost:
        """Order an instance; by default the gateway may connect to its sshd. Does not wait."""
        if "SecurityGroupIds" not in arguments:
            arguments["SecurityGroupIds"] = [self.group(permission("tcp", 22, GATEWAY))]
        self.lab.ec2.run_instances(
            MinCount=1,
            MaxCount=1,
            ImageId=os.environ["LAB_AMI"],
            KeyName="tests",
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}
            ],
            **arguments,
        )
        return self.lab.host(name)

    def ssh(
        self,
        host: LabHost,
        command: str = "true",
        *options: str,
        key: Path | None = None,
        address: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Log in as anybody would: the real ssh, user admin, a key."""
        fixed = ["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2"]
        trusting = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        where = f"admin@{address or host.address}"
        argv = ["/usr/bin/ssh", *fixed, *(options or trusting), "-i", str(key or self.key)]
        return subprocess.run([*argv, where, command], text=True, capture_output=True)

    def reachable(self, host: LabHost) -> bool:
        return self.ssh(host).returncode == 0

    def boot(self, name: str, **arguments: Any) -> LabHost:
        """Order an instance and wait until one can log in and cloud-init is done."""
        host = self.launch(name, **arguments)
        wait_until(f"{name} can be reached", lambda: self.reachable(host))
        assert host.run("cloud-init status --wait").stdout.strip(".\n") == "status: done"
        return host

    def terminate(self, *hosts: LabHost) -> None:
        """Terminate and wait until EC2 says so."""
        ids = [host.instance_id for host in hosts]
        self.lab.ec2.terminate_instances(InstanceIds=ids)
        self.wait_for("terminated", *hosts)

    def state(self, host: LabHost) -> str:
        found = self.lab.ec2.describe_instances(InstanceIds=[host.instance_id])
        state: str = found["Reservations"][0]["Instances"][0]["State"]["Name"]
        return state

    def wait_for(self, state: str, *hosts: LabHost) -> None:
        wait_until(state, lambda: all(self.state(host) == state for host in hosts))


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture(scope="session")
def cloud(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    key = tmp_path_factory.mktemp("keys") / "tests"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_bytes()
    lab.ec2.import_key_pair(KeyName="tests", PublicKeyMaterial=public)
    yield Cloud(lab, key)
    lab.ec2.delete_key_pair(KeyName="tests")


@pytest.fixture(scope="module")
def host(cloud: Cloud) -> Iterator[LabHost]:
    """A machine for all tests of a module that leave it as it was."""
    host = cloud.boot("shared-1")
    yield host
    cloud.terminate(host)
