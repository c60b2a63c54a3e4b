"""The whole program on the real engine and real machines; these tests run inside the lab."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import demo.site
from demo.failure import DemoError
from demo.report import APP
from demo.repository import IDENTITY
from demo.repository import AppRepository as AppRepository
from demo.site import UP as UP
from demo.site import demolished as demolished
from demo.waiting import wait_until as wait_until
from lab.client import Lab, LabHost

CHECKOUT = Path(__file__).parents[2]
CANARY = "canary-7f3a9c"
PLAIN_APP = {
    "Procfile": "worker: ./worker\n",
    # ends at once on SIGTERM, like a worker without a job
    "worker": "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n",
}


def empty_queue(lab: Lab) -> None:
    """The example app's tables, without what the tests before left in them."""
    lab.sql((APP / "schema.sql").read_text("utf-8"))
    for table in ("runs", "tasks", "delayed_jobs"):
        lab.sql(f"DELETE FROM {table}")


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

    def command(self, *words: str) -> list[str]:
        """The command line of `satellite WORDS`, which runs in the project's folder."""
        return [sys.executable, "-m", "satellite_cli", *words]

    def git_settings(self) -> Path:
        """The operator's own, where a test has written them."""
        return self.stack.project.with_name("gitconfig")

    def environment(self) -> dict[str, str]:
        """The stack is chosen by the environment, as in a shell of every day."""
        return {
            **os.environ,
            **IDENTITY,
            "GIT_CONFIG_GLOBAL": str(self.git_settings()),
            "SATELLITE_STACK": self.stack.name,
            "PYTHONPATH": str(CHECKOUT),
        }

    def satellite(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`satellite WORDS`, run to its end; never a traceback."""
        return self._ran(self.command(*words), stdin)

    def typed(self, line: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A shell's line on a terminal of 91 columns, `satellite` among its words."""
        own = f'stty rows 33 cols 91; satellite() {{ {shlex.join(self.command())} "$@"; }}; {line}'
        # its parts are for bash, which `script` takes from there
        environment = {"SHELL": "/bin/bash"}
        return self._ran(["script", "-qec", own, "/dev/null"], stdin, **environment)

    def _ran(self, argv: list[str], stdin: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv,
            cwd=self.stack.project,
            env={**self.environment(), **more},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        self.outputs.append(done.stdout + done.stderr)
        assert "Traceback" not in self.outputs[-1]
        return done

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
