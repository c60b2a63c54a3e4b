"""Process types on a real host: limits, signals, variables, overlap, crash loops, dead workers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from lab.client import LabHost
from tests.e2e.conftest import UP, Site, demolished, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
FIRST = "satellite-form.worker@1.service"
BESIDE = "satellite-form.worker@1.1.service"
WORKER = """#!/bin/bash
# its job takes as long as /tmp/busy is there; /tmp/sick: a crash, /tmp/hungry: all memory
end() { while test -e /tmp/busy; do sleep 0.1; done; exit 0; }
trap end INT
test ! -e /tmp/sick || exit 3
# waits without a child: who was not alone has not ended by itself
test -p ~/never || mkfifo ~/never
exec 3<>~/never
while :; do
    test ! -e /tmp/hungry || exec tail /dev/zero
    read -rt 1 -u 3
done
"""


@pytest.fixture(scope="module")
def form(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts with one worker each that ends on SIGINT, and tells a file of the dead."""
    settings = {
        "processes.worker.quantity": "1",
        "processes.worker.signal": "INT",
        "processes.worker.grace": "300",
        "processes.worker.cpu": "150%",
        "processes.worker.memory_max": "300M",
        "processes.worker.overlap": "true",
        "processes.worker.env.QUEUES": "mail",
        "processes.worker.env.CANARY": "plain",
        "processes.worker.on_kill": 'echo "$QUEUES $DEAD_WORKERS" >> /tmp/dead',
    }
    files = {"Procfile": "worker: exec ./worker\n", "worker": WORKER}
    site = new_site(tmp_path_factory.mktemp("form"), "form", files, hosts=2, settings=settings)
    with demolished(site):
        site.up()
        yield site


def shown(host: LabHost, unit: str, *properties: str) -> dict[str, str]:
    """What systemd knows of the unit."""
    text = host.run(f"systemctl show --property={','.join(properties)} {unit}").stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def environment(host: LabHost, pid: str) -> dict[str, str]:
    text = host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_type_has_its_limits_signal_and_variables(form: Site) -> None:
    host = form.host(1)
    assert shown(host, FIRST, "KillSignal", "MemoryMax", "CPUQuotaPerSecUSec", "NRestarts") == {
        "KillSignal": "2",
        "MemoryMax": str(300 << 20),
        "CPUQuotaPerSecUSec": "1.500000s",
        "NRestarts": "0",
    }
    found = environment(host, form.workers(host)[FIRST])
    assert (found["QUEUES"], found["CANARY"]) == ("mail", "plain")


def test_a_release_that_fails_leaves_old_workers_their_limit(form: Site) -> None:
    """On a host with cgroup v2 a lower one would end them."""
    host = form.host(1)
    before = form.workers(host)
    form.put("processes.worker.memory_max", "100M")
    form.put("health", f"systemctl show --property=MemoryMax {BESIDE}; exit 1")
    assert f"MemoryMax={100 << 20}" in form.fails(*UP)
    assert form.workers(host) == before
    assert shown(host, FIRST, "MemoryMax") == {"MemoryMax": str(300 << 20)}
    form.put("processes.worker.memory_max", "300M")
    form.unset("health")
    form.up()
    assert form.workers(host) == before


def test_new_workers_run_beside_old_ones_that_finish(form: Site) -> None:
    host = form.host(1)
    old = form.workers(host)
    host.run("touch /tmp/busy; rm -f /tmp/dead")
    new_commit = form.repository.commit({"note": "beside"})
    form.up()
    new = form.workers(host)
    assert (list(old), list(new)) == ([FIRST], [BESIDE])
    assert form.runs_from(host) == {new_commit}
    # the old one was told at the end of its host's release, and nobody waited for it
    pids = [*old.values(), *new.values()]
    assert len({environment(host, pid)["WORKER_NAME"] for pid in pids}) == 2
    assert shown(host, FIRST, "ActiveState") == {"ActiveState": "deactivating"}
    host.run("rm /tmp/busy")
    wait_until(
        "the old one ended",
        lambda: shown(host, FIRST, "ActiveState") == {"ActiveState": "inactive"},
    )
    assert host.run("ls /var/lib/satellite/form/workers | wc -l").stdout.strip() == "1"
    assert not host.run("cat /tmp/dead", check=False).stdout
    # the boot starts the one that is right, once
    host.reboot()
    wait_until("it runs", lambda: list(form.workers(form.host(1))) == list(new))


