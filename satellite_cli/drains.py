"""Of which machine each host's drain is, as the engine has noted it.

A machine has a drain before its first release, and no other one gets it before that one is drained.
Where that fails, the stack has the next machine already, and of the drain's one nobody else knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from satellite_cli import noted
from satellite_cli.problems import SatelliteError
from satellite_infra import naming


@dataclass(frozen=True)
class Drain:
    """`machine`: whose it is; `now`: the one that the host has, or empty where it has none."""

    machine: str
    now: str
    at_work: bool = True
    """Whether it would go to the machine; not once an update has declared that lost."""
    given: tuple[str, ...] = ()
    """The machines of which another host has given back what they held."""

    @property
    def given_back(self) -> bool:
        """Whether that is all, of a host that is lost."""
        return not self.at_work and {self.machine, self.now} <= {*self.given}

    @property
    def left(self) -> bool:
        """Whether the next machine is there, and this one was not drained."""
        return bool(self.now) and self.now != self.machine


def of(stack: str) -> dict[str, Drain]:
    """That of each host which has one, by the host's name."""
    resources = noted.resources(stack)
    roots = [one.get("outputs") or {} for one in resources if "parent" not in one]
    hosts = [host for outputs in roots for host in outputs.get("hosts") or []]
    now = {host["name"]: str(host["machine"]) for host in hosts}
    jobs = {host: inputs["triggers"][1:] for host, inputs in _inputs(resources, naming.JOBS)}
    found: dict[str, Drain] = {}
    for host, inputs in _inputs(resources, naming.DRAIN):
        machine, given = str(inputs["triggers"][0]), map(str, jobs.get(host, ()))
        found[host] = Drain(machine, now.get(host, ""), bool(inputs.get("delete")), (*given,))
    return found


def _inputs(resources: list[dict[str, Any]], wanted: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each host's command of that role was made of, if it is about a machine."""
    for one in resources:
        host, role = naming.host_and_role(one["urn"].rpartition("::")[2])
        # one that is drained, and has no successor yet, stays there as `pendingReplacement`
        if (one["type"], role) == (naming.REMOTE, wanted) and not one.get("pendingReplacement"):
            inputs = one.get("inputs") or {}
            if inputs.get("triggers"):
                yield host, inputs


def left(stack: str) -> dict[str, Drain]:
    """Those that are left; none where the state is not to be had, as another error is told."""
    with contextlib.suppress(SatelliteError):
        return {host: drain for host, drain in of(stack).items() if drain.left}
    return {}


def ways(found: Mapping[str, Drain]) -> Iterator[str]:
    """What ends it, of those that are left."""
    for host, drain in found.items():
        yield f"  {drain.machine}, which {host} was, is not drained; {drain.now} is there now"
    if found:
        yield f"  Is what {', '.join(found)} was off for good: satellite lost {' '.join(found)}"
