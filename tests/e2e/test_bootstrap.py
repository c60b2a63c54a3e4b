"""What bootstrap puts on a host is taken by the programs that read it, and no worker notices."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.client import LabHost
from satellite_infra.agent.bootstrap import STEPS
from satellite_infra.agent.progress import MARK
from tests.e2e.archive import package_archive, served
from tests.e2e.conftest import CANARY, Site, demolished, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
# keeps its log open, as a framework's logger does
WRITES = """\
#!/bin/sh
trap 'exit 0' TERM
exec >>log/worker.log
while :; do echo works; sleep 0.2 & wait $!; done
"""
APP = {"Procfile": "worker: ./worker\n", "worker": WRITES}
NAMES = [name for name, _ in STEPS]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One host with two workers, up; it has a package of a source that the lab serves."""
    folder = tmp_path_factory.mktemp("ready")
    key = package_archive(folder / "archive")
    with served(folder / "archive") as url:
        settings = {
            "packages[0]": "needrestart",
            "packages[1]": "lab-tool=1.0",
            "apt_sources.lab.uri": url,
            "apt_sources.lab.suite": "./",
            "apt_sources.lab.key": key,
            "monit.mail_to[0]": "ops@example.com",
            "monit.mail_from": "satellite@example.com",
            "monit.smtp_host": "127.0.0.1",  # where nobody answers
            "monit.smtp_user": "ops",
            "monit.every_seconds": "5",
            "processes.worker.alert.memory": "300M",
            "processes.worker.alert.restarts": "1",
        }
        site = new_site(folder / "site", "ready", APP, hosts=1, settings=settings)
        site.stack.configure({}, {"satellite:monit_password": CANARY})
        with demolished(site):
            site.up()
            yield site


@pytest.fixture
def host(ready: Site) -> LabHost:
    return ready.host(1)


def report(site: Site) -> list[str]:
    """What the last bootstrap of the first host said."""
    state = json.loads(site.pulumi("stack", "export", "--show-secrets"))
    for resource in state["deployment"]["resources"]:
        if resource["urn"].endswith(f"::{site.app}-1-bootstrap"):
            said = resource["outputs"]["stdout"]
            text = json.loads(said["plaintext"]) if isinstance(said, dict) else said
            lines = [line for line in text.splitlines() if not line.startswith(MARK)]  # on the way
            return [line.removeprefix(f"{site.app}-1: ") for line in lines]
    raise AssertionError("no bootstrap in the state")


def pids(site: Site) -> dict[str, str]:
    """The main processes of sshd and of each worker."""
    sshd = site.host(1).run("systemctl show --property=MainPID --value ssh").stdout.strip()
    return {"sshd": sshd, **site.workers(site.host(1))}


def may(host: LabHost, command: str) -> bool:
    """Whether the app's user may do that as root."""
    return host.run(f"runuser -u ready -- sudo -n {command}", check=False).returncode == 0


def test_bootstrap_says_what_it_did_and_does_nothing_twice(ready: Site, host: LabHost) -> None:
    first = report(ready)
    did = dict.fromkeys(NAMES, "changed")
    idle = ["cloud-init", "environment", "app keys", "ruby", "rotation", "queue metrics"]
    did |= dict.fromkeys(idle, "already right")  # nothing asked for
    assert first[:-1] == [f"{name}: {what}" for name, what in did.items()]
    assert host.run("lab-tool").stdout == "1.0\n"
    before = pids(ready)
    assert len(before) == 3

    ready.put("packages[2]", "less")  # which the image has
    ready.up()
    assert report(ready)[-1] == f"changed: nothing; already right: {', '.join(NAMES)}"

    host.run("echo 'Unattended-Upgrade::Origins-Pattern:: \"origin=Lab\";' >/root/lab.conf")
    pins = "/etc/apt/preferences.d/satellite-ready"
    for removed, version in (("", "1.0"), (f"rm {pins}; ", "2.0")):
        host.run(f"{removed}APT_CONFIG=/root/lab.conf unattended-upgrade")
        assert host.run("lab-tool").stdout == f"{version}\n"
    ready.put("unattended_upgrades", "false")
    ready.up()
    assert report(ready)[-1].startswith("changed: packages, unattended upgrades; already right: ")
    assert host.run("lab-tool").stdout == "1.0\n"
    periodic = "apt-config dump APT::Periodic::Unattended-Upgrade"
    assert host.run(periodic).stdout == 'APT::Periodic::Unattended-Upgrade "0";\n'
    ready.unset("unattended_upgrades")
    ready.unset("packages[1]")
    ready.unset("apt_sources")
    ready.up()
    assert report(ready)[-1].startswith(
        "changed: package sources, packages, unattended upgrades; already"
    )
    assert host.run(periodic).stdout == 'APT::Periodic::Unattended-Upgrade "1";\n'
    assert host.run("ls /etc/apt/sources.list.d /etc/apt/keyrings").stdout.split() == [
        "/etc/apt/keyrings:",
        "/etc/apt/sources.list.d:",
        "lab.sources",
    ]
    assert host.run("apt-cache policy lab-tool").stdout.count("http://") == 0
    assert pids(ready) == before


