"""A stack of its own, with an app and machines of its own: what to change in it, what to see."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.failure import DemoError
from demo.repository import AppRepository
from demo.stack import Stack
from lab.client import Lab, LabHost

UP = ("up", "--yes", "--skip-preview")


@dataclass(frozen=True)
class Site:
    """A stack, its app and its machines."""

    lab: Lab
    stack: Stack
    repository: AppRepository
    app: str

    def pulumi(self, *args: str) -> str:
        """What a successful `pulumi ARGS` prints; DemoError where it fails."""
        return self.stack.run(*args)

    def up(self) -> str:
        """Make it so."""
        return self.pulumi(*UP)

    def put(self, key: str, value: str) -> None:
        """Set one setting, by its path."""
        self.pulumi("config", "set", "--path", f"satellite:{key}", value)

    def unset(self, key: str) -> None:
        """Remove one setting, by its path."""
        self.pulumi("config", "rm", "--path", f"satellite:{key}")

    def hosts(self) -> list[LabHost]:
        """The machines that run, by name."""
        names = [f"{self.app}-{n}" for n in range(1, 10)]
        return sorted((h for h in self.lab.hosts() if h.name in names), key=lambda host: host.name)

    def host(self, number: int) -> LabHost:
        """The machine of that number."""
        return next(host for host in self.hosts() if host.name == f"{self.app}-{number}")

    def revision(self, host: LabHost) -> str:
        """The commit that `current` is."""
        return host.run(f"cat /app/{self.app}/current/REVISION").stdout.strip()

    def workers(self, host: LabHost) -> dict[str, str]:
        """Unit -> main process of each active worker.

        Not yet those whose process is still the agent, which becomes the worker when it has made
        its folder and its variables.
        """
        command = (
            f"systemctl show --property=Id,MainPID,ActiveState 'satellite-{self.app}.*@*.service'"
        )
        blocks = host.run(command).stdout.strip().split("\n\n")
        units = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
        active = {u["Id"]: u["MainPID"] for u in units if u and u["ActiveState"] == "active"}
        pids = " ".join(active.values())
        named = f"for p in {pids}; do ! grep -qsz ^WORKER_NAME= /proc/$p/environ || echo $p; done"
        begun = set(host.run(named).stdout.split())
        return {unit: pid for unit, pid in active.items() if pid in begun}

    def runs_from(self, host: LabHost) -> set[str]:
        """The commits that the workers' processes stand in."""
        pids = " ".join(self.workers(host).values())
        command = f"for pid in {pids}; do cat /proc/$pid/cwd/REVISION; done"
        return set(host.run(command).stdout.split())

    def enqueue(self, *kinds: tuple[int, float, float], priority: int = 0) -> None:
        """Put jobs into the queue, so many that take from so many seconds to so many.

        By the example app's own program, on the first host.
        """
        numbers = " ".join(str(number) for kind in kinds for number in kind)
        self.hosts()[0].run(
            f"cd /app/{self.app}/current && runuser -u {self.app} -- env HOME=/home/{self.app} "
            f"DATABASE_URL={os.environ['LAB_DATABASE_URL']} PRIORITY={priority} "
            f"bundle exec ruby enqueue.rb {numbers}"
        )


def new_site(
    folder: Path,
    app: str,
    files: Mapping[str, str],
    hosts: int,
    settings: Mapping[str, str],
    config: Mapping[str, str],
) -> Site:
    """A stack of its own with an app of its own, and secret config vars; nothing is up yet."""
    logs = folder / "logs"
    logs.mkdir(parents=True)
    url = f"{os.environ['LAB_GIT_URL'].rpartition('/')[0]}/{app}.git"
    repository = AppRepository(folder / "app", url)
    repository.create(files)
    stack = Stack.copied(folder / "project", logs, name=f"{app}-test")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    known = Path(os.environ["LAB_GIT_KNOWN_HOSTS"]).read_text(encoding="utf-8").splitlines()
    stack.run("stack", "init")
    stack.configure(
        {
            "satellite:app": app,
            "satellite:repository": url,
            **{f"satellite:known_hosts[{n}]": line for n, line in enumerate(known)},
            **{f"satellite:names[{n}]": f"{app}-{n + 1}" for n in range(hosts)},
            "satellite:ami": os.environ["LAB_AMI"],
            "satellite:connect": "private",
            "satellite:vpc_id": os.environ["LAB_VPC"],
            "satellite:subnet_ids[0]": os.environ["LAB_SUBNET"],
            "satellite:ssh_cidrs[0]": "172.31.0.1/32",
            "satellite:public_key": key.with_suffix(".pub").read_text().strip(),
            "satellite:gate_seconds": "2",
            "satellite:reach_seconds": "60",
            "satellite:processes.worker.quantity": "2",
            "satellite:processes.worker.grace": "20",
            **{f"satellite:{name}": value for name, value in settings.items()},
        },
        {
            "satellite:private_key": key.read_text(),
            "satellite:host_key_seed": secrets.token_hex(32),
            "satellite:deploy_key": Path(os.environ["LAB_DEPLOY_KEY"]).read_text(),
            "satellite:config.DATABASE_URL": os.environ["LAB_DATABASE_URL"],
            **{f"satellite:config.{name}": value for name, value in config.items()},
        },
    )
    return Site(Lab(), stack, repository, app)


@contextlib.contextmanager
def demolished(site: Site) -> Iterator[None]:
    """Afterwards nothing of the site is left, whatever was done to it."""
    try:
        yield
    finally:
        try:
            site.stack.run("destroy", "--yes", "--skip-preview")
        except DemoError:  # what failed may have left hosts that no drain reaches
            ids = [host.instance_id for host in site.hosts()]
            if ids:
                site.lab.ec2.terminate_instances(InstanceIds=ids)
        site.stack.run("stack", "rm", "--yes", "--force")
        shutil.rmtree(site.stack.project.parent)
