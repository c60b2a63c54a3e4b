"""The whole program on the real engine and real machines; these tests run inside the lab."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import demo.site
from demo.failure import DemoError
from demo.repository import AppRepository as AppRepository
from demo.site import UP as UP
from demo.site import demolished as demolished
from demo.site import wait_until as wait_until
from lab.client import LabHost

CANARY = "canary-7f3a9c"
PLAIN_APP = {
    "Procfile": "worker: ./worker\n",
    # ends at once on SIGTERM, like a worker without a job
    "worker": "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n",
}


@dataclass(frozen=True)
class Site(demo.site.Site):
    """One whose outputs are kept, and where a failure fails the test."""

    outputs: list[str] = field(default_factory=list)

    def pulumi(self, *args: str) -> str:
        """What a successful `pulumi ARGS` prints."""
        try:
            self.outputs.append(self.stack.run(*args))
        except DemoError as failure:
            pytest.fail("\n".join([failure.what, *failure.why]))
        return self.outputs[-1]

    def start(self) -> subprocess.Popen[str]:
        """An `up` that goes on while the test does something to it."""
        return subprocess.Popen(
            ["pulumi", *UP, "--non-interactive", "--color", "never", "--stack", self.stack.name],
            cwd=self.stack.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def phase(self, host: LabHost) -> str:
        """The phase that the host's release is in."""
        return host.run(f"cat /run/satellite/{self.app}/phase", check=False).stdout

    def ended(self, host: LabHost) -> None:
        """Wait until the host has ended its release, whoever has left it to itself."""
        unit = f"systemctl is-active satellite-{self.app}-release.service"
        wait_until(
            "the release ends",
            lambda: host.run(unit, check=False).stdout.strip() == "inactive",
            120,
        )

    def fails(self, *args: str) -> str:
        """What a failing `pulumi ARGS` prints."""
        with pytest.raises(DemoError) as failure:
            self.stack.run(*args)
        log = max(self.stack.logs.iterdir(), key=lambda path: path.name)
        assert failure.value
        self.outputs.append(log.read_text(encoding="utf-8"))
        return self.outputs[-1]

    def logins(self) -> list[int]:
        """How many SSH connections each host has seen."""
        return [host.ssh_logins() for host in self.hosts()]


def new_site(
    folder: Path, app: str, files: Mapping[str, str], hosts: int, settings: Mapping[str, str]
) -> Site:
    """A stack of its own with an app of its own; nothing is up yet."""
    made = demo.site.new_site(folder, app, files, hosts, settings, {"CANARY": CANARY})
    return Site(made.lab, made.stack, made.repository, made.app)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three hosts with two shell workers each, up."""
    folder = tmp_path_factory.mktemp("plain")
    site = new_site(folder, "plain", PLAIN_APP, hosts=3, settings={})
    with demolished(site):
        site.up()
        yield site
