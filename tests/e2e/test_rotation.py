"""Heroku changes the database's credentials while jobs run, and nobody is there to see it."""

from __future__ import annotations

import json
import os
import time
from calendar import timegm
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from demo.report import APP, Report, Snapshot, count, runs_query
from lab.client import LabHost
from lab.network import GATEWAY
from satellite_infra.agent.turns import restart_seconds
from tests.e2e.conftest import UP, Site, demolished, empty_queue, new_site, wait_until
from tests.fakes.heroku import TOKEN, Heroku, HerokuApp, serving

pytestmark = [pytest.mark.lab, pytest.mark.e2e]

JOBS, LATER = 1000, 12
MINUTES, GRACE, GATE = 3, 5, 2
HOST_TOKEN = "HRKU-hosts-canary-fedcba9876543210"
STATE = "/var/lib/satellite/night"


@pytest.fixture(scope="module")
def platform() -> Iterator[Heroku]:
    """Heroku with the app that the stack follows, where this machine and the hosts can ask it."""
    made = Heroku({"night": HerokuApp({"CANARY": "theirs"})}, tokens={TOKEN, HOST_TOKEN})
    with serving(made, GATEWAY) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATELLITE_HEROKU_URL", url)
        yield made


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, platform: Heroku) -> Iterator[Site]:
    """Two hosts with two delayed_job workers each, whose database's URL is Heroku's alone."""
    folder = tmp_path_factory.mktemp("night")
    files = {path.name: path.read_text("utf-8") for path in APP.iterdir() if path.is_file()}
    settings = {
        "build[0]": "BUNDLE_FROZEN=true bundle install --local",
        "processes.worker.grace": str(GRACE),
        "gate_seconds": str(GATE),
        "heroku.app": "night",
        "heroku.config": "inherit",
        "heroku.rotate": str(MINUTES),
    }
    site = new_site(folder, "night", files, hosts=2, settings=settings)
    site.unset("config.DATABASE_URL")
    tokens = {"satellite:heroku_api_token": TOKEN, "satellite:heroku_host_token": HOST_TOKEN}
    site.stack.configure({"satellite:generation": "0"}, tokens)
    empty_queue(site.lab)
    platform.apps["night"].set(DATABASE_URL=credentials(site, "night_1"))
    with demolished(site):
        site.up()
        for host in site.hosts():
            ask_there(host, os.environ["SATELLITE_HEROKU_URL"])
        yield site


def ask_there(host: LabHost, url: str) -> None:
    """Have the host take that for Heroku."""
    drop_in = "/etc/systemd/system/satellite-night-rotate.service.d"
    host.run(
        f"mkdir -p {drop_in} && cat >{drop_in}/url.conf && systemctl daemon-reload",
        input=f"[Service]\nEnvironment=SATELLITE_HEROKU_URL={url}\n",
    )


def credentials(site: Site, role: str) -> str:
    """Make a role of the database; the URL that it logs in by."""
    site.lab.sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'secret-{role}'")
    url = urlsplit(os.environ["LAB_DATABASE_URL"])
    server = url.netloc.rpartition("@")[2]
    return url._replace(netloc=f"{role}:secret-{role}@{server}").geturl()


def logged_in(site: Site) -> set[str]:
    """The roles that workers are logged in by."""
    query = "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename LIKE 'night\\_%'"
    return {row[0] for row in site.lab.sql(query)}


def report(site: Site) -> Report:
    return count(Snapshot.of(site.lab.sql(runs_query())))


def history(host: LabHost, outcome: str) -> list[dict[str, Any]]:
    """The lines of the host's history that ended so."""
    text = host.run("/usr/local/lib/satellite/agent history --app night --json").stdout
    return [line for line in json.loads(text) if line["outcome"] == outcome]


def rotated(site: Site) -> bool:
    """Whether all have; meanwhile nobody sees the token, whatever runs."""
    for host in site.hosts():
        assert HOST_TOKEN not in host.run("ps axeww").stdout
    return all(history(host, "rotated") for host in site.hosts())


