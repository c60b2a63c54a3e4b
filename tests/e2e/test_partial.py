"""A deploy to some hosts, a host that is down before a deploy, and two ways to run the engine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import PLAIN_APP, demolished, new_site, wait_until
from tests.e2e.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
PHASE = {
    **PLAIN_APP,
    "Procfile": "release: ./migrate\nworker: ./worker\n",
    "migrate": "#!/bin/sh\necho once >> /home/part/phases\n",
}
NO_CHANGES = ("preview", "--expect-no-changes")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = {"release_phase": "on"}
    site = new_site(tmp_path_factory.mktemp("part"), "part", PHASE, hosts=3, settings=settings)
    with demolished(site):
        yield Desk(site, Desk(site).good("satellite up --yes"))


def test_both_ways_to_run_the_engine_leave_the_same(desk: Desk) -> None:
    desk.site.pulumi(*NO_CHANGES)
    desk.commit()
    desk.site.up()
    *_, counts, said = desk.good("satellite up --yes").splitlines()
    assert "unchanged" in counts
    assert re.fullmatch("main is at [0-9a-f]{12}, which all hosts have already: .*", said)
    assert " changed" not in desk.good("satellite preview").splitlines()[-1]
    desk.commit()
    desk.good("satellite deploy --yes")
    desk.site.pulumi(*NO_CHANGES)


def test_some_hosts_get_a_release_and_then_all(desk: Desk) -> None:
    old, settings = desk.site.revision(desk.site.host(1)), desk.settings()
    new = desk.commit()
    ran = desk.run("satellite deploy --host part-2 --yes")
    assert ran.returncode == 0, ran
    assert desk.runs() == [{old}, {new}, {old}]
    assert f"part-1 stays as it is: {old[:12]}\npart-3 stays as it is: {old[:12]}\n" in ran.stderr
    assert desk.settings() == settings
    # the one that was touched is the one that differs
    (one,) = json.loads(desk.run("satellite doctor --json").stdout)["findings"]
    assert (one["host"], one["code"]) == ("part-2", "revision")
    assert one["text"].startswith(f"runs {new[:12]}, most hosts {old[:12]}; part-1 {old[:12]}; ")
    # no release without its release phase, which is the leader's
    phases = desk.site.host(1).run("cat /home/part/phases").stdout.split()
    shown = desk.good("satellite preview")
    assert "part-1 release: update" in shown
    assert "part-3 release: update" in shown
    assert "part-2" not in shown
    desk.good("satellite deploy --yes")
    assert desk.runs() == [{new}] * 3
    assert desk.site.host(1).run("cat /home/part/phases").stdout.split() == phases
    desk.site.pulumi(*NO_CHANGES)


def test_a_host_that_is_down_stops_a_deploy_before_it_begins(desk: Desk) -> None:
    down = desk.site.host(2)
    before, workers = desk.runs(), [desk.site.workers(host) for host in desk.site.hosts()]
    desk.commit()
    down.run("systemctl stop ssh.socket ssh.service")
    try:
        began = time.monotonic()
        ran = desk.run("satellite deploy --yes")
        took = time.monotonic() - began
    finally:
        down.run("systemctl start ssh.service")
    assert ran.returncode == 1, ran
    assert ran.stderr.startswith(
        "error: nothing was changed: these hosts do not answer as themselves"
    )
    assert "\n  part-2: connect to host " in ran.stderr
    assert "part-1" not in ran.stderr
    assert took < 60  # the engine alone waits for `reach_seconds`, as long as this
    assert desk.runs() == before
    assert [desk.site.workers(host) for host in desk.site.hosts()] == workers
    desk.good("satellite deploy --yes")
    wait_until("all run the same", lambda: len(set(map(frozenset, desk.runs()))) == 1)


def test_some_hosts_are_deployed_to_after_a_roll(desk: Desk) -> None:
    """The state has the order of the roll, by which its engine would refuse the others."""
    desk.good("satellite roll part-2 --again --yes")
    new = desk.commit()
    for host in ("part-3", "part-1"):
        desk.good(f"satellite deploy --host {host} --yes")
    assert desk.runs()[::2] == [{new}] * 2
    desk.good("satellite deploy --yes")
    assert desk.runs() == [{new}] * 3


def test_a_machine_that_is_not_drained_keeps_no_host_from_being_released_to_for_good(
    desk: Desk,
) -> None:
    """It is said before anything is changed, and `lost` ends it, whatever the order was."""
    site, before = desk.site, desk.runs()
    desk.good("satellite up --same-commit --yes")
    site.put("max_unavailable", "2")
    desk.good("satellite up --same-commit --yes")
    dead = site.host(2)
    dead.kill()
    site.put("hosts.part-2.instance_type", "t3.large")
    site.put("roll[0]", "part-2")
    ran = desk.run("satellite up --same-commit --yes")
    assert (ran.returncode, "which part-2 was, is not drained" in ran.stderr) == (1, True), ran
    site.unset("roll")
    new = desk.commit()
    ran = desk.run("satellite deploy --host part-3 --yes")
    assert (ran.returncode, ran.stdout) == (1, ""), ran
    assert "error: some hosts alone cannot be updated now:\n" in ran.stderr
    assert "off for good: satellite lost part-2\n" in ran.stderr
    assert [site.runs_from(site.host(number)) for number in (1, 3)] == before[::2]
    ran = desk.run("satellite lost part-2 --yes")
    assert ran.returncode == 0, ran
    assert f"jobs of part-2, machine {dead.instance_id}, stay as they are: no adapter" in ran.stderr
    assert desk.runs() == before
    desk.good("satellite deploy --host part-3 --yes")
    assert desk.runs() == [*before[:2], {new}]
