"""Machines that are replaced, die, lie about who they are, or belong to somebody else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import CANARY, PLAIN_APP, UP, Site, demolished, new_site

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
ADDRESSES = itertools.count(10)


@contextmanager
def two_hosts(folder: Path, name: str) -> Iterator[Site]:
    """With two shell workers each, up."""
    # a new address each time: EC2 may give one that was let go to the other host
    settings = {f"hosts.{name}-1.private_ip": f"172.31.7.{next(ADDRESSES)}"}
    site = new_site(folder / name, name, PLAIN_APP, hosts=2, settings=settings)
    with demolished(site):
        site.up()
        yield site


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Site]:
    """Two hosts for a test that loses one."""
    with two_hosts(tmp_path, "pair") as site:
        yield site


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts that each test leaves as it found them."""
    with two_hosts(tmp_path_factory.mktemp("machines"), "steady") as site:
        yield site


def test_replaced_behind_the_same_address_it_is_drained_and_prepared_again(pair: Site) -> None:
    old, other = pair.host(1), pair.host(2)
    logins = other.ssh_logins()
    # the old machine's last words: when its workers ended, on a disk that outlives it
    pair.lab.sql("CREATE TABLE IF NOT EXISTS last_words (said text)")
    pair.put("roll[0]", "pair-1")
    pair.put("instance_type", "t3.medium")
    out = pair.up()
    new = pair.host(1)
    assert new.address == old.address
    assert new.instance_id != old.instance_id
    assert len(pair.workers(new)) == 2
    identity = new.run("cat /var/lib/satellite/pair/host.json").stdout
    assert new.instance_id in identity
    # deleted in this order: the drain, then the machine
    drained, gone = out.index("pair-1-drain deleted"), out.index("ec2:Instance pair-1 deleted")
    assert drained < gone
    assert other.ssh_logins() == logins
    assert pair.host(2).instance_id == other.instance_id


def test_a_dead_host_is_declared_lost_and_removed_by_up(pair: Site) -> None:
    dead = pair.host(2)
    dead.kill()
    pair.put("hosts.pair-2.lost", "true")
    new = pair.repository.commit({"number": "without the dead"})
    pair.up()
    assert pair.revision(pair.host(1)) == new
    pair.unset("names[1]")
    pair.unset("hosts.pair-2")
    pair.up()
    assert [host.name for host in pair.hosts()] == ["pair-1"]


def test_a_dead_host_blocks_destroy_until_it_is_declared_lost(pair: Site) -> None:
    pair.host(1).kill()
    assert "pair-1" in pair.fails("destroy", "--yes", "--skip-preview")
    pair.put("hosts.pair-1.lost", "true")
    pair.up()
    pair.pulumi("destroy", "--yes", "--skip-preview")
    assert pair.hosts() == []
    pair.unset("hosts.pair-1.lost")


def test_an_instance_that_somebody_terminated_is_parted_with_after_a_refresh_too(
    pair: Site,
) -> None:
    gone = pair.host(2)
    pair.lab.ec2.terminate_instances(InstanceIds=[gone.instance_id])
    terminated = pair.lab.ec2.get_waiter("instance_terminated")
    terminated.wait(InstanceIds=[gone.instance_id], WaiterConfig={"Delay": 1})
    # somebody else has its address now
    other = pair.lab.ec2.run_instances(
        ImageId=os.environ["LAB_AMI"],
        MinCount=1,
        MaxCount=1,
        SubnetId=pair.lab.ec2.describe_instances(InstanceIds=[pair.host(1).instance_id])[
            "Reservations"
        ][0]["Instances"][0]["SubnetId"],
        PrivateIpAddress=gone.address,
    )["Instances"][0]["InstanceId"]
    pair.pulumi("refresh", "--yes")
    pair.fails(*UP)  # its old machine cannot be drained
    pair.put("hosts.pair-2.lost", "true")
    pair.up()
    pair.unset("hosts.pair-2")
    pair.up()
    assert len(pair.workers(pair.host(2))) == 2
    assert pair.host(2).address != gone.address
    pair.lab.ec2.terminate_instances(InstanceIds=[other])


