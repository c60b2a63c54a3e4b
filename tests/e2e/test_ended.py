"""What somebody or something ends on a host: systemd decides what comes of it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import LabHost
from satellite_infra.agent.frontend import UNLESS_GOOD
from tests.e2e.conftest import PLAIN_APP, Site, demolished, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]

UNIT = "satellite-ended-release.service"
STATE = "/var/lib/satellite/ended"
AGENT = "/usr/local/lib/satellite/agent"
BOOT = "/proc/sys/kernel/random/boot_id"
# a release waits for its end in phase `switch`
SLOW = "#!/bin/sh\ntrap 'sleep 4; exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n"
PROGRAM = f"$(systemctl show --property=MainPID --value {UNIT})"
BY_HAND = [
    *(f"kill -{signal} {PROGRAM}" for signal in ("TERM", "INT", "HUP", "KILL")),
    f"systemctl stop {UNIT}",
    f"systemctl kill --signal=TERM {UNIT}",
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host with two shell workers, up."""
    folder = tmp_path_factory.mktemp("ended")
    site = new_site(folder, "ended", {**PLAIN_APP, "worker": SLOW}, hosts=1, settings={})
    with demolished(site):
        site.up()
        yield site


def good(site: Site) -> str:
    """Deploy a new good commit, which the host runs then."""
    commit = site.repository.commit({"number": os.urandom(4).hex()})
    site.up()
    runs(site, commit)
    return commit


def runs(site: Site, commit: str) -> None:
    """The host runs that commit and nothing else, and nothing is left to do."""
    host = site.host(1)
    wait_until("both workers run", lambda: len(site.workers(host)) == 2)
    assert (site.revision(host), site.runs_from(host)) == (commit, {commit})
    assert host.run(f"ls {STATE}/journal.json", check=False).returncode != 0


def last_outcomes(host: LabHost) -> list[str]:
    """The last two of the host's history."""
    lines = host.run(f"cat {STATE}/history.jsonl").stdout.splitlines()
    return [json.loads(line)["outcome"] for line in lines[-2:]]


