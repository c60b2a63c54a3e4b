"""Releases on three real hosts: good, failing, cut off, raced, and none at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.client import LabHost
from tests.e2e.conftest import CANARY, PLAIN_APP, UP, Site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]


def good(site: Site, files: Mapping[str, str] | None = None) -> str:
    """Deploy a new good commit; all hosts run it and nothing else."""
    commit = site.repository.commit(files or {"number": os.urandom(4).hex()})
    site.up()
    for host in site.hosts():
        assert site.revision(host) == commit
        assert site.runs_from(host) == {commit}
        assert len(site.workers(host)) == 2
    return commit


def test_second_up_changes_nothing_and_visits_nobody(plain: Site, tmp_path: Path) -> None:
    good(plain)
    before = plain.logins()
    out = plain.up()
    assert "unchanged" in out
    for word in ("created", "updated", "replaced", "deleted"):
        assert f" {word}" not in out.partition("Resources:")[2]
    # another clone, with another umask, in another folder
    other = tmp_path / "elsewhere" / "clone"
    shutil.copytree(plain.stack.project, other, ignore=shutil.ignore_patterns("__pycache__"))
    for path in other.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
        os.utime(path, (1, 1))
    command = ["pulumi", *UP, "--expect-no-changes", "--stack", plain.stack.name]
    done = subprocess.run(command, cwd=other, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert plain.logins() == before


def test_preview_shows_both_revisions_for_each_host_and_nothing_secret(plain: Site) -> None:
    old = good(plain)
    new = plain.repository.commit({"number": "preview"})
    out = plain.pulumi("preview", "--diff")
    for host in plain.hosts():
        before, _, after = out.partition(f"host: {host.name}\n")
        assert after, f"{host.name} is not in the preview"
        lines = [line.strip() for line in after.splitlines()[:2]]
        assert lines == [f"- revision: {old}", f"+ revision: {new}"], (before[-500:], lines)
    assert CANARY not in out


def test_release_that_fails_on_the_second_host(plain: Site) -> None:
    old = good(plain)
    first, second, third = plain.hosts()
    pids = {host.name: plain.workers(host) for host in (second, third)}
    logins = third.ssh_logins()
    # only the second host lacks what the build asks for
    for host in (first, third):
        host.run("touch /has-it")
    plain.put("build[0]", 'test -e /has-it || { echo "no $CANARY here"; exit 4; }')
    new = plain.repository.commit({"number": "fails on the second"})
    out = plain.fails(*UP)
    for part in (
        f"plain-2: release of {new[:12]} FAILED in phase `build`",
        "ended with status 4",
        "plain-2 runs its last good release",
        "/var/log/satellite/plain/release-",
        "  | no [CANARY] here",
        "nothing has to be cleaned by hand",
    ):
        assert part in out
    assert CANARY not in out
    assert [plain.revision(host) for host in plain.hosts()] == [new, old, old]
    assert {host.name: plain.workers(host) for host in (second, third)} == pids
    assert third.ssh_logins() == logins
    plain.unset("build")
    good(plain)


@pytest.mark.parametrize(
    ("files", "phase"),
    [
        ({"worker": "#!/bin/sh\nexit 1\n"}, "gate"),
        ({"worker": "#!/bin/sh\nsleep 1.5\nexit 0\n"}, "gate"),
        ({"Procfile": "web: ./web\n"}, "check out"),
    ],
    ids=["crashes at once", "dies later", "no such process type"],
)
def test_bad_release_leaves_the_old_one_running(
    files: dict[str, str], phase: str, plain: Site
) -> None:
    old = good(plain)
    bad = plain.repository.commit(files)
    out = plain.fails(*UP)
    assert f"plain-1: release of {bad[:12]} FAILED in phase `{phase}`" in out
    for host in plain.hosts():
        assert plain.revision(host) == old
        assert len(plain.workers(host)) == 2
        assert plain.runs_from(host) == {old}
        assert not host.run("ls /var/lib/satellite/plain/journal.json", check=False).stdout
    good(plain, PLAIN_APP)


TALKS = """#!/bin/sh
trap 'echo old ends; exit 0' TERM
while :; do echo old works; sleep 0.1 & wait $!; done
"""


@pytest.mark.parametrize(
    "end", ["exit 3", "sleep 1.5; exit 3"], ids=["crashes at once", "dies later"]
)
def test_only_the_new_workers_last_words_are_told(end: str, plain: Site) -> None:
    """The old one's, which talked until the very restart, would hide them."""
    good(plain, {"worker": TALKS})
    words = "echo 'worker.rb:13: kaboom'; printf '\\tfrom worker.rb:20\\n'"
    plain.repository.commit({"worker": f"#!/bin/sh\n{words}; {end}\n"})
    out = plain.fails(*UP)
    assert re.search(r"worker\.[12] said: worker\.rb:13: kaboom", out)  # whichever ended first
    assert " said: Main process exited, code=exited, status=3" in out
    assert "said: old" not in out
    good(plain, PLAIN_APP)


