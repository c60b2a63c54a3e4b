"""The hosts on which the tools meet: prepared by `satellite up`, and for the peers beside it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from demo.site import Site, new_site
from lab.client import LabHost
from satellite_infra import naming

CHECKOUT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "files"
APP = "bench"
WORKER = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 3600 & wait $!; done\n"
SETTINGS = {"gate_seconds": "0", "processes.worker.grace": "20"}
Found = TypeVar("Found")


class FieldError(Exception):
    """A tool did not do what it was measured at."""


@dataclass(frozen=True)
class State:
    """What one host runs: the commit, and the workers' processes."""

    revision: str
    pids: tuple[str, ...]
    active: bool


@dataclass(frozen=True)
class Field:
    """A stack, its hosts, and a folder for what the tools need."""

    site: Site
    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Field:
        """A stack without hosts, and an app of 120 files with a worker that ends at once."""
        files = {"Procfile": "worker: ./worker\n", "worker": WORKER, **library()}
        site = new_site(folder / "site", APP, files, 0, SETTINGS, {})
        return cls(site, folder)

    def hosts(self) -> list[LabHost]:
        """The hosts, by number."""
        found = [h for h in self.site.lab.hosts() if h.name.startswith(f"{APP}-")]
        return sorted(found, key=lambda host: int(host.name.rpartition("-")[2]))

    def grow(self, number: int) -> None:
        """Have so many hosts, all of which may change at the same time."""
        before = {host.name for host in self.hosts()}
        for n in range(len(before), number):
            self.site.put(f"names[{n}]", f"{APP}-{n + 1}")
        self.site.put("max_unavailable", str(number))
        self.satellite("up", "--yes")
        new = [host for host in self.hosts() if host.name not in before]
        together(new, self._for_peers)

    def _for_peers(self, host: LabHost) -> None:
        key = Path(os.environ["LAB_DEPLOY_KEY"]).read_text(encoding="utf-8")
        known = Path(os.environ["LAB_GIT_KNOWN_HOSTS"]).read_text(encoding="utf-8")
        words = {"DEPLOY_KEY": key.strip(), "KNOWN_HOSTS": known.strip()}
        lines = [f"export {name}={shlex.quote(text)}" for name, text in words.items()]
        host.run("bash -s", input="\n".join([*lines, (FILES / "prepare.sh").read_text()]))

    def satellite(self, *words: str) -> str:
        """Run the command; what it prints. FieldError where it fails."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.site.stack.project,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FieldError(f"satellite {' '.join(words)}: {done.stdout[-2000:]}{done.stderr}")
        return done.stdout

    @staticmethod
    def command(*words: str) -> list[str]:
        """The command's own command line."""
        return [sys.executable, "-m", "satellite_cli", *words]

    def environment(self) -> dict[str, str]:
        """Where it finds itself, and which stack is meant."""
        chosen = {"SATELLITE_STACK": self.site.stack.name, "PYTHONPATH": str(CHECKOUT)}
        return {**os.environ, **chosen}

    def push(self) -> str:
        """A changed app; its commit."""
        return self.site.repository.commit({"lib/0.rb": os.urandom(8).hex()})

    def agent_commands(self, revision: str) -> None:
        """Write what the engine would send each host for that commit: ADDRESS.command, .stdin."""
        addresses = {host.name: host.address for host in self.hosts()}
        exported = json.loads(self.site.pulumi("stack", "export", "--show-secrets"))
        for resource in exported["deployment"]["resources"]:
            name, inputs = resource["urn"].rpartition("::")[2], resource.get("inputs", {})
            host, role = naming.host_and_role(name)
            if role == naming.RELEASE:
                command = inputs["create"]
                old = command.partition("\nrevision: ")[2][:40]
                command = command.replace(old, revision).replace(old[:12], revision[:12])
                for end, text in (("command", command), ("stdin", _plain(inputs["stdin"]))):
                    (self.folder / f"{addresses[host]}.{end}").write_text(text, encoding="utf-8")

    def state(self, host: LabHost, current: str, units: str) -> State:
        """What runs there now."""
        text = host.run(
            f"cat {current}/REVISION; systemctl show -P MainPID {units}; "
            f"systemctl is-active {units}",
            check=False,
        ).stdout.split()
        return State(text[0] if text else "", tuple(text[1:3]), text[3:] == ["active"] * 2)

    def states(self, current: str, units: str) -> list[State]:
        """What runs on every host."""
        return together(self.hosts(), lambda host: self.state(host, current, units))


def library() -> dict[str, str]:
    """120 files of random text, 3 KB each, which no tool can make smaller."""
    return {f"lib/{n}.rb": base64.b64encode(os.urandom(2250)).decode() for n in range(120)}


def _plain(secret: object) -> str:
    """A secret of an exported state, as it was given."""
    if isinstance(secret, dict):
        return str(json.loads(secret["plaintext"]))
    return str(secret)


def check(tool: str, before: Sequence[State], after: Sequence[State], revision: str) -> None:
    """FieldError unless every host runs that commit in new processes."""
    for n, (old, new) in enumerate(zip(before, after, strict=True), 1):
        good = new.active and new.revision == revision and not {*old.pids} & {*new.pids}
        if not good:
            raise FieldError(f"{tool}: host {n} should run {revision} anew: {old} -> {new}")


def together(hosts: Sequence[LabHost], act: Callable[[LabHost], Found]) -> list[Found]:
    """Do it to all of them at once."""
    with ThreadPoolExecutor(max(len(hosts), 1)) as pool:
        return list(pool.map(act, hosts))
