"""What else goes wrong at three in the morning: a dead git server, cut connections, two at once.

After each the old workers run, `current` is the last good release, and the next deploy needs no
cleaning. Bad releases are in test_release, phases and full disks in test_flow.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.stack import Stack
from lab.client import LabHost
from tests.e2e.conftest import CANARY, PLAIN_APP, UP, Site, demolished, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
TABLE = "inet test_fire"
LOCK = """\
GEM
  specs:

PLATFORMS
  ruby

DEPENDENCIES

BUNDLED WITH
   2.3.15
"""


@pytest.fixture(scope="module")
def fire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host with two shell workers."""
    site = new_site(tmp_path_factory.mktemp("fire"), "fire", PLAIN_APP, hosts=1, settings={})
    with demolished(site):
        site.up()
        yield site


@contextmanager
def no_git_server(host: LabHost, verdict: str) -> Iterator[None]:
    """The host's way to the git server is closed: `reject` says so, `drop` does not."""
    rule = f"add rule {TABLE} out tcp dport 22 {verdict}"
    chain = f"add chain {TABLE} out {{ type filter hook output priority 0; }}"
    host.run(f"nft 'add table {TABLE}; {chain}; {rule}'")
    try:
        yield
    finally:
        host.run(f"nft delete table {TABLE}")


def good(site: Site) -> str:
    """Deploy a new good commit."""
    commit = site.repository.commit({"number": os.urandom(4).hex()})
    site.up()
    runs(site, commit)
    return commit


def runs(site: Site, commit: str) -> None:
    """The host runs this commit and nothing else."""
    host = site.host(1)
    assert site.revision(host) == commit
    assert len(site.workers(host)) == 2
    assert site.runs_from(host) == {commit}


def history(site: Site, lines: int) -> list[tuple[str, str]]:
    """The last outcomes on the host, and of which commit."""
    text = site.host(1).run(f"tail -n {lines} /var/lib/satellite/fire/history.jsonl").stdout
    return [(line["outcome"], line["revision"]) for line in map(json.loads, text.splitlines())]


def last_log(host: LabHost) -> str:
    """What the newest release on the host wrote."""
    return host.run("cat $(ls -t /var/log/satellite/fire/release-*.log | head -1)").stdout


def cut(host: LabHost) -> None:
    """End the SSH sessions of the host, but not its sshd."""
    host.run("pkill -KILL -f '^sshd: .*@'")


def test_a_git_server_that_is_down(fire: Site) -> None:
    old = good(fire)
    host = fire.host(1)
    pids = fire.workers(host)
    new = fire.repository.commit({"number": "not to be had"})
    with no_git_server(host, "reject"):
        out = fire.fails(*UP)
    for part in (
        f"fire-1: release of {new[:12]} FAILED in phase `fetch`",
        "Connection refused",
        "fire-1 runs its last good release",
        "nothing has to be cleaned by hand",
    ):
        assert part in out, out
    assert CANARY not in out
    assert fire.workers(host) == pids
    runs(fire, old)
    good(fire)


def test_a_bundle_that_fails(fire: Site) -> None:
    """With what is built where there is a Gemfile and no `build`, and Debian's own Bundler."""
    fire.repository.commit({"Gemfile": "# no gems\n", "Gemfile.lock": LOCK})
    old = good(fire)
    host = fire.host(1)
    pids = fire.workers(host)
    assert "$ bundle check" in last_log(host).splitlines()
    bad = fire.repository.commit({"Gemfile": "gem 'not-there'\n"})
    out = fire.fails(*UP)
    for part in (
        f"fire-1: release of {bad[:12]} FAILED in phase `build`",
        "not-there",
        "fire-1 runs its last good release",
    ):
        assert part in out, out
    assert fire.workers(host) == pids
    runs(fire, old)
    fire.repository.commit({"Gemfile": "", "Gemfile.lock": ""})
    good(fire)


def test_a_worker_that_dies_after_five_seconds(fire: Site) -> None:
    old = good(fire)
    fire.put("gate_seconds", "8")
    bad = fire.repository.commit({"worker": "#!/bin/sh\nsleep 5\nexit 1\n"})
    out = fire.fails(*UP)
    assert f"fire-1: release of {bad[:12]} FAILED in phase `gate`" in out
    assert "ended while its health was watched" in out
    runs(fire, old)
    fire.put("gate_seconds", "2")
    fire.repository.commit(PLAIN_APP)
    good(fire)


@pytest.mark.parametrize("where", ["fetch", "build", "gate"])
def test_a_connection_that_is_cut(where: str, fire: Site) -> None:
    """The host goes on by itself; the next deploy finds what it did, and does no more."""
    good(fire)
    host = fire.host(1)
    fire.put("build[0]", "sleep 4")
    fire.put("gate_seconds", "4")
    new = fire.repository.commit({"number": f"cut in {where}"})
    if where == "fetch":
        with no_git_server(host, "drop"):
            engine = fire.start()
            wait_until(where, lambda: fire.phase(host) == where)
            cut(host)
            out, _ = engine.communicate()
    else:
        engine = fire.start()
        wait_until(where, lambda: fire.phase(host) == where)
        cut(host)
        out, _ = engine.communicate()
    assert engine.returncode != 0
    assert "fire-1-release" in out
    assert CANARY not in out
    assert len(fire.workers(host)) == 2
    fire.ended(host)
    runs(fire, new)
    pids = fire.workers(host)
    fire.up()
    assert fire.workers(host) == pids
    assert history(fire, 2) == [("good", new), ("good", new)]
    fire.unset("build")
    fire.put("gate_seconds", "2")
    good(fire)


def test_two_deploys_of_a_stack_at_once(fire: Site, tmp_path: Path) -> None:
    """The engine lets one in; the other is told who is there, and changes nothing."""
    good(fire)
    host = fire.host(1)
    other = tmp_path / "other"
    shutil.copytree(fire.stack.project, other)
    (tmp_path / "logs").mkdir()
    late = Site(fire.lab, Stack(other, tmp_path / "logs", fire.stack.name), fire.repository, "fire")
    fire.put("build[0]", "sleep 6")
    first = fire.repository.commit({"number": "first"})
    engine = fire.start()
    wait_until("it builds", lambda: fire.phase(host) == "build")
    fire.repository.commit({"number": "second"})
    out = late.fails(*UP)
    assert "the stack is currently locked by" in out
    said, _ = engine.communicate()
    assert engine.returncode == 0, said
    runs(fire, first)
    fire.unset("build")
    fire.up()


def test_two_deployers_on_one_host_at_once(fire: Site) -> None:
    """Past the engine's lock, the host has its own: the second waits."""
    good(fire)
    host = fire.host(1)
    fire.put("build[0]", "sleep 6")
    first = fire.repository.commit({"number": "the slow one"})
    engine = fire.start()
    wait_until("it builds", lambda: fire.phase(host) == "build")
    fire.stack.run("cancel", "--yes")  # somebody is sure that nobody deploys
    fire.unset("build")
    second = fire.repository.commit({"number": "the quick one"})
    fire.up()
    engine.communicate()
    runs(fire, second)
    assert history(fire, 2) == [("good", first), ("good", second)]
    good(fire)