DROP = "/run/systemd/system/satellite-plain.worker@.service.d"
STOPS, NOTES = "/run/satellite/plain/stops", "/var/lib/satellite/plain/workers"
ENDS = f"""
mkdir -p {DROP}
echo "[Service]
ExecStopPost=-/bin/sh -c 'ls {STOPS} | grep -F -e %n >>/tmp/ends'" >{DROP}/ends.conf
systemctl daemon-reload
"""
"""Notes what each worker's end leaves for the next start, once its own unit has seen to it."""


def gone(host: LabHost) -> None:
    """Wait until both workers have a note, and their ends have left nothing there."""
    listed = f"ls {STOPS}; echo --; ls {NOTES} | wc -l"
    wait_until("no end is left", lambda: host.run(listed).stdout.split() == ["--", "2"])


def test_clean_ends_are_left_to_the_next_starts_of_a_deploy_and_no_others(plain: Site) -> None:
    good(plain)
    hosts = plain.hosts()
    units = [f"satellite-plain.worker@{n}.service" for n in (1, 2)]
    for host in hosts:
        host.run(ENDS)
    try:
        good(plain)
        for host in hosts:
            left = sorted(host.run("cat /tmp/ends; rm /tmp/ends").stdout.split())
            want = sorted(f"{unit}{end}" for unit in units for end in ("", ".anew", ".left"))
            assert left == want
            # the next start has looked at it, and at no end that nobody waits for is anything left
            gone(host)
            host.run(f"systemctl restart {' '.join(units)}")
            gone(host)
            assert not set(host.run("cat /tmp/ends").stdout.split()) - set(units)
        # one that is left to a start which systemd skips
        host = hosts[0]
        host.run(f"echo '[Unit]\nConditionPathExists=/no' >{DROP}/no.conf; systemctl daemon-reload")
        host.run("/usr/local/lib/satellite/agent restart --app plain worker.2")
        wait_until("it is asked for", lambda: host.run(f"ls {NOTES} | wc -l").stdout == "1\n")
        host.run(f"rm {DROP}/no.conf; systemctl daemon-reload; systemctl start {units[1]}")
        gone(host)
    finally:
        for host in hosts:
            host.run(f"rm -r {DROP}; systemctl daemon-reload")


def test_engine_killed_in_mid_release(plain: Site) -> None:
    old = good(plain)
    host = plain.host(1)
    plain.put("build[0]", "sleep 4")
    new = plain.repository.commit({"number": "engine killed"})
    engine = plain.start()
    wait_until("the build runs", lambda: plain.phase(host) == "build")
    os.killpg(engine.pid, signal.SIGKILL)
    engine.communicate()
    plain.ended(host)
    assert plain.revision(host) == new
    assert plain.runs_from(host) == {new}
    plain.pulumi("cancel", "--yes")
    plain.unset("build")
    # the engine's state never knew of another release than the old one: the way back is real
    plain.put("revision", old)
    plain.up()
    assert [plain.runs_from(each) for each in plain.hosts()] == [{old}] * 3
    plain.unset("revision")
    good(plain)


