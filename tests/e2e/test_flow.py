"""How a release goes through the hosts: release phase, health, canary, rollback, history."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import LabHost
from tests.e2e.conftest import CANARY, PLAIN_APP, UP, AppRepository, Site, demolished, new_site

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
# leaves a line for each run where releases do not reach, and fails where the commit says so
APP = {
    **PLAIN_APP,
    "Procfile": "worker: ./worker\nrelease: ./migrate\n",
    "migrate": (
        '#!/bin/sh\necho "$PS $(cat REVISION)" >>~/migrated\n'
        '[ ! -e broken ] || { echo "no $CANARY here"; exit 7; }\n'
    ),
    "healthy": "yes",
}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three hosts with two shell workers each, up, with a release phase and a health command."""
    settings = {
        "release_phase": "on",
        "health": 'echo "$CANARY"; grep -q yes healthy',
        "max_unavailable": "50%",
    }
    site = new_site(tmp_path_factory.mktemp("flow"), "flow", APP, hosts=3, settings=settings)
    with demolished(site):
        site.up()
        yield site


def deployed(site: Site, **files: str) -> str:
    """A new commit on all hosts."""
    commit = site.repository.commit({"number": os.urandom(4).hex(), **files})
    site.up()
    assert [site.runs_from(host) for host in site.hosts()] == [{commit}] * 3
    return commit


def untouched(site: Site) -> list[tuple[str, dict[str, str]]]:
    """What must be the same where no worker was restarted."""
    return [(site.revision(host), site.workers(host)) for host in site.hosts()]


def migrated(host: LabHost) -> list[str]:
    """What the release phases of this host left."""
    return host.run("cat ~flow/migrated", check=False).stdout.splitlines()


def phases(host: LabHost) -> list[str]:
    """The phases of the host's last release, by its log."""
    log = host.run("cat $(ls -t /var/log/satellite/flow/*.log | head -n 1)").stdout
    return [line.removeprefix("== ") for line in log.splitlines() if line.startswith("== ")]


def history(host: LabHost) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(
        host.run("/usr/local/lib/satellite/agent history --app flow --json").stdout
    )
    return found


def test_the_release_phase_runs_once_for_each_commit_on_the_leader(flow: Site) -> None:
    commit = deployed(flow)
    first, *others = flow.hosts()
    assert migrated(first)[-1] == f"release.1 {commit}"
    before = migrated(first)
    # its release only switches to what the phase has built
    assert phases(first) == [
        *("check", "journal", "switch", "gate", "mark good", "close", "prune"),
    ]
    assert "build" in phases(others[0])
    # another config var, and a worker more, are no new commit
    flow.pulumi("config", "set", "--path", "--secret", "satellite:config.OTHER", "a value")
    flow.put("processes.worker.quantity", "3")
    flow.up()
    flow.put("processes.worker.quantity", "2")
    flow.up()
    # neither is another leader
    flow.put("hosts.flow-1.lost", "true")
    flow.up()
    flow.unset("hosts.flow-1")
    flow.up()
    assert migrated(first) == before
    assert [migrated(host) for host in others] == [[], []]


def test_a_release_phase_that_fails_restarts_no_worker_anywhere(flow: Site) -> None:
    deployed(flow)
    before = untouched(flow)
    bad = flow.repository.commit({"broken": "yes"})
    out = flow.fails(*UP)
    for part in (
        f"flow-1: release phase of {bad[:12]} FAILED in phase `release phase`: ",
        "./migrate` ended with status 7",
        "No worker was restarted on any host.",
        "/var/log/satellite/flow/release-",
        "  | no [CANARY] here",
    ):
        assert part in out
    assert CANARY not in out
    assert untouched(flow) == before
    assert history(flow.host(1))[-1]["phase"] == "release phase"
    commit = deployed(flow, broken="")
    assert migrated(flow.host(1))[-1] == f"release.1 {commit}"


