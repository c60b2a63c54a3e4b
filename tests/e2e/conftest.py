"""The whole program on the real engine and real machines; these tests run inside the lab."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.failure import DemoError
from demo.repository import Repository
from demo.stack import Stack
from lab.client import Lab, LabHost
from lab.errors import LabError

CANARY = "canary-7f3a9c"
UP = ("up", "--yes", "--skip-preview")
PLAIN_APP = {
    "Procfile": "worker: ./worker\n",
    # ends at once on SIGTERM, like a worker without a job
    "worker": "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n",
}


@dataclass(frozen=True)
class AppRepository(Repository):
    """A repository of the lab's git server that tests change at will."""

    def create(self, files: Mapping[str, str]) -> str:
        """Make it, with a first commit; the commit."""
        bare = Path(os.environ["SATELLITE_LAB"], "git", self.url.rpartition("/")[2])
        shutil.rmtree(bare, ignore_errors=True)  # of the test before
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
        subprocess.run(
            ["git", "-C", str(bare), "config", "uploadpack.allowAnySHA1InWant", "true"], check=True
        )
        self.folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("remote", "add", "origin", self.url)
        return self.commit(files)

    def commit(self, files: Mapping[str, str], message: str = "a change") -> str:
        """Write the files (empty: remove), push the commit; the commit."""
        for name, content in files.items():
            path = self.folder / name
            if not content:
                path.unlink()
                continue
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755)
        return self._push(message)

    def include(self, path: str, url: str, commit: str) -> None:
        """Have a commit of another repository at that path, from the next push on."""
        (self.folder / path).mkdir(parents=True)
        text = f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
        (self.folder / ".gitmodules").write_text(text, encoding="utf-8")
        self._git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")

    def branch(self, name: str) -> None:
        """Push what is there as a branch of that name, too."""
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")


@dataclass(frozen=True)
class Site:
    """A stack, its app and its machines."""

    lab: Lab
    stack: Stack
    repository: AppRepository
    app: str
    outputs: list[str] = field(default_factory=list)

    def pulumi(self, *args: str) -> str:
        """What a successful `pulumi ARGS` prints."""
        try:
            self.outputs.append(self.stack.run(*args))
        except DemoError as failure:
            pytest.fail("\n".join([failure.what, *failure.why]))
        return self.outputs[-1]

    def up(self) -> str:
        """Make it so."""
        return self.pulumi(*UP)

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

    def fails(self, *args: str) -> str:
        """What a failing `pulumi ARGS` prints."""
        with pytest.raises(DemoError) as failure:
            self.stack.run(*args)
        log = max(self.stack.logs.iterdir(), key=lambda path: path.name)
        assert failure.value
        self.outputs.append(log.read_text(encoding="utf-8"))
        return self.outputs[-1]

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

    def logins(self) -> list[int]:
        """How many SSH connections each host has seen."""
        return [host.ssh_logins() for host in self.hosts()]

    def revision(self, host: LabHost) -> str:
        """The commit that `current` is."""
        return host.run(f"cat /app/{self.app}/current/REVISION").stdout.strip()

    def workers(self, host: LabHost) -> dict[str, str]:
        """Unit -> main process of each active worker."""
        command = (
            f"systemctl show --property=Id,MainPID,ActiveState 'satellite-{self.app}.*@*.service'"
        )
        blocks = host.run(command).stdout.strip().split("\n\n")
        units = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
        return {u["Id"]: u["MainPID"] for u in units if u and u["ActiveState"] == "active"}

    def runs_from(self, host: LabHost) -> set[str]:
        """The commits that the workers' processes stand in."""
        pids = " ".join(self.workers(host).values())
        command = f"for pid in {pids}; do cat /proc/$pid/cwd/REVISION; done"
        return set(host.run(command).stdout.split())


def wait_until(what: str, true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that must come, also on a machine that boots; it fails with its name."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(LabError):
            if true():
                return
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def new_site(
    folder: Path, app: str, files: Mapping[str, str], hosts: int, settings: Mapping[str, str]
) -> Site:
    """A stack of its own with an app of its own; nothing is up yet."""
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
            "satellite:config.CANARY": CANARY,
            "satellite:config.DATABASE_URL": os.environ["LAB_DATABASE_URL"],
        },
    )
    return Site(Lab(), stack, repository, app)


@contextlib.contextmanager
def demolished(site: Site) -> Iterator[None]:
    """Afterwards nothing of the site is left, whatever the test did to it."""
    try:
        yield
    finally:
        try:
            site.stack.run("destroy", "--yes", "--skip-preview")
        except DemoError:  # a test that failed may have left hosts that no drain reaches
            ids = [host.instance_id for host in site.hosts()]
            if ids:
                site.lab.ec2.terminate_instances(InstanceIds=ids)
        site.stack.run("stack", "rm", "--yes", "--force")
        shutil.rmtree(site.stack.project.parent)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three hosts with two shell workers each, up."""
    folder = tmp_path_factory.mktemp("plain")
    site = new_site(folder, "plain", PLAIN_APP, hosts=3, settings={})
    with demolished(site):
        site.up()
        yield site