def test_a_host_that_does_not_answer_is_named_before_anything_changes(steady: Site) -> None:
    steady.put("reach_seconds", "6")
    first, second = steady.hosts()
    old = steady.revision(first)
    second.run("systemctl stop ssh.socket ssh.service", check=False)
    steady.repository.commit({"number": "unreachable"})
    out = steady.fails(*UP)
    for part in ("steady-2", "172.31.", "22", "ssh_cidrs", "lost"):
        assert part in out, out
    assert steady.revision(first) == old
    second.run("systemctl start ssh.service")
    steady.up()


def test_a_frozen_host_does_not_hang_the_deploy(steady: Site) -> None:
    steady.put("reach_seconds", "6")
    host = steady.host(2)
    host.pause()
    steady.repository.commit({"number": "frozen"})
    out = steady.fails(*UP)
    host.resume()
    assert "steady-2" in out
    assert "6 s" in out
    steady.up()


def test_a_wrong_host_key_stops_the_deploy(steady: Site) -> None:
    steady.put("reach_seconds", "10")
    host = steady.host(2)
    key = "/etc/ssh/ssh_host_ed25519_key"
    host.run(f"mv {key} /root/kept && ssh-keygen -q -t ed25519 -N '' -f {key}")
    host.run("systemctl restart ssh")
    before = steady.logins()
    steady.repository.commit({"number": "wrong key"})
    out = steady.fails(*UP)
    for part in ("steady-2", "host key", "SHA256:", "machine"):
        assert part in out, out
    assert steady.logins() == before
    host.run(f"mv /root/kept {key} && systemctl restart ssh")
    steady.up()


def test_an_existing_host_is_prepared_again_when_its_machine_is_another(pair: Site) -> None:
    """A rented server: no AWS resource; its owner raises the machine number after a rebuild."""
    rented = pair.host(2)
    key = rented.run("cat /etc/ssh/ssh_host_ed25519_key.pub").stdout.split()
    pair.put("hosts.rented.address", rented.address)
    pair.put("hosts.rented.user", "admin")
    pair.put("hosts.rented.host_key", " ".join(key[:2]))
    # it is the same machine under another name here: take it out of EC2's part first
    pair.put("hosts.pair-2.lost", "true")
    pair.up()
    identity = "cat /var/lib/satellite/pair/host.json"
    assert '"host": "rented"' in rented.run(identity).stdout
    logins = pair.host(1).ssh_logins()
    # as if it were rebuilt
    rented.run("systemctl disable --now satellite-pair.target")
    rented.run("rm -r /var/lib/satellite /usr/local/lib/satellite")
    assert "unchanged" in pair.up()
    pair.put("hosts.rented.machine", "2")
    pair.up()
    assert '"machine": "2"' in rented.run(identity).stdout
    assert pair.host(1).ssh_logins() == logins
    # under another name it goes on: the drain of the old name is not for the new one's workers
    pair.unset("hosts.rented")
    pair.put("hosts.office.address", rented.address)
    pair.put("hosts.office.user", "admin")
    pair.put("hosts.office.host_key", " ".join(key[:2]))
    pair.up()
    assert '"host": "office"' in rented.run(identity).stdout
    assert len(pair.workers(rented)) == 2
    pair.unset("hosts.office")
    pair.up()
    assert pair.workers(rented) == {}


