"""What the stack was last about: what would go on working unseen must not be turned away from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from satellite_infra import naming, output
from satellite_infra.key_text import fingerprint
from satellite_infra.problems import line
from satellite_infra.settings import Settings

ASK_ALL = "pulumi:pulumi:readStackResourceOutputs"
"""Another one, for those of its resources: what has succeeded, and not what was tried last."""
AGAIN = "again"
"""No machine's name."""


@dataclass(frozen=True)
class Drain:
    """A host's drain; `machine`: whose it is, which may be one before that of the outputs."""

    machine: str
    at_work: bool
    """Whether it would go to the machine; not once that was declared lost."""
    given: tuple[str, ...]
    """The machines of which a host has given back what they held, and a mark for each time more."""

    @property
    def given_back(self) -> bool:
        """Whether nothing is left of what the machine held."""
        return self.machine in self.given and not self.at_work

    @property
    def anew(self) -> bool:
        """Whether it may hold jobs again: a machine that lived after all, and is lost anew."""
        return self.machine in self.given and self.at_work

    @property
    def again(self) -> int:
        """How many times more they are given back."""
        return self.given.count(AGAIN) + self.anew


Drains = Callable[[], Mapping[str, Drain]]


def check_former(settings: Settings) -> Mapping[str, Drain]:
    """The drain of each lost host: what its machine held is given back.

    RunError when workers of before, or their jobs, would be left behind: no drain would ever go to
    them, or nobody know of them any more.
    """
    former = _asked(naming.STACK_OUTPUTS, "name")
    if "manifest" not in former:  # never up
        return {}
    before = {host["name"]: host for host in former["hosts"]}
    drains = functools.cache(_drains)  # every resource of the stack: asked for only where it counts
    found = [
        *_app(settings, former),
        *_machines(settings, before),
        *_held(settings, before, drains),
    ]
    if found:
        raise pulumi.RunError(
            "\n  ".join(["these settings leave workers, or their jobs, behind:", *found])
        )
    lost = [name for name, host in settings.hosts.items() if host.lost]
    return {name: drains()[name] for name in lost if name in drains()}


def _asked(function: str, parameter: str) -> Mapping[str, Any]:
    """Outputs as the last update left them; none of mocks, nor of a backend that has no projects.

    They say what must not be, and which machine was there; what shall be is the settings' alone.
    """
    names = (pulumi.get_organization() or "", pulumi.get_project(), pulumi.get_stack())
    try:
        found = pulumi.runtime.invoke(function, {parameter: "/".join(names)}).value
    except Exception:  # noqa: BLE001 - the SDK has no narrower one, and it is a guard alone
        return {}
    return (found or {}).get("outputs") or {}


def _drains() -> Mapping[str, Drain]:
    """That of each host which has one, by the host's name."""
    noted = {
        naming.host_and_role(urn.rpartition("::")[2]): resource["outputs"]
        for urn, resource in _asked(ASK_ALL, "stackName").items()
        if resource["type"] == naming.REMOTE
    }
    found: dict[str, Drain] = {}
    for (host, role), outputs in noted.items():
        if role == naming.DRAIN:
            (machine,) = outputs["triggers"]
            _, *given = noted.get((host, naming.JOBS), {}).get("triggers", [""])
            found[host] = Drain(machine, bool(outputs.get("delete")), tuple(given))
    return found


def _app(settings: Settings, former: Mapping[str, Any]) -> Iterator[str]:
    """A host's drain, its units and its directories are those of one app."""
    app = output.read(former["manifest"])["app"]
    if settings.app != app:
        rule = (
            f"should stay {app}, whose workers would go on for ever: another app has a stack of "
            "its own; or end this one first: pulumi destroy"
        )
        yield line(["app"], rule, settings.app)


def _machines(settings: Settings, before: Mapping[str, Any]) -> Iterator[str]:
    """One that has moved keeps its key, and one with new keys its place; else it is another one."""
    for name, host in settings.existing().items():
        was, machine = before.get(name), host.machine or 1
        if not was or was["lost"]:  # nobody works there
            continue
        same, moved = was["machine"] == str(machine), was["address"] != host.address
        rekeyed = was["host_key"] != fingerprint(str(host.host_key))
        # outputs of an older version have no port
        stays = not moved and was.get("port") == (host.port or 22)
        if same and moved and rekeyed and not host.lost:
            rule = (
                "should be raised: another address and another host_key are another machine's, "
                f"and workers of the one at {was['address']} would go on for ever (where there "
                "never were any: declare it lost first)"
            )
            yield line(["hosts", name, "machine"], rule, machine)
        if not same and (host.lost or (stays and rekeyed)):
            rule = (
                f"should stay {was['machine']} until an update has declared that machine lost: it "
                "cannot be drained any more, and what it held is found by this number"
            )
            yield line(["hosts", name, "machine"], rule, machine)


def _held(settings: Settings, before: Mapping[str, Any], drains: Drains) -> Iterator[str]:
    """One that was declared lost is that until its jobs are given back, if anybody could do it."""
    able = {name for name in settings.live() if name in before and not before[name]["lost"]}
    for name, was in before.items():
        if not able - {name} or not _another(settings, name, was):
            continue
        drain = drains().get(name)
        # one that is of another machine could not be done: that one is lost, and not this
        if drain and drain.machine == was["machine"] and not (drain.at_work or drain.given_back):
            rule = (
                "should stay lost, with the machine it had, until an update has given back what "
                f"machine {was['machine']} held: no drain goes there, and nobody would know of it "
                f"any more; {'' if name in settings.every_host() else 'put it back, and '}first: "
                f"pulumi config set --path 'satellite:hosts.{name}.lost' true && pulumi up"
            )
            if name in settings.live() and name in settings.roll:
                rule += "; or, if it lives, take it out of satellite:roll"
            yield line(["hosts", name], rule)


def _another(settings: Settings, name: str, was: Mapping[str, Any]) -> bool:
    """Whether a host may get another machine, or none."""
    if name not in settings.every_host():
        return True
    own = settings.existing().get(name)
    if own and was["machine"] != str(own.machine or 1):
        return True
    if name not in settings.live():
        return False
    return name in settings.roll or bool(own and was["host_key"] != fingerprint(str(own.host_key)))