# of a unit: properties, a script, and whether its recovery has to run; {there} is a journal
ENDS: dict[str, tuple[str, str, bool]] = {
    "good": ("", "exit 0", False),
    "good, with a journal left": ("", "touch {there}", True),
    "good, while systemd executes itself anew": ("", "systemctl daemon-reexec; exit 0", False),
    "failed": ("", "exit 1", True),
    "not there": ("", "exec /nowhere", True),
    **{
        signal: ("", f"kill -{signal} $$; sleep 9", True)
        for signal in ("TERM", "INT", "HUP", "KILL", "ABRT")
    },
    "too late": ("--property=RuntimeMaxSec=1", "sleep 60", True),
    "silent": (
        "--property=Type=notify --property=WatchdogSec=1",
        "systemd-notify --ready; sleep 60",
        True,
    ),
    "out of memory": ("--property=MemoryMax=16M", "tail /dev/zero", True),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_recovery_follows_whatever_is_not_a_good_end(
    how: str, ended: Site, tmp_path: Path
) -> None:
    properties, script, recovers = ENDS[how]
    host = ended.host(1)
    there, done = f"/tmp/journal-{tmp_path.name}", f"/tmp/done-{tmp_path.name}"
    host.run(f"cat >{done}.sh", input=script.format(there=there))
    stop = UNLESS_GOOD.format(there, f"touch {done}.recovered")
    host.run(
        f"systemd-run --unit=end --collect --wait --quiet --property=NotifyAccess=all {properties} "
        f"--property=ExecStopPost={shlex.quote(stop)} "
        f"--property=ExecStopPost='/bin/touch {done}' /bin/sh {done}.sh",
        check=False,
    )
    wait_until("it has ended", lambda: host.run(f"ls {done}", check=False).returncode == 0)
    assert (host.run(f"ls {done}.recovered", check=False).returncode == 0) == recovers


@pytest.mark.parametrize("where", ["switch", "gate"])
def test_a_release_that_somebody_ends_goes_back(where: str, ended: Site) -> None:
    old = good(ended)
    host = ended.host(1)
    ended.put("gate_seconds", "30")
    for end in (*BY_HAND, "satellite lock release"):
        host.run("rm /run/satellite/ended/phase")
        bad = ended.repository.commit({"number": f"{where}: {end}"})
        engine = ended.start()
        wait_until(where, lambda: ended.phase(host) == where)
        if end in BY_HAND:
            host.run(end)
        else:
            done = ended.satellite(*end.split()[1:], "--host", host.name, "--yes")
            assert f"-{old[:7]} now" in done.stdout
        out, _ = engine.communicate()
        assert engine.returncode != 0
        told = f"release of {bad[:12]} FAILED in phase `{where}`: the release's program was killed"
        assert told in out, end
        runs(ended, old)
        assert last_outcomes(host) == ["recovered", "killed"], end
    ended.put("gate_seconds", "2")
    good(ended)


def test_a_reboot_in_mid_release_goes_back(ended: Site) -> None:
    old = good(ended)
    host = ended.host(1)
    ended.put("gate_seconds", "30")
    ended.repository.commit({"number": "rebooted"})
    engine = ended.start()
    wait_until("gate", lambda: ended.phase(host) == "gate")
    boot = host.run(f"cat {BOOT}").stdout
    host.reboot()
    engine.communicate()
    back = ("", boot)
    wait_until("it is back", lambda: host.run(f"cat {BOOT}", check=False).stdout not in back)
    runs(ended, old)
    assert last_outcomes(host)[-1] == "recovered"
    ended.put("gate_seconds", "2")
    good(ended)


def test_a_release_phase_that_somebody_ends_touches_no_worker(ended: Site) -> None:
    old = good(ended)
    host = ended.host(1)
    workers = ended.workers(host)
    ended.put("release_phase", "on")
    files = {"Procfile": "worker: ./worker\nrelease: sleep 60\n"}
    bad = ended.repository.commit(files)
    engine = ended.start()
    wait_until("it runs", lambda: ended.phase(host) == "release phase")
    host.run(f"systemctl stop {UNIT}")
    out, _ = engine.communicate()
    killed = "the release phase's program was killed"
    assert f"release phase of {bad[:12]} FAILED in phase `release phase`: {killed}" in out
    runs(ended, old)
    assert ended.workers(host) == workers
    ended.unset("release_phase")
    ended.repository.commit(PLAIN_APP)
    good(ended)


def queue(host: LabHost) -> None:
    """Have systemd start the workers as at a boot that waits for something before them."""
    late = "/run/systemd/system/satellite-ended-recover.service.d"
    host.run(
        "systemctl stop satellite-ended.target && "
        f"mkdir -p {late} && printf '[Service]\\nExecStartPre=sleep 60\\n' >{late}/late.conf && "
        "systemctl daemon-reload && systemctl start --no-block satellite-ended-recover.service && "
        "systemctl start --no-block satellite-ended.target"
    )
    jobs = host.run("systemctl list-jobs --no-legend").stdout
    assert jobs.count("satellite-ended.worker@") == 2, jobs
    host.run(f"rm -r {late} && systemctl daemon-reload")


def drained(host: LabHost) -> str:
    """The last that a drain of the host says."""
    machine = json.loads(host.run(f"cat {STATE}/host.json").stdout)["machine"]
    drain = f"{AGENT} drain --app ended --host {host.name} --machine {machine}"
    return host.run(drain).stdout.splitlines()[-1]


def boots(host: LabHost) -> str:
    """What runs of the workers, or still has to, when what the boot waited for has come."""
    host.run("systemctl stop satellite-ended-recover.service")
    units = "satellite-ended.worker@*"
    return host.run(f"sleep 1; systemctl list-units --no-legend --state=active '{units}'").stdout


def test_workers_that_a_boot_has_still_to_start_are_stopped(ended: Site) -> None:
    commit = good(ended)
    host = ended.host(1)
    queue(host)
    said = host.run(f"{AGENT} stop --app ended").stdout
    assert said.startswith("stopped worker.1, worker.2, until")
    assert boots(host) == ""
    host.run(f"{AGENT} start --app ended")
    runs(ended, commit)


def test_workers_that_a_boot_has_still_to_start_are_drained(ended: Site) -> None:
    good(ended)
    host = ended.host(1)
    queue(host)
    assert drained(host) == "drained, 2 workers ended"
    assert boots(host) == ""
    good(ended)


def test_a_drain_ends_the_release_and_what_it_has_started(ended: Site) -> None:
    good(ended)
    host = ended.host(1)
    ended.put("gate_seconds", "30")
    ended.repository.commit({"number": "drained"})
    engine = ended.start()
    wait_until("gate", lambda: ended.phase(host) == "gate")
    assert drained(host) == "drained, 2 workers ended"
    engine.communicate()
    assert boots(host) == ""
    ended.put("gate_seconds", "2")
    good(ended)