def test_a_health_command_that_fails_brings_the_old_release_back(flow: Site) -> None:
    old = deployed(flow)
    pids = [flow.workers(host) for host in flow.hosts()[1:]]
    bad = flow.repository.commit({"healthy": "no"})
    out = flow.fails(*UP)
    assert f"flow-1: release of {bad[:12]} FAILED in phase `gate`: the health command failed" in out
    assert "  | [CANARY]" in out
    assert CANARY not in out
    assert [flow.runs_from(host) for host in flow.hosts()] == [{old}] * 3
    assert [flow.workers(host) for host in flow.hosts()[1:]] == pids
    deployed(flow, healthy="yes")


def test_a_canary_that_fails_in_its_soak_leaves_the_others_untouched(flow: Site) -> None:
    flow.put("canary", "true")
    flow.put("soak_seconds", "8")
    flow.put("max_unavailable", "100%")
    old = deployed(flow)
    before = untouched(flow)[1:]
    # longer than the gate's two seconds
    bad = flow.repository.commit({"worker": "#!/bin/sh\nsleep 5\n"})
    out = flow.fails(*UP)
    assert f"flow-1: release of {bad[:12]} FAILED in phase `gate`" in out
    assert "ended while its health was watched" in out
    assert flow.runs_from(flow.host(1)) == {old}
    assert untouched(flow)[1:] == before
    deployed(flow, worker=PLAIN_APP["worker"])
    for key, value in (("canary", "false"), ("soak_seconds", "0"), ("max_unavailable", "1")):
        flow.put(key, value)
    flow.up()


def test_a_rollback_is_only_a_switch_on_every_host_and_the_history_tells_it(flow: Site) -> None:
    old, new = deployed(flow), deployed(flow)
    kept = [host.run("ls /app/flow/releases").stdout for host in flow.hosts()]
    runs = migrated(flow.host(1))
    flow.put("revision", old)
    flow.up()
    switch = ["check", "journal", "switch", "gate", "mark good", "close", "prune"]
    assert [phases(host) for host in flow.hosts()] == [switch] * 3
    assert [flow.runs_from(host) for host in flow.hosts()] == [{old}] * 3
    assert [host.run("ls /app/flow/releases").stdout for host in flow.hosts()] == kept
    assert migrated(flow.host(1)) == runs
    deployer = f"{getpass.getuser()}@{socket.gethostname()}"
    for host in flow.hosts():
        last = [(line["revision"], line["outcome"], line["by"]) for line in history(host)[-2:]]
        assert last == [(new, "good", deployer), (old, "good", deployer)]
    flow.unset("revision")
    # forward and back again after a failure: the engine never knew of the commit in between
    flow.repository.commit({"worker": "#!/bin/sh\nexit 1\n"})
    flow.fails(*UP)
    flow.put("revision", old)
    logins = flow.logins()
    flow.up()
    assert all(after > before for before, after in zip(logins, flow.logins(), strict=True))
    assert [flow.runs_from(host) for host in flow.hosts()] == [{old}] * 3
    flow.unset("revision")
    deployed(flow, worker=PLAIN_APP["worker"])


def test_a_submodule_comes_from_its_own_repository(flow: Site, tmp_path: Path) -> None:
    url = flow.repository.url.replace("flow.git", "flow-library.git")
    library = AppRepository(tmp_path / "library", url)
    recorded = library.create({"lib": "recorded"})
    library.commit({"lib": "newer"})
    flow.repository.include("vendor/library", "../flow-library.git", recorded)
    deployed(flow)
    for host in flow.hosts():
        assert host.run("cat /app/flow/current/vendor/library/lib").stdout == "recorded"


def test_a_full_disk_in_the_fetch_is_named_and_forgotten(flow: Site) -> None:
    old = deployed(flow)
    before = untouched(flow)
    first, mirror = flow.host(1), "/var/lib/satellite/flow/repository"
    first.run(f"mount -t tmpfs -o size=200k none {mirror}")
    bad = flow.repository.commit({"big": secrets.token_hex(500_000)})
    out = flow.fails(*UP)
    first.run(f"umount {mirror}")
    assert (
        f"flow-1: release phase of {bad[:12]} FAILED in phase `fetch`: {flow.repository.url}" in out
    )
    assert "the disk was full: " in out
    assert "make room there" in out
    assert untouched(flow) == before
    assert flow.revision(first) == old
    deployed(flow)