def test_a_rebuilt_host_comes_back_in_the_order_that_its_message_says(pair: Site) -> None:
    """A rented server that was set up anew behind its address, with another key."""
    rented = pair.host(2)
    file = "/etc/ssh/ssh_host_ed25519_key"

    def key() -> str:
        return " ".join(rented.run(f"cat {file}.pub").stdout.split()[:2])

    pair.put("hosts.rented.address", rented.address)
    pair.put("hosts.rented.user", "admin")
    pair.put("hosts.rented.host_key", old := key())
    pair.put("hosts.pair-2.lost", "true")  # it is the same machine under another name here
    pair.put("reach_seconds", "10")
    pair.up()
    rented.run("systemctl stop 'satellite-pair*' && rm /etc/systemd/system/satellite-pair*")
    rented.run("rm -r /var/lib/satellite /usr/local/lib/satellite /app/pair")
    rented.run(f"rm {file}* && ssh-keygen -q -t ed25519 -N '' -f {file} && systemctl restart ssh")
    pair.repository.commit({"number": "after the rebuild"})
    assert "rebuilt" in pair.fails(*UP)
    # what would lead to a drain of a machine that is gone
    pair.put("hosts.rented.host_key", key())
    pair.put("hosts.rented.machine", "2")
    assert "should stay 1 until" in pair.fails("preview")
    pair.put("hosts.rented.host_key", old)
    pair.unset("hosts.rented.machine")
    # as the message says
    pair.put("hosts.rented.lost", "true")
    pair.up()
    pair.put("hosts.rented.host_key", key())
    pair.put("hosts.rented.machine", "2")
    pair.unset("hosts.rented.lost")
    pair.up()
    assert '"machine": "2"' in rented.run("cat /var/lib/satellite/pair/host.json").stdout
    assert len(pair.workers(rented)) == 2
    pair.unset("hosts.rented")
    pair.up()
    assert pair.workers(rented) == {}


def test_an_instance_may_have_a_login_user_of_its_own(pair: Site) -> None:
    host, logins = pair.host(2), pair.host(1).ssh_logins()
    workers = pair.workers(host)
    host.run("useradd --create-home --shell /bin/bash ubuntu")
    host.run("install -d -m 700 -o ubuntu /home/ubuntu/.ssh")
    host.run("install -m 600 -o ubuntu /home/admin/.ssh/authorized_keys /home/ubuntu/.ssh/")
    host.run("echo 'ubuntu ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ubuntu")
    pair.put("hosts.pair-2.user", "ubuntu")
    pair.up()
    host.run("grep -q 'satellite pair' /home/ubuntu/.ssh/authorized_keys")
    host.run("! grep -q 'satellite pair' /home/admin/.ssh/authorized_keys")  # nobody's any more
    assert "\n  User ubuntu\n" in pair.pulumi("stack", "output", "ssh_config")
    assert pair.workers(host) == workers
    assert pair.host(1).ssh_logins() == logins


def test_the_canary_is_nowhere_but_in_its_file_and_the_workers(steady: Site) -> None:
    needs_it = '#!/bin/sh\ntest -n "$CANARY" || exit 1\n'
    steady.repository.commit({"worker": needs_it + PLAIN_APP["worker"].partition("\n")[2]})
    steady.pulumi("preview", "--diff")
    steady.up()
    steady.pulumi("up", "--yes", "--skip-preview", "--diff")
    steady.put("build[0]", 'echo "$CANARY"; env; exit 1')
    steady.fails(*UP)
    steady.unset("build")
    steady.up()
    for host in steady.hosts():
        # where it belongs
        places = "/var /etc /run /home /app /tmp /root /usr/local"
        holders = host.run(f"grep -rlF {CANARY} {places} || true").stdout.split()
        assert holders
        for name in holders:
            assert host.run(f"stat -c %a:%U {name}").stdout.strip() == "600:root", name
            assert name.endswith("/config.json"), name
        pids = steady.workers(host).values()
        for pid in pids:
            assert CANARY in host.run(f"cat /proc/{pid}/environ").stdout
        # where it does not
        for command in (
            "ps axww -o args",
            "journalctl --no-pager",
            "systemctl show 'satellite-*'",
            "systemctl cat 'satellite-*'",
            "cat /var/log/satellite/steady/*",
        ):
            assert CANARY not in host.run(command).stdout, command
    for out in steady.outputs:
        assert CANARY not in out
    state = Path(os.environ["SATELLITE_LAB"], "state")
    for path in state.rglob("*.json"):
        assert CANARY not in path.read_text("utf-8"), path