@pytest.mark.parametrize("where", ["build", "gate"])
def test_agent_killed_on_the_host(where: str, plain: Site) -> None:
    old = good(plain)
    host = plain.host(1)
    plain.put("build[0]", "sleep 3")
    plain.put("gate_seconds", "5")
    bad = plain.repository.commit({"number": f"killed in {where}"})
    engine = plain.start()
    wait_until(where, lambda: plain.phase(host) == where)
    host.run("systemctl kill --signal=KILL satellite-plain-release.service")
    out, _ = engine.communicate()
    assert engine.returncode != 0
    assert (
        f"release of {bad[:12]} FAILED in phase `{where}`: the release's program was killed" in out
    )
    assert plain.revision(host) == old
    wait_until("the old workers run", lambda: len(plain.workers(host)) == 2)
    assert plain.runs_from(host) == {old}
    plain.unset("build")
    plain.put("gate_seconds", "2")
    good(plain)


def test_power_cut_in_mid_switch(plain: Site) -> None:
    old = good(plain)
    host = plain.host(1)
    plain.put("gate_seconds", "30")
    plain.repository.commit({"number": "power cut"})
    engine = plain.start()
    wait_until("gate", lambda: plain.phase(host) == "gate")
    host.kill()
    engine.communicate()
    plain.lab.ec2.stop_instances(InstanceIds=[host.instance_id])
    plain.lab.ec2.start_instances(InstanceIds=[host.instance_id])
    wait_until("the host is back", lambda: any(h.name == host.name for h in plain.hosts()))
    again = plain.host(1)
    wait_until("its workers run", lambda: len(plain.workers(again)) == 2)
    assert plain.revision(again) == old
    assert plain.runs_from(again) == {old}
    plain.put("gate_seconds", "2")
    good(plain)


@pytest.mark.parametrize("place", ["/app/plain", "/var/lib/satellite/plain"], ids=["app", "state"])
def test_a_disk_that_comes_late_after_a_power_cut_in_mid_release(place: str, plain: Site) -> None:
    """It has no good release, or no memory of one, while it is not mounted, and loses none."""
    host = plain.host(1)
    disk, unit = f"/disks{place}", f"{place[1:].replace('/', '-')}.mount"
    host.run(f"mkdir -p {disk} && cp -a {place}/. {disk}")
    host.run(f"echo '{disk} {place} none bind,nofail 0 0' >>/etc/fstab")
    host.run(f"systemctl daemon-reload && systemctl start {unit}")
    old = good(plain)
    # what is below the disk is empty
    host.run(f"mount --bind / /mnt && rm -rf /mnt{place}/* && umount /mnt")
    plain.put("gate_seconds", "30")
    plain.repository.commit({"number": f"without {place}"})
    engine = plain.start()
    wait_until("gate", lambda: plain.phase(host) == "gate")
    host.run(f"sed -i 's,^{disk},#&,' /etc/fstab")
    host.kill()
    engine.communicate()
    plain.lab.ec2.stop_instances(InstanceIds=[host.instance_id])
    plain.lab.ec2.start_instances(InstanceIds=[host.instance_id])
    wait_until("the host is back", lambda: any(h.name == host.name for h in plain.hosts()))
    again = plain.host(1)
    said = "journalctl --boot --output=cat --unit=satellite-plain-recover.service"
    wait_until("it is missed", lambda: " is not there: " in again.run(said, check=False).stdout)
    again.run(f"sed -i 's,^#{disk},{disk},' /etc/fstab && systemctl daemon-reload")
    # and nobody mounts it
    wait_until("its workers run", lambda: len(plain.workers(again)) == 2, 120)
    assert plain.revision(again) == old
    assert plain.runs_from(again) == {old}
    plain.put("gate_seconds", "2")
    good(plain)


def test_next_deploy_waits_for_a_release_that_still_runs(plain: Site) -> None:
    good(plain)
    host = plain.host(1)
    plain.put("build[0]", "sleep 5")
    first = plain.repository.commit({"number": "first of two"})
    engine = plain.start()
    wait_until("the build runs", lambda: plain.phase(host) == "build")
    os.killpg(engine.pid, signal.SIGKILL)
    engine.communicate()
    plain.pulumi("cancel", "--yes")
    plain.unset("build")
    second = good(plain)
    lines = host.run("cat /var/lib/satellite/plain/history.jsonl").stdout.splitlines()
    ends = [(line["outcome"], line["revision"]) for line in map(json.loads, lines[-2:])]
    assert ends == [("good", first), ("good", second)]
