"""A machine lives as its EC2 instance does: booted, stopped, started, rebooted, terminated."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.waiting import wait_until
from lab.client import LabHost
from lab.errors import LabError
from tests.lab.conftest import Cloud, cgroups_of, command_lines

pytestmark = pytest.mark.lab


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())


def traces(host: LabHost) -> list[str]:
    """Whatever of a machine can be seen from outside of it."""
    found = Path("/proc/self/mounts").read_text().splitlines()
    found += [str(path) for path in Path("/run/netns").iterdir()]
    found += command_lines()
    found += [str(path) for path in host.lab.directory.glob("machines/*")]
    found += cgroups_of(host.instance_id)
    return [trace for trace in found if host.instance_id in trace]


@pytest.fixture
def own(cloud: Cloud) -> Iterator[LabHost]:
    """A machine that a test may mistreat."""
    host = cloud.boot("own-1")
    yield host
    if cloud.state(host) != "terminated":
        cloud.terminate(host)


def test_user_data_pins_the_host_key(cloud: Cloud, tmp_path: Path) -> None:
    pinned, other = make_key(tmp_path / "pinned"), make_key(tmp_path / "other")
    public = pinned.with_suffix(".pub").read_text()
    user_data = (
        "#cloud-config\n"
        "ssh_deletekeys: true\n"
        "ssh_keys:\n"
        f"  ed25519_private: |\n{indented(pinned.read_text(), 4)}"
        f"  ed25519_public: {public}"
        "runcmd:\n  - [touch, /user-data-was-here]\n"
    )
    host = cloud.launch("pinned-1", UserData=user_data)
    known = {}
    for name, key in (("right", public), ("wrong", other.with_suffix(".pub").read_text())):
        known[name] = tmp_path / name
        known[name].write_text(f"{host.address} {key}")
    right, wrong = (
        ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known[name]}"]
        for name in ("right", "wrong")
    )
    wait_until("sshd answers", lambda: cloud.ssh(host, "true", *right).returncode == 0)
    refused = cloud.ssh(host, "true", *wrong)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr
    host.run("cloud-init status --wait && test -e /user-data-was-here")
    keys = host.run("ls /etc/ssh/ssh_host_*").stdout.split()
    assert keys == ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"]
    cloud.terminate(host)


def test_only_the_key_pair_logs_in(cloud: Cloud, host: LabHost, tmp_path: Path) -> None:
    assert cloud.ssh(host, "sudo id -un").stdout == "root\n"
    refused = cloud.ssh(host, key=make_key(tmp_path / "stranger"))
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_machine_is_a_debian_cloud_machine(host: LabHost) -> None:
    assert host.run("systemctl is-system-running").stdout == "running\n"
    assert host.run("hostname").stdout == f"ip-{host.address.replace('.', '-')}\n"
    assert host.run("cat /proc/1/comm").stdout == "systemd\n"
    assert "/usr/sbin/init" not in host.run("command -v postgres || true").stdout
    assert host.run("systemctl is-enabled postgresql", check=False).stdout == "disabled\n"


def test_public_address_leads_to_the_machine(cloud: Cloud, host: LabHost) -> None:
    assert host.public_address
    shown = cloud.ssh(host, "hostname", address=host.public_address)
    assert shown.stdout == f"ip-{host.address.replace('.', '-')}\n"


def test_names_resolve(host: LabHost) -> None:
    for name in (host.name, host.instance_id, f"ip-{host.address.replace('.', '-')}"):
        found = subprocess.run(["getent", "hosts", name], text=True, capture_output=True)
        assert found.stdout.split()[0] == host.address
    assert subprocess.run(["getent", "hosts", "nobody-1"]).returncode == 2


def test_back_door_is_not_counted_by_sshd(cloud: Cloud, host: LabHost) -> None:
    logins, connections = host.ssh_logins(), host.ssh_connections()
    by_name = subprocess.run(["ssh", host.name, "id", "-un"], text=True, capture_output=True)
    assert by_name.stdout == "root\n"
    assert (host.ssh_logins(), host.ssh_connections()) == (logins, connections)
    cloud.ssh(host)
    assert (host.ssh_logins(), host.ssh_connections()) == (logins + 1, connections + 1)


def test_back_door_leaves_other_hosts_to_the_real_ssh(cloud: Cloud, host: LabHost) -> None:
    options = ["-F", "none", "-i", str(cloud.key), "-o", "StrictHostKeyChecking=no"]
    options += ["-o", "UserKnownHostsFile=/dev/null"]
    through = subprocess.run(
        ["ssh", *options, f"admin@{host.name}", "id -un"], text=True, capture_output=True
    )
    assert through.stdout == "admin\n"
    git = subprocess.run(["ssh", "-T", *options, "git@git.lab"], text=True, capture_output=True)
    assert "Permission denied" in git.stderr


def test_interactive_shell_has_a_terminal(host: LabHost) -> None:
    typed = subprocess.run(
        ["script", "--quiet", "--command", f"ssh {host.name}", "/dev/null"],
        input="tty; hostname; exit 4\n",
        text=True,
        capture_output=True,
    )
    assert "/dev/pts/" in typed.stdout
    assert f"ip-{host.address.replace('.', '-')}" in typed.stdout


def test_back_door_tells_the_truth(host: LabHost) -> None:
    assert host.run("cat; exit 3", check=False, input="in").stdout == "in"
    with pytest.raises(LabError, match="status 3 of: echo why; exit 3\nwhy"):
        host.run("echo why; exit 3")


def test_memory_limit_is_enforced(host: LabHost) -> None:
    hungry = "python3 -c 'b = bytearray(200 << 20); print(len(b))'"
    limited = "systemd-run --quiet --wait --pipe --property=MemorySwapMax=0 --property=MemoryMax="
    assert host.run(f"{limited}400M {hungry}").stdout == f"{200 << 20}\n"
    killed = host.run(f"{limited}50M {hungry}", check=False)
    assert killed.returncode != 0
    assert killed.stdout == ""


def test_stop_keeps_the_disk_and_start_changes_the_public_address(
    cloud: Cloud, own: LabHost
) -> None:
    own.run("echo kept >/var/kept")
    cloud.lab.ec2.stop_instances(InstanceIds=[own.instance_id])
    assert cloud.state(own) in ("stopping", "stopped")
    cloud.wait_for("stopped", own)
    assert not cloud.reachable(own)
    cloud.lab.ec2.start_instances(InstanceIds=[own.instance_id])
    wait_until("it can be reached", lambda: cloud.reachable(own))
    again = cloud.lab.host("own-1")
    assert (again.instance_id, again.address) == (own.instance_id, own.address)
    assert again.public_address != own.public_address
    assert cloud.ssh(again, "cat /var/kept", address=again.public_address).stdout == "kept\n"
    assert "54." in str(again.public_address)


def test_reboot(cloud: Cloud, own: LabHost) -> None:
    own.run("echo kept >/var/kept; touch /run/lost")
    before = own.run("cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestamp")
    own.reboot()
    wait_until(
        "it has booted again",
        lambda: (
            own.run("test ! -e /run/lost && cat /var/kept", check=False).stdout == "kept\n"
            and cloud.reachable(own)
        ),
    )
    assert own.run("systemctl show -P UserspaceTimestamp").stdout not in before.stdout
    assert cloud.state(own) == "running"


def test_power_cut(cloud: Cloud, own: LabHost) -> None:
    own.run("echo kept >/var/kept; sync")
    own.kill()
    dark = own.run("true", check=False)
    assert (dark.returncode, dark.stderr) == (
        255,
        f"ssh: {own.address}: no machine runs at {own.address}\n",
    )
    assert not cloud.reachable(own)
    assert cloud.state(own) == "running"  # as EC2 says for hours when the hardware has died
    own.reboot()
    wait_until("it can be reached", lambda: cloud.reachable(own))
    assert own.run("cat /var/kept").stdout == "kept\n"


def test_pause(cloud: Cloud, own: LabHost) -> None:
    own.pause()
    hung = cloud.ssh(own)
    assert hung.returncode == 255
    assert "banner exchange" in hung.stderr
    own.resume()
    wait_until("it can be reached", lambda: cloud.reachable(own))


def test_poweroff_inside_stops_the_instance(cloud: Cloud, own: LabHost) -> None:
    own.run("systemctl poweroff --no-block")
    cloud.wait_for("stopped", own)
    cloud.lab.ec2.start_instances(InstanceIds=[own.instance_id])
    wait_until("it can be reached", lambda: cloud.reachable(own))


def test_terminate_at_once(cloud: Cloud) -> None:
    host = cloud.launch("short-1")
    began = time.monotonic()
    cloud.terminate(host)
    assert time.monotonic() - began < 30
    assert traces(host) == []


def test_terminate_leaves_nothing_and_frees_the_address(cloud: Cloud, own: LabHost) -> None:
    assert len(traces(own)) > 5
    cloud.terminate(own)
    assert traces(own) == []
    assert subprocess.run(["getent", "hosts", own.name]).returncode == 2
    next_one = cloud.boot("next-1", PrivateIpAddress=own.address)
    assert next_one.address == own.address
    assert next_one.run("ls /var/kept", check=False).returncode != 0
    cloud.terminate(next_one)