def test_a_crash_loop_backs_off_is_seen_and_ends_with_a_deploy(form: Site) -> None:
    host = form.host(1)
    (unit, pid), *_ = form.workers(host).items()
    name = environment(host, pid)["WORKER_NAME"]
    host.run(f"rm -f /tmp/dead; touch /tmp/sick; kill -9 {pid}")
    status = f"systemctl status --no-pager {unit}"
    wait_until(
        "its jobs are given back", lambda: f"mail {name}" in host.run("cat /tmp/dead").stdout
    )
    wait_until(
        "it backs off",
        lambda: (
            "ended early 5 times in a row; starts again in 15 s"
            in host.run(status, check=False).stdout
        ),
        40,
    )
    assert int(shown(host, unit, "NRestarts")["NRestarts"]) == 5
    assert len(set(host.run("cat /tmp/dead").stdout.split()) - {"mail"}) == 5
    host.run("rm /tmp/sick")
    form.repository.commit({"note": "well again"})
    began = time.monotonic()
    form.up()
    assert time.monotonic() - began < 60
    assert len(form.workers(host)) == 1


def test_a_worker_that_outgrows_its_limit_is_seen_and_what_it_held_is_given_back(
    form: Site,
) -> None:
    """Again and again: the kernel ends it, its jobs are free at once, and it backs off."""
    host = form.host(1)
    (unit, pid), *_ = form.workers(host).items()
    name = environment(host, pid)["WORKER_NAME"]
    host.run("touch /tmp/hungry")
    wait_until(
        "its jobs are given back", lambda: f"mail {name}" in host.run("cat /tmp/dead").stdout
    )
    ends = f"journalctl --quiet --output=cat --unit={unit}"
    wait_until(
        "it is said",
        lambda: re.search(r"\((signal|oom-kill)\), 3 times in a row", host.run(ends).stdout),
    )
    assert int(shown(host, unit, "NRestarts")["NRestarts"]) >= 2
    host.run("rm /tmp/hungry")
    wait_until("it is well", lambda: len(form.workers(host)) == 1)


def test_one_that_finishes_before_the_next_starts_keeps_its_limits_to_its_end(form: Site) -> None:
    """And the next one, which starts in its unit, has its own."""
    host = form.host(1)
    (unit, pid), *_ = form.workers(host).items()
    limits = ("ActiveState", "MemoryMax", "CPUQuotaPerSecUSec")
    host.run("touch /tmp/busy")
    form.put("processes.worker.overlap", "false")
    form.put("processes.worker.memory_max", "200M")
    form.put("processes.worker.cpu", "120%")
    engine = form.start()
    wait_until(
        "the old one finishes", lambda: "deactivating" in shown(host, unit, *limits).values()
    )
    time.sleep(1)  # so that whatever else the update does at once is done
    old = {"MemoryMax": str(300 << 20), "CPUQuotaPerSecUSec": "1.500000s"}
    assert shown(host, unit, *limits) == {"ActiveState": "deactivating", **old}
    assert host.run(f"cat /proc/{pid}/comm").stdout == "worker\n"
    host.run("rm /tmp/busy")
    engine.communicate(timeout=120)
    assert engine.returncode == 0
    new = {"MemoryMax": str(200 << 20), "CPUQuotaPerSecUSec": "1.200000s"}
    assert shown(host, unit, *limits) == {"ActiveState": "active", **new}
    assert form.workers(host)[unit] != pid


def test_what_a_lost_host_held_is_given_back_by_the_other(form: Site) -> None:
    lost, leader = form.host(2), form.host(1)
    lost.kill()
    form.put("hosts.form-2.lost", "true")
    form.up()
    assert f"mail form-2.{lost.instance_id}.\n" in leader.run("cat /tmp/dead").stdout
