"""`satellite doctor` on real hosts: it finds each trouble, and what it says mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import CANARY, PLAIN_APP, demolished, new_site, wait_until
from tests.e2e.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
# one that can be told to fail on a host
FRAGILE = PLAIN_APP["worker"].replace("trap", "[ ! -e /broken ] || exit 3\ntrap", 1)
SECOND = "clinic-2"
VISIT = f"satellite up --same-commit --again --host {SECOND}"
UNITS, STATE = "/etc/systemd/system", "/var/lib/satellite/clinic"
# all machines of the lab have one clock: this one's programs in Python see another, by a module
# that the agent loads
PYTHON = "$(python3 -c 'import json; print(json.__file__)')"
SHIFT = "import time; time.time = (lambda real: lambda: real() + 600)(time.time)  # shifted"
# and what sets a clock sets theirs
CHRONY = '[Service]\nType=oneshot\nExecStart=/bin/sh -c "sed -i /shifted/d {}"\n'


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    site = new_site(tmp_path_factory.mktemp("clinic"), "clinic", PLAIN_APP, hosts=2, settings={})
    with demolished(site):
        site.up()
        made = Desk(site)
        made.commit()  # pushed, and nobody has deployed it
        yield made


def found(desk: Desk) -> list[dict[str, Any]]:
    """What doctor finds; its status says the same, and no secret is in it."""
    ran = desk.run("satellite doctor --json")
    findings: list[dict[str, Any]] = json.loads(ran.stdout)["findings"]
    assert (ran.returncode == 0) == (not findings)
    assert CANARY not in ran.stdout + ran.stderr
    return findings


def only(desk: Desk, code: str, mend: str) -> None:
    """It finds that on the second host alone, and what it says mends it."""
    one = found(desk)
    assert [(f["host"], f["code"], f["mend"]) for f in one] == [(SECOND, code, mend)], one
    mended(desk, mend)


def mended(desk: Desk, command: str) -> None:
    asks = command.startswith(("satellite up", "satellite lost", "satellite deploy"))
    runs = desk.runs() if command == VISIT else []
    desk.good(f"{command} --yes" if asks else command)
    assert found(desk) == []
    if command == VISIT:
        assert desk.runs() == runs  # what was pushed meanwhile is not deployed


def pids(desk: Desk) -> list[dict[str, str]]:
    return [desk.site.workers(host) for host in desk.site.hosts()]


def test_nothing_is_found_where_all_is_right(desk: Desk) -> None:
    assert found(desk) == []
    assert desk.good("satellite doctor").splitlines() == [
        "this machine: nothing found",
        "clinic-1: nothing found",
        "clinic-2: nothing found",
    ]
    rows = desk.good("satellite info").splitlines()
    assert [row.split()[-1] for row in rows[1:]] == ["DRIFT", "0", "0"]


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (
            "unit_edited",
            f"sed -i s/RestartSec=1/RestartSec=9/ {UNITS}/satellite-clinic.worker@.service",
        ),
        ("current_moved", "ln -sfn /app/clinic/shared /app/clinic/current"),
        ("file_changed", "echo '# by hand' >>/etc/sudoers.d/satellite-clinic"),
        ("file_changed", "chown clinic /etc/logrotate.d/satellite-clinic"),
        ("agent_edited", "echo '# by hand' >>/usr/local/lib/satellite/current/agent/turns.py"),
    ],
)
def test_what_was_changed_by_hand_is_put_back_and_no_worker_restarts(
    desk: Desk, code: str, how: str
) -> None:
    before = pids(desk)
    host = desk.site.host(2)
    host.run(f"{how}; systemctl daemon-reload")
    rows = desk.good("satellite info").splitlines()
    assert [row.split()[-1] for row in rows[2:]] == ["0", "1"]
    logins = desk.site.host(1).ssh_logins()
    only(desk, code, VISIT)
    assert pids(desk) == before
    # the first host was asked for its findings twice and whether it answers, and has no release
    assert desk.site.host(1).ssh_logins() == logins + 3
    unit = "systemctl show -p RestartUSec 'satellite-clinic.worker@1.service'"
    assert host.run(unit).stdout.strip() == "RestartUSec=1s"


def test_what_a_full_disk_has_cut_breaks_no_start_and_what_breaks_each_is_mended(
    desk: Desk,
) -> None:
    host, agent = desk.site.host(2), "/usr/local/lib/satellite/current/agent"
    cut = f"cd {agent}/__pycache__ && ls | wc -l && truncate -s 4096 {{light,jobs,workers,state}}.*"
    made = host.run(f"bash -c '{cut}'").stdout
    before = desk.site.workers(host)
    unit, pid = next(iter(before.items()))
    note = host.run(f"grep -l '\"pid\": {pid},' {STATE}/workers/*.json").stdout.strip()
    host.run(f"kill -9 {pid}")
    wait_until("it is back", lambda: desk.site.workers(host).get(unit, pid) != pid)
    wait_until(
        "its job is free", lambda: host.run(f"test ! -e {note}", check=False).returncode == 0
    )
    only(desk, "agent_slow", VISIT)
    assert host.run(f"ls {agent}/__pycache__ | wc -l").stdout == made
    # whatever else breaks each start
    host.run(f"tee {agent}/state.py", input="raise EOFError('marshal data too short')")
    assert "clinic-2: its agent fails: marshal data too short" in desk.run("satellite ps").stderr
    before = desk.site.workers(host)
    only(desk, "agent_fails", VISIT)
    assert desk.site.workers(host) == before


def test_a_config_var_changed_by_hand(desk: Desk) -> None:
    edit = f"sed -i 's/{CANARY}/edited/' {STATE}/releases/*/config.json"
    host = desk.site.host(2)
    host.run(f"{edit}; systemctl restart 'satellite-clinic.worker@1.service'")
    only(desk, "config_changed", VISIT)
    for pid in desk.site.workers(host).values():
        assert f"CANARY={CANARY}\0" in host.run(f"cat /proc/{pid}/environ").stdout


@pytest.mark.parametrize(
    "folder",
    [
        f"{UNITS}/satellite-clinic.worker@.service.d",
        f"{UNITS}/satellite-.service.d",
        "/run/systemd/system/satellite-clinic-reap.service.d",
    ],
)
def test_a_drop_in(desk: Desk, folder: str) -> None:
    host = desk.site.host(2)
    host.run(f"mkdir {folder}; printf '[Service]\\nNice=5\\n' >{folder}/mine.conf")
    host.run("systemctl daemon-reload")
    line = f"'sudo rm {folder}/mine.conf && sudo systemctl daemon-reload'"
    only(desk, "drop_in", f"satellite ssh {SECOND} -- {line}")


def test_a_file_in_the_place_of_a_unit(desk: Desk) -> None:
    copy = f"{UNITS}/satellite-clinic.worker@1.service"
    host = desk.site.host(2)
    host.run(f"cp {UNITS}/satellite-clinic.worker@.service {copy}; systemctl daemon-reload")
    line = f"'sudo rm {copy} && sudo systemctl daemon-reload'"
    only(desk, "unit_replaced", f"satellite ssh {SECOND} -- {line}")


@pytest.mark.parametrize("how", ["", " --runtime"])
def test_a_worker_that_is_masked(desk: Desk, how: str) -> None:
    unit = "satellite-clinic.worker@1.service"
    desk.site.host(2).run(f"systemctl mask{how} {unit}")
    line = f"'sudo systemctl unmask {unit} --runtime && sudo systemctl unmask {unit}'"
    only(desk, "unit_masked", f"satellite ssh {SECOND} -- {line}")


@pytest.mark.parametrize(
    ("codes", "how"),
    [
        (["unit_edited"] * 2, "systemctl disable satellite-clinic-{recover,reap}.service"),
        (["metadata_open"], "nft delete table inet satellite-clinic"),
        (["unit_stopped"], "systemctl stop satellite-clinic-metadata.service"),
    ],
)
def test_our_own_units_and_the_wall(desk: Desk, codes: list[str], how: str) -> None:
    desk.site.host(2).run(f"bash -c '{how}'")
    assert [(f["code"], f["mend"]) for f in found(desk)] == [(code, VISIT) for code in codes]
    mended(desk, VISIT)


def test_a_worker_that_a_person_has_stopped(desk: Desk) -> None:
    desk.good(f"satellite stop worker.1 --host {SECOND}")
    only(desk, "worker_stopped", f"satellite start worker.1 --host {SECOND}")


def test_a_full_disk(desk: Desk) -> None:
    logs = "/app/clinic/shared/log"
    host = desk.site.host(2)
    host.run(f"mount -t tmpfs -o size=20m small {logs}; fallocate -l 20M {logs}/worker.log.1.gz")
    (one,) = found(desk)
    assert (one["host"], one["code"]) == (SECOND, "disk_full")
    assert f"0 of 20 MB are free at {logs}" in one["text"]
    assert one["mend"].startswith(f"satellite ssh {SECOND} -- ")
    mended(desk, one["mend"])
    host.run(f"umount {logs}")


def test_jobs_that_nobody_can_give_back(desk: Desk) -> None:
    desk.site.put("processes.worker.on_kill", "echo no queue here; test -e /queue")
    desk.site.up()
    host, noted = desk.site.host(2), "/run/satellite/clinic/unreaped.json"
    host.run(f"kill -9 {next(iter(desk.site.workers(host).values()))}")
    why = "it said: no queue here"
    wait_until("it has failed once", lambda: why in host.run(f"cat {noted}", check=False).stdout)
    assert found(desk) == []
    host.run(f"""sed -i 's/"since": [0-9.]*/"since": 0/' {noted}""")
    (one,) = found(desk)
    assert (one["host"], one["code"]) == (SECOND, "jobs_held")
    assert one["text"].endswith(why)
    assert "no queue here" in desk.good(one["mend"])
    # on both: for a worker with a child it is asked when that ends well, too
    for each in desk.site.hosts():
        each.run("touch /queue")
    wait_until("they are given back", lambda: found(desk) == [])
    desk.site.unset("processes.worker.on_kill")
    desk.site.up()
    assert found(desk) == []


def test_a_clock_that_is_off(desk: Desk) -> None:
    host = desk.site.host(2)
    file = host.run(f"readlink -f {PYTHON}").stdout.strip()
    host.run(f"cat >{UNITS}/chrony.service", input=CHRONY.format(file))
    host.run(f"systemctl daemon-reload; cat >>{file}", input=f"{SHIFT}\n")
    (one,) = found(desk)
    assert (one["host"], one["code"]) == (SECOND, "clock")
    assert one["text"].startswith(("its clock is 60", "its clock is 59"))
    mended(desk, one["mend"])


def test_a_host_that_a_failed_deploy_left_behind(desk: Desk) -> None:
    host = desk.site.host(2)
    old = desk.site.revision(host)
    host.run("touch /broken")
    new = desk.commit(worker=FRAGILE)
    assert desk.run("satellite deploy --yes").returncode == 1
    assert desk.runs() == [{new}, {old}]
    findings = found(desk)
    assert {f["code"] for f in findings} == {"revision"}
    assert all(old[:12] in f["text"] and new[:12] in f["text"] for f in findings), findings
    assert "release: failed in phase `gate`: " in desk.good(findings[-1]["why"])
    mended(desk, findings[-1]["mend"])  # to stay with what runs
    assert desk.runs() == [{old}] * 2
    host.run("rm /broken")  # or its cause is mended
    desk.good("satellite deploy --yes")
    assert desk.runs() == [{new}] * 2


def test_a_disk_that_is_not_mounted_costs_no_worker(desk: Desk) -> None:
    """What writes over its empty place would make a host of it that has nothing to go back to."""
    host, place = desk.site.host(2), "/var/lib/satellite"
    before = desk.site.workers(host)
    host.run(f"mount -t tmpfs -o size=2m,mode=755 none {place}")
    try:
        (one,) = found(desk)
        look = f"satellite ssh {SECOND} -- 'findmnt --fstab; findmnt --real'"
        assert (one["host"], one["code"], one["mend"]) == (SECOND, "state_missing", look)
        desk.good(look)
        assert "What mends it: satellite doctor" in desk.run(f"{VISIT} --yes").stderr
        ran = desk.run(f"satellite up --again --host {SECOND} --yes")
        assert ran.returncode != 0
        assert "workers of clinic run here, and no release" in " ".join(ran.stderr.split())
        assert host.run(f"ls -A {place}").stdout == ""
        # another agent has written there which host it is
        host.run(f"umount -l {place}; cat {STATE}/host.json >/tmp/host.json")
        host.run(f"mount -t tmpfs -o size=2m,mode=755 none {place}; mkdir {STATE}")
        host.run(f"cp /tmp/host.json {STATE}/host.json")
        ran = desk.run(f"satellite up --again --host {SECOND} --yes")
        assert ran.returncode != 0
        assert f"{SECOND} runs what it ran before" in " ".join(ran.stderr.split())
        assert desk.site.workers(host) == before
    finally:
        host.run(f"umount -l {place}")
    desk.good("satellite deploy --yes")
    assert found(desk) == []


def test_another_host_key(desk: Desk) -> None:
    host = desk.site.host(2)
    key = "/etc/ssh/ssh_host_ed25519_key"
    host.run(f"rm {key} && ssh-keygen -q -t ed25519 -N '' -f {key} && systemctl restart ssh")
    (one,) = found(desk)
    assert (one["host"], one["code"]) == (SECOND, "host_key")
    assert "nothing was sent" in one["text"]
    host.kill()  # as it says
    mended(desk, one["mend"])
