"""A machine that bootstrap prepares: real files in a directory; programs that only remember."""

from __future__ import annotations

import grp
import os
import pwd
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from satellite_infra.agent import compiled
from satellite_infra.agent.bootstrap_manifest import BootstrapManifest
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.preparation import Preparation
from satellite_infra.agent.system import Say, System

KEY = "ssh-ed25519 AAAA{} {}"
MANIFEST = BootstrapManifest(
    host="worker-1",
    app="shop",
    environment="staging",
    agent="abc123",
    user="admin",
    deployer_keys=(KEY.format(1, "deployer"),),
    authorized_keys=(KEY.format(2, "ada"),),
)
Files = dict[str, "str | tuple[str, int]"]


@dataclass
class Machine(System):
    """A Debian with the login user `admin`, with sudo, and with no app yet."""

    root: Path
    installed: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)  # of the units that were started or stopped
    calls: list[tuple[str, ...]] = field(default_factory=list)
    read: Files = field(default_factory=dict)  # the units that systemd has read
    visudo: tuple[int, str] = (0, "")
    monit: tuple[int, str] = (0, "")
    group: str = "shop"  # the app's user's
    apt: tuple[int, str] = (0, "")

    def run(
        self,
        argv: Sequence[str],
        say: Say,
        *,
        user: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | Path | None = None,
        timeout: float = 60,
    ) -> None:
        words = tuple(argv)
        if Path(words[-1]).name == "compiled.py":  # as that program does
            for path in compiled.make(Path(words[-1]).parent):
                say(str(path))
            return
        if words[0] == "useradd":
            (self.root / "home" / words[-1]).mkdir(parents=True)
        if words[0] == "apt-get" and "install" in words:
            self.installed.update(words[words.index("--") + 1 :])
        if words[0] == "apt-get":
            assert (env or {})["NEEDRESTART_SUSPEND"] == "1"
            words = ("apt-get", *words[words.index("Acquire::Retries=3") + 1 :])
        self.calls.append(words)

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        program, words = Path(argv[0]).name, tuple(argv[1:])
        if program == "dpkg-query":
            known = (name.partition("=") for name in sorted(self.installed))
            lines = (f"{name} amd64 {version or '1'} installed\n" for name, _, version in known)
            return 0, "".join(lines)
        if program == "nft" and words[0] == "-f":
            self.tables.add(words[1])
            return 0, ""
        if program == "nft":
            return int(not self.tables), ""
        if program == "apt-get":
            assert words == ("indextargets",)
            return self.apt
        if program == "systemctl":
            assert words[0] == "is-active"
            return int(words[-1] not in self.active), ""
        if program == "monit":
            assert words == ("-t",)
            return self.monit
        assert program == "visudo"
        return self.visudo

    def systemctl(self, *argv: str) -> str:
        self.calls.append(("systemctl", *argv))
        if argv[0] == "daemon-reload":
            self.read = self.units_on_disk()
        if argv[0] in ("start", "restart"):
            self.active.update(argv[1:])
        if argv[0] == "stop":
            self.active.difference_update(argv[1:])
        if argv[0] == "show" and "*" in argv[-1]:  # no worker of any app is loaded
            return ""
        stale = "yes" if self.read != self.units_on_disk() else "no"
        return f"NeedDaemonReload={stale}\n" if argv[0] == "show" else ""

    def units_on_disk(self) -> Files:
        return files(self.root / "etc/systemd")

    def passwd(self, name: str) -> pwd.struct_passwd:
        home = self.root / "home" / name
        if not home.is_dir():
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", os.getuid(), os.getgid(), "", str(home), "/bin/bash"))

    def groups(self, number: int) -> grp.struct_group:
        return grp.struct_group((self.group, "x", number, []))


def new_machine(root: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A fresh one."""
    machine = Machine(root)
    for directory in ("home/admin", "etc/systemd/system", "usr/sbin"):
        (root / directory).mkdir(parents=True)
    (root / "usr/sbin/visudo").touch()
    monkeypatch.setattr(pwd, "getpwnam", machine.passwd)
    monkeypatch.setattr(grp, "getgrgid", machine.groups)
    return machine


def preparation(machine: Machine, **changes: object) -> Preparation:
    """What bootstrap is to do there: MANIFEST with these changes."""
    archive = machine.root.with_suffix(".pyz")
    with zipfile.ZipFile(archive, "w") as contents:
        contents.writestr("agent/cli.py", "")
    manifest = MANIFEST._replace(**changes)  # type: ignore[arg-type]
    layout = Layout(manifest.app, machine.root)
    token = {"heroku_host_token": "canary-of-heroku"} if manifest.rotation else {}
    bundle = {"machine": "i-1", **token}
    return Preparation(manifest, bundle, archive, layout, machine, lambda _: None)


def files(directory: Path) -> Files:
    """Every file below: its content and mode; where a link points. What is compiled has a time."""
    return {
        str(path.relative_to(directory)): str(path.readlink())
        if path.is_symlink()
        else (path.read_text(), path.stat().st_mode & 0o7777)
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or (path.is_file() and "__pycache__" not in path.parts)
    }