def test_monit_tells_of_a_killed_worker_and_starts_nothing(ready: Site, host: LabHost) -> None:
    file = "/etc/monit/conf.d/satellite-ready"
    assert host.run(f"stat --format='%a %U' {file}").stdout == "600 root\n"
    assert host.run("monit -t").stdout == "Control file syntax OK\n"
    assert host.run(f"grep -rl {CANARY} /etc").stdout == f"{file}\n"
    unit, pid = sorted(ready.workers(host).items())[0]
    host.run(f"kill -9 {pid}")

    def told() -> bool:
        return (
            f"status failed (1) -- {unit}: ended early" in host.run("cat /var/log/monit.log").stdout
        )

    wait_until("monit's word on the killed worker", told)
    wait_until("systemd has started it again", lambda: len(ready.workers(host)) == 2)
    host.run(f"touch --date='1 hour ago' /run/satellite/ready/ends/{unit}")
    wait_until(
        "monit's word that it is over",
        lambda: "status succeeded (0)" in host.run("cat /var/log/monit.log").stdout,
    )
    log = host.run("cat /var/log/monit.log").stdout
    assert log.count("'ready.worker.restarts' status succeeded") == 1
    assert CANARY not in log


def test_logs_are_rotated_under_an_open_file(ready: Site, host: LabHost) -> None:
    log, config = "/app/ready/shared/log/worker.log", "/etc/logrotate.d/satellite-ready"
    checked = host.run(f"logrotate --debug {config} 2>&1").stdout
    assert "error" not in checked
    assert f"considering log {log}" in checked
    assert "log needs rotating" not in checked  # not before a day is over
    before = pids(ready)
    host.run(f"logrotate --force {config}")
    assert host.run(f"zcat {log}.1.gz | sort -u").stdout == "works\n"
    assert host.run(f"stat --format=%U {log} {log}.1.gz").stdout.split() == ["ready", "ready"]
    wait_until("the log goes on", lambda: host.run(f"grep works {log}", check=False).stdout, 10)
    assert pids(ready) == before
    assert "logrotate.timer" in host.run("systemctl list-timers --no-pager").stdout
    # a user that somebody made before, in a group of others, too
    host.run("usermod --gid users ready")
    ready.put("packages[2]", "sed")  # which the image has
    ready.up()
    assert "log rotation" in report(ready)[-1].partition(";")[0]
    host.run(f"logrotate --force {config}")
    assert host.run(f"stat --format=%G {log}.1.gz").stdout == "users\n"


def test_the_apps_user_may_look_at_its_workers_and_nothing_else(host: LabHost) -> None:
    assert "/etc/sudoers.d/satellite-ready: parsed OK" in host.run("visudo --check").stdout
    look = "/usr/bin/journalctl --no-pager -n 1000 -u"
    told = host.run(f"runuser -u ready -- sudo -n {look} 'satellite-ready.*'").stdout
    assert "Started satellite-ready.worker@1.service" in told
    assert may(host, "/usr/local/lib/satellite/agent status --app ready")
    for command in (
        "true",
        f"{look} ssh",
        f"{look} 'satellite-ready.*' -u ssh",
        f"{look} 'satellite-ready.x*'",
        "/usr/bin/journalctl -n 1000 -u 'satellite-ready.*'",
        "/usr/local/lib/satellite/agent status --app other",
        "/usr/local/lib/satellite/agent drain --app ready --host ready-1 --machine 1",
    ):
        assert not may(host, command), command


def test_sshd_has_its_share_and_is_not_restarted(host: LabHost) -> None:
    checked = host.run("systemd-analyze verify ssh.service system.slice 2>&1", check=False).stdout
    assert "satellite.conf" not in checked
    show = "systemctl show --property=MemoryMin --property=OOMScoreAdjust --property=DropInPaths"
    drop_in = "DropInPaths=/etc/systemd/system/{}.d/satellite.conf"
    assert sorted(host.run(f"{show} ssh.service").stdout.splitlines()) == [
        drop_in.format("ssh.service"),
        "MemoryMin=33554432",
        "OOMScoreAdjust=-200",
    ]
    assert sorted(host.run(f"{show} system.slice").stdout.splitlines()) == [
        drop_in.format("system.slice"),
        "MemoryMin=33554432",
    ]
    assert host.run("systemctl show --property=NeedDaemonReload --value ssh").stdout == "no\n"


def test_needrestart_leaves_workers_alone(ready: Site, host: LabHost) -> None:
    # what an upgrade of the C library does to every process
    library = host.run("ldconfig -p | sed -n 's/.*libc.so.6 .*x86-64.*=> //p;'").stdout.split()[0]
    host.run(f"cp -p --dereference {library} /new && mv /new $(readlink --canonicalize {library})")
    before = ready.workers(host)
    override = "/etc/needrestart/conf.d/satellite.conf"
    units = list(before)

    def restarted(how: str) -> list[str]:
        """The workers that it would restart, and does when told so; not those that it puts off."""
        told = host.run(f"needrestart -r {how} -l 2>&1").stdout
        assert "ssh.service" in told
        now, _, deferred = told.partition("Service restarts being deferred:")
        assert all((unit in now) != (unit in deferred) for unit in units)
        return [unit for unit in units if unit in now]

    host.run(f"mv {override} /root")
    assert restarted("l") == units
    host.run(f"mv /root/satellite.conf {override}")
    assert restarted("a") == []
    assert ready.workers(host) == before
