"""Make a machine a host: packages, the app's user and directories, the agent, its units.

Every step says whether it changed something; none restarts or stops a worker; an interrupted run is
finished by the next.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from . import authorized, metadata, storage, units
from .layout import AGENT, Layout
from .manifest import BootstrapManifest
from .system import CommandError, Say, System

APT_LIMIT = 1800  # seconds
# needrestart would restart services, workers among them, after any apt run (Ubuntu 24.04's default)
APT_ENV = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
REPAIR = ("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")
ALWAYS = ("git", "openssh-client", "ca-certificates", "tar")


class Bootstrap:
    """The steps, in order; `archive` is the zip that this program runs from."""

    def __init__(
        self,
        manifest: BootstrapManifest,
        bundle: Mapping[str, Any],
        archive: Path,
        system: System,
        say: Say,
    ):
        self.manifest, self.bundle, self.archive = manifest, bundle, archive
        self.layout = Layout(manifest.app)
        self.system, self.say = system, say

    def run(self) -> str:
        """Do what is not done yet; what changed, in a few words."""
        steps: list[tuple[str, Callable[[], bool]]] = [
            ("cloud-init", self.cloud_init),
            ("authorized keys", self.authorized_keys),
            ("packages", self.packages),
            ("user", self.user),
            ("directories", self.directories),
            ("repository access", self.repository_access),
            ("agent", self.agent),
            ("identity", self.identity),
            ("units", self.units),
            ("metadata", self.metadata),
        ]
        changed = []
        with storage.locked(self.layout.run.parent / "bootstrap"):  # apps share the agent, and apt
            for name, step in steps:
                try:
                    if step():
                        changed.append(name)
                except (CommandError, OSError, ValueError, LookupError) as problem:
                    raise CommandError(f"bootstrap FAILED in step `{name}`: {problem}") from problem
        right = len(steps) - len(changed)
        what = ", ".join(changed) or "nothing"
        return f"changed: {what}; {right} of {len(steps)} were right already"

    def cloud_init(self) -> bool:
        """Wait for the image's own first boot: it holds apt's lock and writes keys."""
        if shutil.which("cloud-init"):
            status, text = self.system.output(["cloud-init", "status", "--wait"])
            if status == 1:  # 2 means: done, with warnings
                raise CommandError(f"{text.strip()}; see /var/log/cloud-init.log")
        return False

    def authorized_keys(self) -> bool:
        """Who may log in; where the login user is another one now, nobody of ours as the former."""
        user, app = self.manifest.user, self.manifest.app
        former = storage.read_json(self.layout.logins, [])
        storage.write_json(self.layout.logins, sorted({user, *former}))
        changed = authorized.authorize(user, app, self.manifest.authorized_keys)
        for other in (name for name in former if name != user):
            with contextlib.suppress(LookupError):  # that user is gone, and so are its keys
                changed = authorized.authorize(other, app, ()) or changed
        storage.write_json(self.layout.logins, [user])
        return changed

    def packages(self) -> bool:
        """Install what is missing; the network is asked only then."""
        wall = () if self.manifest.app_metadata == "allowed" else ("nftables",)
        wanted = sorted({*ALWAYS, *wall, *self.manifest.packages})
        query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *wanted]
        _, text = self.system.output(query)
        present = {line.split()[0] for line in text.splitlines() if line.endswith(" installed")}
        missing = [name for name in wanted if name not in present]
        if missing:
            install = ("install", "--no-install-recommends", "--", *missing)
            self._apt("update")
            try:
                self._apt(*install)
            except CommandError:  # after a power cut in the middle of dpkg, apt refuses until this
                self.system.run(REPAIR, self.say, env=APT_ENV, timeout=APT_LIMIT)
                self._apt(*install)
        return bool(missing)

    def user(self) -> bool:
        """The app's own user, without a password."""
        try:
            entry = pwd.getpwnam(self.manifest.app)
            if entry.pw_dir != str(self.layout.home):  # root, mail, backup: not ours to run jobs as
                raise ValueError(
                    f"{entry.pw_name} is a user of this machine already, with the home "
                    f"{entry.pw_dir}: choose another satellite:app"
                )
            return False
        except KeyError:
            argv = ["useradd", "--create-home", "--home-dir", str(self.layout.home)]
            argv += ["--shell", "/bin/bash", "--user-group", self.manifest.app]
            self.system.run(argv, self.say)
            return True

    def directories(self) -> bool:
        """Releases is root's, so that no job can swap one; what is in each is the app's."""
        layout, root, owner = self.layout, (0, 0), self._owner()
        return any(
            [
                storage.directory(layout.base, 0o755, root),
                storage.directory(layout.releases, 0o755, root),
                *(
                    storage.directory(layout.shared / name, 0o755, owner)
                    for name in (".", "log", "pids", "config")
                ),
                *(
                    storage.directory(path, 0o700, root)
                    for path in (layout.state.parent, layout.state, layout.notes, layout.logs)
                ),
            ]
        )

    def repository_access(self) -> bool:
        """The deploy key and the git server's pinned host keys, for root alone."""
        key = str(self.bundle.get("deploy_key") or "")
        if bool(key) != bool(self.manifest.deploy_key):
            raise ValueError(
                "deploy_key: the manifest and the bundle should both have one or neither"
            )
        lines = "".join(f"{line}\n" for line in self.manifest.known_hosts)
        changed = storage.write(self.layout.known_hosts, lines)
        if key:
            return storage.write(self.layout.deploy_key, key.rstrip("\n") + "\n") or changed
        gone = self.layout.deploy_key.exists()
        storage.remove(self.layout.deploy_key)
        return gone or changed

    def agent(self) -> bool:
        """Unpack this program where releases and units find it, whole or not at all."""
        base = Path(AGENT).parent
        directory = base / self.manifest.agent
        if not (directory / ".complete").exists():
            storage.remove_tree(directory)
            with zipfile.ZipFile(self.archive) as contents:
                contents.extractall(directory)
            storage.write(directory / ".complete", "", 0o644)
        link = base / "current"
        # a release that still runs goes on reading the agent it began with
        before = link.readlink() if link.is_symlink() else directory
        changed = storage.point(link, directory)
        changed = storage.write(Path(AGENT), units.template("launcher"), 0o755) or changed
        for other in base.iterdir():
            if other.is_dir() and not other.is_symlink() and other not in (directory, before):
                storage.remove_tree(other)
        return changed

    def identity(self) -> bool:
        """Which host and machine this is: worker names carry it, and drain asks for it."""
        known: dict[str, str] = {
            "app": self.manifest.app,
            "environment": self.manifest.environment,
            "host": self.manifest.host,
            "machine": str(self.bundle["machine"]),
        }
        if storage.read_json(self.layout.identity) == known:
            return False
        storage.write_json(self.layout.identity, known)
        return True

    def units(self) -> bool:
        """The agent's own units, started at every boot."""
        layout = self.layout
        changed = []
        for file in units.housekeeping(layout):
            changed.append(storage.write(layout.units / file.name, file.content, 0o644))
            wants = layout.wants / file.name
            wants.parent.mkdir(exist_ok=True)
            changed.append(storage.point(wants, layout.units / file.name))
        if any(changed):
            self.system.systemctl("daemon-reload")
        return any(changed)

    def metadata(self) -> bool:
        """Whether the app reaches the instance's metadata."""
        if self.manifest.app_metadata == "allowed":
            return metadata.allow(self.layout, self.system)
        return metadata.block(self.layout, self._owner()[0], self.system)

    def _apt(self, *argv: str) -> None:
        options = ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
        self.system.run(["apt-get", *options, *argv], self.say, env=APT_ENV, timeout=APT_LIMIT)

    def _owner(self) -> tuple[int, int]:
        entry = pwd.getpwnam(self.manifest.app)
        return entry.pw_uid, entry.pw_gid


def check_root() -> None:
    """PermissionError where this is not root."""
    if os.geteuid() != 0:
        raise PermissionError("the agent should run as root; give the SSH user passwordless sudo")