def test_workers_follow_the_credentials_in_turns_and_no_job_is_lost(
    night: Site, platform: Heroku
) -> None:
    before = {host.name: night.workers(host) for host in night.hosts()}
    night.enqueue((JOBS, 0.5, 1.5))
    wait_until("jobs run", lambda: report(night).done > 20)
    assert logged_in(night) == {"night_1"}
    platform.apps["night"].set(DATABASE_URL=credentials(night, "night_2"))
    restart = restart_seconds([GRACE], GATE, 0)
    wait_until("all rotate within a period", lambda: rotated(night), MINUTES * 60 + restart)
    assert logged_in(night) == {"night_2"}
    # as Heroku does it some time later
    night.lab.sql("ALTER ROLE night_1 NOLOGIN")
    assert report(night).waiting > 0
    night.enqueue((LATER, 0.5, 1.5))
    jobs = JOBS + LATER
    wait_until("all jobs are done", lambda: report(night).done == jobs, 1500)
    assert report(night).line() == (
        f"{jobs} of {jobs} done, 0 waiting, 0 lost, 0 twice at once, 0 repeated, 0 cut off"
    )
    turns = []
    for host in night.hosts():
        (line,) = history(host, "rotated")
        assert (line["by"], line["changed"]) == ("rotation", ["config DATABASE_URL"])
        end = timegm(time.strptime(line["at"], "%Y-%m-%dT%H:%M:%SZ"))
        turns.append((end - line["seconds"], end))
        now = night.workers(host)
        assert now.keys() == before[host.name].keys()
        assert not set(now.values()) & set(before[host.name].values())
    (_, first), (second, _) = sorted(turns)
    assert first <= second, "they restarted at the same time"


def test_the_next_up_restarts_nobody(night: Site) -> None:
    before = [night.workers(host) for host in night.hosts()]
    released = [len(history(host, "good")) for host in night.hosts()]
    night.up()
    assert [len(history(host, "good")) - 1 for host in night.hosts()] == released
    assert [night.workers(host) for host in night.hosts()] == before
    assert "unchanged" in night.up()


def test_a_run_that_asked_too_early_is_refused(
    night: Site, platform: Heroku, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if Heroku had changed while it was under way; what the hosts have is kept."""
    before = [night.workers(host) for host in night.hosts()]
    now = platform.apps["night"].config
    earlier = {**now, "DATABASE_URL": now["DATABASE_URL"].replace("night_2", "night_1")}
    past = Heroku({"night": HerokuApp(earlier)}, tokens={TOKEN})
    with serving(past) as url, monkeypatch.context() as patch:
        patch.setenv("SATELLITE_HEROKU_URL", url)
        said = night.fails(*UP)
    assert "DATABASE_URL: this run has what Heroku had before" in said
    assert [night.workers(host) for host in night.hosts()] == before
    night.up()
    assert [night.workers(host) for host in night.hosts()] == before


def test_a_refusal_is_a_line_once_and_changes_nothing(night: Site, platform: Heroku) -> None:
    host = night.host(1)
    before = night.workers(host), len(history(host, "kept"))
    platform.tokens.remove(HOST_TOKEN)
    for _ in range(3):
        host.run("systemctl start satellite-night-rotate.service", check=False)
    platform.tokens.add(HOST_TOKEN)
    kept = history(host, "kept")
    assert (night.workers(host), len(kept) - 1) == before
    assert kept[-1]["reason"].startswith(
        "satellite:heroku_host_token: Heroku does not accept it (401): heroku authorizations:create"
    )
    host.run("systemctl start satellite-night-rotate.service")
    assert history(host, "answered")


def test_the_token_is_in_its_file_alone_and_goes_with_its_setting(night: Site) -> None:
    places = "/etc /run /var/log /app /home /tmp /usr/local /opt /root /var/lib/satellite"
    hunt = f"grep -rlF {HOST_TOKEN} {places} 2>/dev/null; journalctl | grep -F {HOST_TOKEN}"
    for host in night.hosts():
        assert host.run(hunt, check=False).stdout == f"{STATE}/heroku.json\n"
        assert host.run(f"stat -c '%a %U' {STATE}/heroku.json").stdout == "600 root\n"
    told = "".join(night.outputs) + night.pulumi("stack", "export")
    assert HOST_TOKEN not in told
    before = [night.workers(host) for host in night.hosts()]
    night.unset("heroku.rotate")
    night.unset("heroku_host_token")
    night.up()
    left = f"ls {STATE}/heroku.json /etc/systemd/system/satellite-night-rotate.timer"
    for host in night.hosts():
        assert host.run(hunt, check=False).stdout == ""
        assert host.run(left, check=False).stdout == ""
        timers = host.run("systemctl list-timers --all --no-pager").stdout
        assert "satellite-night" not in timers
    assert [night.workers(host) for host in night.hosts()] == before
