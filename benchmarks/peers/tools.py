"""How each tool is called: for a deploy, a rollback, a look."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.field import APP, CHECKOUT, FILES, Field

SATELLITE, FLOOR, TYPED = "satellite", "ssh, the same agent", "pulumi up, typed"
LEAST = "Pulumi, a script"
CAPISTRANO, PYINFRA, ANSIBLE = "Capistrano", "pyinfra, operations", "Ansible, tasks"
OURS = (SATELLITE, FLOOR, TYPED)
"""These run satellite's agent; the others deploy to a folder and units of their own."""
DEPLOYS = (
    *OURS,
    LEAST,
    "ssh, a script",
    "parallel-ssh, a script",
    "pyinfra, a script",
    PYINFRA,
    "Ansible, a script",
    ANSIBLE,
    CAPISTRANO,
)
ROLLBACKS = (SATELLITE, FLOOR, LEAST, "ssh, a script", CAPISTRANO)
INFO, ENGINE, TRUE = "satellite info", "the engine's start", "ssh true"
LOOKS = (INFO, ENGINE, TRUE)
SSH = (
    *("-F", "none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
)


@dataclass(frozen=True)
class Call:
    """A command line, where it runs, and the variables that it has beside ours."""

    argv: Sequence[str]
    folder: Path
    environment: dict[str, str]


@dataclass(frozen=True)
class Bench:
    """The tools, installed in `venv` (but for Capistrano, which is on PATH)."""

    field: Field
    venv: Path

    def prepare(self) -> None:
        """Lay the peers' own files into the folder."""
        shutil.copytree(FILES, self._files, dirs_exist_ok=True)
        (self.field.folder / "sockets").mkdir(exist_ok=True)
        init = ["pulumi", "stack", "init", "script"]
        subprocess.run(init, cwd=self._files / "pulumi", check=True, capture_output=True)

    @property
    def _files(self) -> Path:
        return self.field.folder / "files"

    @property
    def _key(self) -> Path:
        return self.field.site.stack.project.parent / "key"

    def deploy(self, tool: str, revision: str) -> Call:
        """The call that deploys that commit, the head of the branch."""
        if tool == FLOOR:
            self.field.agent_commands(revision)
        if tool in OURS:
            return self._ours(tool, "deploy", "--yes")
        lines = f"#!/bin/bash\nGIT_URL={self._url}\nREVISION={revision}\n"
        return self._peer(tool, revision, lines + (FILES / "deploy.sh").read_text("utf-8"))

    def rollback(self, tool: str, revision: str) -> Call:
        """The call that goes back to that commit, the one before."""
        if tool == FLOOR:
            self.field.agent_commands(revision)
        if tool in OURS:
            return self._ours(tool, "rollback", "--yes")
        script = (FILES / "rollback.sh").read_text("utf-8")
        return self._peer(tool, revision, script, "deploy:rollback")

    def look(self, what: str) -> Call:
        """The call of `info`, and of its parts."""
        if what == INFO:
            return self._ours(SATELLITE, "info")
        if what == ENGINE:
            stack = shlex.quote(self.field.site.stack.name)
            outputs = f"pulumi stack output --json --stack {stack}"
            both = f"{outputs} & pulumi config --json --show-secrets --stack {stack}; wait $!"
            return self._call(["sh", "-c", both], self.field.site.stack.project)
        return self._everywhere("true </dev/null")

    def _ours(self, tool: str, *words: str) -> Call:
        project = self.field.site.stack.project
        if tool == SATELLITE:
            return Call(self.field.command(*words), project, self.field.environment())
        if tool == FLOOR:
            return self._everywhere('"$(cat %.command)" <%.stdin')
        words = ("--yes", "--skip-preview", "--stack", self.field.site.stack.name)
        parallel = str(max(8, len(self.field.hosts())))
        return self._call(["pulumi", "up", *words, "--parallel", parallel], project)

    def _everywhere(self, command: str) -> Call:
        """Plain ssh to all hosts at once; `%` is the address."""
        ssh = shlex.join(["/usr/bin/ssh", *SSH, "-i", str(self._key)])
        line = f"{ssh} admin@% {command}"
        addresses = " ".join(host.address for host in self.field.hosts())
        script = f"printf '%s\\n' {addresses} | xargs -P 64 -I% sh -c {shlex.quote(line)}"
        return self._call(["sh", "-c", script], self.field.folder)

    @property
    def _url(self) -> str:
        return self.field.site.repository.url

    def _peer(self, tool: str, revision: str, script: str, task: str = "deploy") -> Call:
        path = self.field.folder / "script.sh"
        path.write_text(script, encoding="utf-8")
        name = tool.partition(",")[0]
        addresses = [host.address for host in self.field.hosts()]
        binary = self.venv / "bin"
        if tool == "ssh, a script":
            return self._everywhere(f"bash -s <{shlex.quote(str(path))}")
        if tool == LEAST:
            argv = [sys.executable, "up.py"]
        elif name == "parallel-ssh":
            argv = [str(binary / "python"), "parallel_ssh.py", str(path), *addresses]
        elif name == "pyinfra":
            program = "pyinfra_operations.py" if tool == PYINFRA else "pyinfra_script.py"
            argv = [str(binary / "pyinfra"), "-y", "inventory.py", program]
        elif name == "Ansible":
            play = "ansible_tasks.yml" if tool == ANSIBLE else "ansible_script.yml"
            argv = [str(binary / "ansible-playbook"), "-i", "hosts.ini", play]
        else:
            argv = ["cap", "lab", task]
        inventory = "".join(
            f"{a} ansible_user=admin ansible_ssh_private_key_file={self._key}\n" for a in addresses
        )
        (self._files / "hosts.ini").write_text(f"[all]\n{inventory}", encoding="utf-8")
        variables = {
            "BENCH_HOSTS": " ".join(addresses),
            "BENCH_KEY": str(self._key),
            "BENCH_GIT_URL": self._url,
            "BENCH_REVISION": revision,
            "BENCH_RELEASE": time.strftime("%Y%m%d%H%M%S", time.gmtime()),
            "BENCH_SCRIPT": str(path),
            "PYTHONPATH": str(CHECKOUT),
        }
        folder = self._files / {CAPISTRANO: "cap", LEAST: "pulumi"}.get(tool, "")
        return self._call(argv, folder, **variables)

    def _call(self, argv: Sequence[str], folder: Path, **variables: str) -> Call:
        own = {
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.field.folder / "sockets"),
            "LANG": "C.UTF-8",
        }
        return Call(argv, folder, {**os.environ, **own, **variables})


def where(tool: str) -> tuple[str, str]:
    """The current release and the units that a tool deploys to."""
    if tool in OURS:
        units = " ".join(f"satellite-{APP}.worker@{n}.service" for n in (1, 2))
        return f"/app/{APP}/current", units
    return "/srv/app/current", "worker@1 worker@2"
