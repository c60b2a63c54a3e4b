"""Hosts that only a bastion can reach: everything that Pulumi does to them goes through it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.client import LabHost
from lab.network import GATEWAY
from satellite_infra.host_identity import host_identity
from tests.e2e.conftest import PLAIN_APP, UP, Site, demolished, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
OTHER = host_identity("another seed with more than 32 characters", "x").public


@dataclass(frozen=True)
class Behind:
    """A site of two hosts, and the machine before them."""

    site: Site
    bastion: LabHost
    host_key: str
    key: Path

    def logins(self) -> tuple[int, list[int]]:
        """How many logins the bastion and the hosts have seen."""
        return self.bastion.ssh_logins(), self.site.logins()


@contextmanager
def launched(site: Site, key: Path) -> Iterator[LabHost]:
    """A machine that this computer may log in to with the stack's key."""
    ec2 = site.lab.ec2
    public = key.with_suffix(".pub").read_bytes()
    ec2.import_key_pair(KeyName="bastion", PublicKeyMaterial=public)
    group = ec2.create_security_group(GroupName="bastion", Description="of the bastion")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=f"{GATEWAY}/32"
    )
    instance = ec2.run_instances(
        ImageId=os.environ["LAB_AMI"],
        MinCount=1,
        MaxCount=1,
        KeyName="bastion",
        SecurityGroupIds=[group],
    )["Instances"][0]["InstanceId"]
    try:
        yield site.lab.host(instance)
    finally:
        ec2.terminate_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_terminated").wait(
            InstanceIds=[instance], WaiterConfig={"Delay": 1}
        )
        ec2.delete_security_group(GroupId=group)
        ec2.delete_key_pair(KeyName="bastion")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Two hosts with two shell workers each, open to the bastion alone; up."""
    folder = tmp_path_factory.mktemp("behind")
    site = new_site(folder, "behind", PLAIN_APP, hosts=2, settings={"reach_seconds": "30"})
    with launched(site, folder / "key") as bastion:
        shown = "cat /etc/ssh/ssh_host_ed25519_key.pub"
        ready = "systemctl is-active ssh"
        wait_until("it boots", lambda: bastion.run(ready, check=False).returncode == 0)
        host_key = " ".join(bastion.run(shown).stdout.split()[:2])
        site.put("ssh_cidrs[0]", f"{bastion.address}/32")
        site.put("bastion.address", bastion.address)
        site.put("bastion.host_key", host_key)
        with demolished(site):
            site.up()
            yield Behind(site, bastion, host_key, folder / "key")


def test_all_logins_come_from_the_bastion_and_a_second_up_makes_none(behind: Behind) -> None:
    for host in behind.site.hosts():
        assert len(behind.site.workers(host)) == 2
        accepted = host.run("journalctl -o cat -t sshd | grep '^Accepted publickey'").stdout
        assert {line.split()[5] for line in accepted.splitlines()} == {behind.bastion.address}
    before = behind.logins()
    assert "unchanged" in behind.site.up()
    assert behind.logins() == before


def test_a_deploy_and_a_login_by_the_output_go_through_it(behind: Behind, tmp_path: Path) -> None:
    new = behind.site.repository.commit({"number": "through the bastion"})
    behind.site.up()
    for host in behind.site.hosts():
        assert behind.site.runs_from(host) == {new}
    config = tmp_path / "config"
    config.write_text(behind.site.pulumi("stack", "output", "ssh_config"), encoding="utf-8")
    # the jump asks for its key on its own: an entry for all hosts is where a person has it
    config.write_text(f"{config.read_text('utf-8')}\nHost *\n  IdentityFile {behind.key}\n")
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "behind-1", "hostname -I"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [behind.site.host(1).address], done.stderr


def test_the_command_goes_through_it_too(behind: Behind) -> None:
    found = json.loads(behind.site.satellite("info", "--json").stdout)
    assert [(host["name"], host["state"]) for host in found["hosts"]] == [
        ("behind-1", "running"),
        ("behind-2", "running"),
    ]
    address = behind.site.host(2).address
    done = behind.site.satellite("ssh", "behind-2", "--", "hostname", "-I")
    assert done.stdout.split() == [address], done
    assert behind.site.satellite("run", "echo $PS; exit 3").returncode == 3


def test_another_key_of_the_bastion_is_refused_before_anything_is_sent(behind: Behind) -> None:
    before = behind.logins()
    behind.site.put("bastion.host_key", OTHER)
    out = behind.site.fails(*UP)
    for part in (
        f"The bastion ({behind.bastion.address}, port 22) on the way to behind-1 shows another",
        "Nothing was sent to either.",
        "satellite:bastion.host_key",
    ):
        assert part in out, out
    assert behind.logins() == before
    behind.site.put("bastion.host_key", behind.host_key)
    behind.site.up()


def test_a_bastion_that_was_rebuilt_is_gone_through_by_the_settings(behind: Behind) -> None:
    """What would have brought the new one asks the hosts before it begins."""
    keys = "/etc/ssh/ssh_host_ed25519_key"
    behind.bastion.run(
        f"cp -a {keys} /root/kept; echo y | ssh-keygen -q -t ed25519 -N '' -f {keys}"
    )
    shown = " ".join(behind.bastion.run(f"cat {keys}.pub").stdout.split()[:2])
    behind.bastion.run("systemctl restart ssh.service")
    done = behind.site.satellite("up", "--same-commit", "--yes")
    assert done.returncode == 1
    assert "the bastion: it shows another host key" in done.stderr
    behind.site.put("bastion.host_key", shown)
    done = behind.site.satellite("up", "--same-commit", "--yes")
    assert done.returncode == 0, done
    behind.bastion.run(f"mv /root/kept {keys}; systemctl restart ssh.service")
    behind.site.put("bastion.host_key", behind.host_key)
    behind.site.up()


def test_what_does_not_answer_is_named_bastion_or_host(behind: Behind) -> None:
    behind.site.put("reach_seconds", "15")
    first, second = behind.site.hosts()
    old = behind.site.revision(first)
    behind.site.repository.commit({"number": "out of reach"})
    second.run("systemctl stop ssh.socket ssh.service", check=False)
    found = json.loads(behind.site.satellite("info", "--json").stdout)
    assert found["unanswered"] == {
        "behind-2": "connect failed: Connection refused, says the bastion"
    }
    out = behind.site.fails(*UP)
    second.run("systemctl start ssh.service")
    through = f"behind-2 ({second.address}, port 22) cannot be reached by SSH through the bastion"
    assert f"{through} {behind.bastion.address}, tried for 15 s: connection refused." in out
    assert behind.site.revision(first) == old

    behind.bastion.run("systemctl stop ssh.socket ssh.service", check=False)
    out = behind.site.fails(*UP)
    behind.bastion.run("systemctl start ssh.service")
    # the first failure may end the check of the other host
    assert f"The bastion ({behind.bastion.address}, port 22) on the way to behind-" in out
    behind.site.up()


def test_the_key_of_an_agent_opens_both(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = behind.key.with_name("agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 5
        while not socket.exists() and time.monotonic() < end:
            time.sleep(0.05)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(behind.key)], check=True)
        behind.site.unset("private_key")
        behind.site.put("ssh_agent", "true")
        new = behind.site.repository.commit({"number": "by an agent"})
        behind.site.up()
        assert [behind.site.revision(host) for host in behind.site.hosts()] == [new, new]
        done = behind.site.satellite("ssh", "behind-1", "--", "cat", ".ssh/authorized_keys")
        assert behind.key.with_suffix(".pub").read_text().split()[1] in done.stdout, done
        # the old key, which is in the agent, too, opens the bastion
        new_key = behind.key.with_name("next")
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(new_key)]
        subprocess.run(make, check=True)
        subprocess.run(["ssh-add", "-q", str(new_key)], check=True)
        behind.site.put("next_public_key", new_key.with_suffix(".pub").read_text().strip())
        done = behind.site.satellite("keys", "rotate", "--yes")
        assert done.returncode == 1
        assert "today's key stays: the next one does not open all hosts yet" in done.stderr
        behind.site.unset("next_public_key")
    finally:
        behind.site.unset("ssh_agent")
        command = ("config", "set", "--secret", "satellite:private_key")
        behind.site.stack.run(*command, stdin=behind.key.read_text())
        agent.terminate()
        agent.wait()
    monkeypatch.undo()
    behind.site.up()


def test_a_rotation_waits_until_the_bastion_lets_the_next_key_in(behind: Behind) -> None:
    """No update does that there, and without it nobody would get to any host."""
    old = known(behind)
    done = behind.site.satellite("keys", "rotate", "--yes")
    assert done.returncode == 1
    assert "today's key stays: the next one does not open all hosts yet" in done.stderr
    assert known(behind) == {**old, "next_public_key": known(behind)["next_public_key"]}
    (line,) = (text.strip() for text in done.stderr.splitlines() if " ssh-ed25519 " in f" {text}")
    behind.bastion.run(f"echo '{line}' >>/home/admin/.ssh/authorized_keys")
    done = behind.site.satellite("keys", "rotate", "--yes")
    assert done.returncode == 0, done
    assert known(behind)["public_key"] == line
    assert behind.site.satellite("run", "true").returncode == 0


def known(behind: Behind) -> dict[str, str]:
    """The public keys of the stack."""
    shown = json.loads(behind.site.pulumi("config", "--json"))
    names = ("public_key", "next_public_key")
    found = {name: shown.get(f"satellite:{name}", {}).get("value") for name in names}
    return {name: value for name, value in found.items() if value}


def test_a_removed_host_and_all_the_rest_are_drained_through_it(behind: Behind) -> None:
    logins = behind.bastion.ssh_logins()
    behind.site.unset("names[1]")
    out = behind.site.up()
    assert out.index("behind-2-drain deleted") < out.index("ec2:Instance behind-2 deleted")
    assert behind.bastion.ssh_logins() == logins + 1
    behind.site.pulumi("destroy", "--yes", "--skip-preview")
    assert behind.bastion.ssh_logins() == logins + 2
    assert behind.site.hosts() == []
