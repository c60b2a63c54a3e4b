"""The hosts of a stack as its last update left them, and what opens them."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import click

from satellite_cli.bastion import moved
from satellite_cli.problems import FAILED, USAGE, SatelliteError
from satellite_infra import output
from satellite_infra.agent.naming import named
from satellite_stack import stack_file
from satellite_stack.engine import ConfigError, config, pulumi, selected

NAMED = ("no stack named", "no stack selected", "no Pulumi.yaml", "is not there: pulumi stack init")
"""Of the CLI's errors those that are about what was typed, and where."""
ALL_LOST = "every host of the stack is lost: satellite lost HOST --undo brings one back"


class NeverUpError(SatelliteError):
    """The stack has no hosts yet."""


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """The CLI's own error as ours."""
    try:
        yield
    except ConfigError as problem:
        raise SatelliteError(str(problem), status_of(str(problem))) from None


def status_of(text: str) -> int:
    """The exit status of the CLI's own error."""
    return USAGE if any(part in text for part in NAMED) else FAILED


def whole(text: str) -> int:
    """A number as people type it; 0 for what is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def counted(hosts: int) -> str:
    """So many hosts, in words."""
    return f"{hosts} host{'' if hosts == 1 else 's'}"


@dataclass(frozen=True)
class Host:
    """One host; `machine`: the instance's id, or the number of a host that existed before."""

    name: str
    machine: str
    address: str
    lost: bool = False


@dataclass(frozen=True)
class Fleet:
    """All hosts, and what they were told to run."""

    stack: str
    app: str
    environment: str
    revision: str
    formation: dict[str, int]
    grace: int
    hosts: tuple[Host, ...]
    ssh_config: str = field(repr=False)
    bastion: bool
    moved: str = field(default="", repr=False)
    """The ssh_config by another bastion, where the settings name one."""
    private_key: str = field(default="", repr=False)
    """Empty where the user's own SSH agent has it."""
    public_key: str = ""
    manifest: dict[str, str] = field(default_factory=dict)
    """What every host has, by its keys."""
    to_roll: dict[str, str] = field(default_factory=dict)
    """Host -> what its machine has that the settings do not say."""
    pinned: str = ""
    """The commit that the stack's file says, or that it is Heroku's."""
    branch: str = ""
    """What it follows once none is pinned; empty where that is to be said then."""

    @classmethod
    def of(cls, stack: str, asked: Callable[[], dict[str, Any]] | None = None) -> Fleet:
        """That stack's, or the selected one's; SatelliteError without its file, or before an up.

        `asked` gives the stack's settings to who knows them already.
        """
        which = ("--stack", stack) if stack else ()

        with ours(), ThreadPoolExecutor(3) as together:
            outputs = together.submit(cls.outputs, *which)
            settings = together.submit(asked or (lambda: config(*which)))
            name = together.submit(selected) if not stack else None
            stack = name.result() if name else stack
            found = outputs.result()
            stack_file.of(stack)  # without it the settings are empty, and would be blamed for it
            known = settings.result()
        return cls.read(stack, found, known)

    @staticmethod
    def outputs(*which: str) -> str:
        """What the CLI says of the outputs of a stack; `which`: its words for it."""
        return pulumi("stack", "output", "--json", *which)

    @classmethod
    def read(cls, stack: str, outputs: str, settings: dict[str, Any]) -> Fleet:
        """A stack's, of its `outputs` and settings; SatelliteError where it was never up."""
        found = json.loads(outputs)
        if "manifest" not in found:
            raise NeverUpError(f"stack {stack} has no hosts yet: satellite up --stack {stack}")

        def setting(key: str) -> str:
            return str(settings.get(f"satellite:{key}", {}).get("value") or "")

        manifest = output.read(found["manifest"])
        graces = [int(value) for key, value in manifest.items() if key.endswith(".grace")]
        own = setting("ssh_agent") == "true"
        return cls(
            stack=stack,
            app=manifest["app"],
            environment=manifest["environment"],
            revision=found["revision"],
            formation=found["formation"],
            grace=max(graces, default=0),
            hosts=tuple(
                Host(host["name"], str(host["machine"]), host["address"] or "", host["lost"])
                for host in found["hosts"]
            ),
            ssh_config=found["ssh_config"],
            bastion="ProxyJump" in found["ssh_config"],
            moved=moved(found["ssh_config"], settings),
            private_key="" if own else setting("private_key"),
            public_key=setting("public_key") if own else "",
            manifest=manifest,
            to_roll=found.get("to_roll", {}),
            pinned=setting("revision"),
            branch=setting("branch") or ("" if setting("heroku") else "main"),
        )

    def way(self, name: str) -> tuple[str, str, str]:
        """Address, port and pinned key of a host that is not lost, as its ssh_config has them."""
        entry = f"\n{self.ssh_config}".partition(f"\nHost {name}\n")[2].partition("\nHost ")[0]
        said = dict(line.split(maxsplit=1) for line in entry.split("\n") if line)
        key = said["KnownHostsCommand"].partition(f" {name} ")[2]
        return said["HostName"], said.get("Port", "22"), key

    def chosen(self, names: Sequence[str]) -> list[Host]:
        """The hosts of these names that are not lost, all without a name; each wrong name is told.

        UsageError, before anything is done.
        """
        known = {host.name: host for host in self.hosts}
        if wrong := list(self._wrong(names, known)):
            raise click.UsageError("\n  ".join(wrong))
        return [h for h in self.hosts if not h.lost and (not names or h.name in names)]

    def living(self, names: Sequence[str]) -> list[Host]:
        """As `chosen`, and one at least: SatelliteError where nobody is there to do anything."""
        if hosts := self.chosen(names):
            return hosts
        raise SatelliteError(ALL_LOST, USAGE)

    def check_workers(self, words: Sequence[str]) -> None:
        """UsageError with each word that is no `TYPE` or `TYPE.N` of the formation."""
        _, wrong = named(words, self.formation)
        if wrong:
            raise click.UsageError("\n  ".join(wrong))

    def _wrong(self, names: Sequence[str], known: dict[str, Host]) -> Iterator[str]:
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                like = f", did you mean {near[0]}?" if near else f": {', '.join(known)}"
                yield f"stack {self.stack} has no host {name}{like}"
            elif known[name].lost:
                yield f"{name} is declared lost: nobody connects to it"
