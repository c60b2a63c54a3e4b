"""The examples without Ruby, on a machine that has none: deploys, jobs in mid-flight, a kill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.client import LabHost
from tests.e2e.conftest import UP, Site, demolished, new_site, wait_until
from tests.examples.example import PYTHON, SHELL, Event, Example, events, paths

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
RUBY = "ruby* bundle* gem gem[0-9]* erb* irb* rake* rdoc* ri ri[0-9]* racc*"
"""What Debian's packages of Ruby put on PATH."""


@dataclass(frozen=True)
class Deployed:
    """An example on its one host."""

    site: Site
    example: Example

    @property
    def host(self) -> LabHost:
        return self.site.host(1)

    def put(self, *seconds: float) -> list[str]:
        """Add jobs that take so long; their ids."""
        app = self.site.app
        script = "\n".join(self.example.put_command(each) for each in seconds)
        command = f"cd /app/{app}/current && runuser -u {app} -- env HOME=/home/{app} bash -e -s"
        return self.host.run(command, input=script).stdout.split()

    def log(self) -> list[Event]:
        """What the workers wrote, oldest first."""
        path = f"/app/{self.site.app}/shared/log/jobs.log"
        # which the first worker makes, and must own
        return events(self.host.run(f"! test -e {path} || cat {path}").stdout)

    def of(self, job: str) -> list[Event]:
        """What became of a job."""
        return [event for event in self.log() if event.job == job]

    def finished(self, jobs: list[str]) -> bool:
        return set(jobs) <= {event.job for event in self.log() if event.what == "finish"}

    def there(self, state: str) -> list[str]:
        """The jobs in that state."""
        return self.host.run(f"ls /home/{self.site.app}/spool/{state}").stdout.split()


@pytest.fixture(scope="module", params=[SHELL, PYTHON], ids=lambda example: str(example.folder))
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """An example with the settings of its README, up on a machine that lost its Ruby before."""
    example: Example = request.param
    name = example.folder.partition("_")[0]
    settings = dict(paths(example.settings()))
    site = new_site(tmp_path_factory.mktemp(name), name, example.files(), 1, settings)
    with demolished(site):
        site.pulumi(*UP, "--target=**aws:ec2**")  # the machine alone
        deployed = Deployed(site, example)
        wait_until("it boots", lambda: deployed.host.run("true"))
        deployed.host.run(f"cd /usr/bin && rm -f {RUBY} && rm -rf /usr/lib/ruby /var/lib/gems")
        site.up()
        yield deployed


def test_each_job_is_done_once(app: Deployed) -> None:
    jobs = app.put(*[0.1] * 10)
    wait_until("all are done", lambda: app.finished(jobs))
    for job in jobs:
        assert [event.what for event in app.of(job)] == ["start", "finish"]
    assert app.there("done") == jobs
    assert app.there("new") == app.there("running") == app.there("failed") == []


def test_a_deploy_waits_for_the_jobs_at_hand(app: Deployed) -> None:
    old = app.site.revision(app.host)
    workers = app.site.workers(app.host)
    at_hand, waiting = app.put(20, 20), app.put(0.1, 0.1, 0.1)
    wait_until("two jobs run", lambda: len(app.there("running")) == 2)
    new = app.site.repository.commit({"NOTE": "a second commit"})
    app.site.up()
    assert app.site.runs_from(app.host) == {new}
    assert not set(workers.values()) & set(app.site.workers(app.host).values())
    later = app.put(0.1)
    wait_until("all are done", lambda: app.finished([*at_hand, *waiting, *later]))
    for job in [*at_hand, *waiting, *later]:
        start, finish = app.of(job)  # once
        assert (start.what, finish.what) == ("start", "finish")
        assert (start.worker, start.revision) == (finish.worker, finish.revision)
    assert {event.revision for job in at_hand for event in app.of(job)} == {old}
    assert {event.revision for job in later for event in app.of(job)} == {new}
    assert app.there("new") == app.there("running") == app.there("failed") == []


def test_the_job_of_a_killed_worker_is_done_again(app: Deployed) -> None:
    [job] = app.put(5)
    wait_until("it runs", lambda: app.of(job))
    dead = app.of(job)[0].worker
    number = dead.split(".")[-2]
    unit = f"satellite-{app.site.app}.worker@{number}.service"
    app.host.run(f"systemctl kill --kill-who=all --signal=KILL {unit}")
    wait_until("it is done", lambda: app.finished([job]))
    first, again, finish = app.of(job)
    assert [first.what, again.what, finish.what] == ["start", "start", "finish"]
    assert first.worker == dead != again.worker == finish.worker
    assert app.there("running") == app.there("failed") == []
    journal = app.host.run(f"journalctl --output=cat -u satellite-{app.site.app}-reap.service")
    assert f"{job} is new again" in journal.stdout.splitlines()


def test_no_ruby_was_there_and_none_was_asked_for(app: Deployed) -> None:
    none = "! command -v ruby && ! command -v bundle && ! command -v gem && ! ls /opt/rubies"
    app.host.run(none)
    app.host.run("! pgrep ruby")
    logs = app.host.run(f"cat /var/log/satellite/{app.site.app}/release-*.log").stdout
    journal = app.host.run(f"journalctl --output=cat -u 'satellite-{app.site.app}*'").stdout
    for command in app.example.settings().get("build", []):
        assert logs.splitlines().count(f"$ {command}") == 2  # one for each release
    assert re.findall(r"(?i)\b(?:ruby|bundler?|gem)\b", logs + journal) == []
