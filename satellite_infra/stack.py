"""The whole satellite, in one direction: settings -> network -> instances -> hosts -> releases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from satellite_infra import ssh
from satellite_infra.agent.flat import END
from satellite_infra.agent_bundle import AgentBundle, agent_bundle
from satellite_infra.bootstrap import bootstrap
from satellite_infra.digests import Digests
from satellite_infra.host import Host, existing_hosts
from satellite_infra.instances import instances
from satellite_infra.keys import fingerprint
from satellite_infra.network import network
from satellite_infra.release import manifest, release
from satellite_infra.revision import revision as resolved
from satellite_infra.settings import Settings

Resources = list[pulumi.Resource]


def satellite(settings: Settings) -> dict[str, Any]:
    """Declare everything; the stack's outputs."""
    revision = resolved(settings)  # before any resource: nothing is touched when git does not tell
    agent = agent_bundle()
    hosts, rules = existing_hosts(settings), Resources()
    if settings.instance_names():
        around = network(settings)
        hosts, rules = [*instances(settings, around), *hosts], list(around.rules)
    roll_out(settings, hosts, revision, agent, rules)
    return outputs(settings, hosts, revision)


def roll_out(
    settings: Settings, hosts: Sequence[Host], revision: str, agent: AgentBundle, rules: Resources
) -> None:
    """Reach all hosts, then change them a batch after the other; a failure stops what comes after.

    `rules` outlive every host's drain, or it could not connect. The order hangs on the commands
    themselves: an empty component would lose it.
    """
    alive = [host for host in hosts if not host.lost]
    tasks = {h.name: (bootstrap(settings, h, agent), release(settings, h, revision)) for h in alive}
    reached = {
        host.name: [ssh.reach(settings, host, _sent(settings, agent, *tasks[host.name]), rules)]
        for host in alive
    }
    # a host that was never reached has nothing to drain, and must not block its own removal
    drains = {
        host.name: ssh.at_the_end(settings, host, [*rules, *reached.get(host.name, [])])
        for host in hosts
    }
    # nothing is changed while a host is out of reach
    before: Resources = [resource for found in reached.values() for resource in found]
    for batch in batches(alive, settings.max_unavailable, set(settings.roll)):
        released: Resources = []
        for host in batch:
            prepare, run = tasks[host.name]
            copied = ssh.copy_agent(settings, host, agent, [*reached[host.name], *before])
            prepared = ssh.run(settings, host, "bootstrap", prepare, [copied, *before])
            needs = [prepared, drains[host.name]]
            released.append(ssh.run(settings, host, "release", run, needs))
        before = released


def batches(hosts: Sequence[Host], size: int, alone: set[str]) -> list[list[Host]]:
    """The hosts in their order, at most `size` at a time; those in `alone` each by itself."""
    found: list[list[Host]] = []
    for host in hosts:
        if found and len(found[-1]) < size and not alone & {host.name, found[-1][0].name}:
            found[-1].append(host)
        else:
            found.append([host])
    return found


def outputs(settings: Settings, hosts: Sequence[Host], revision: str) -> dict[str, Any]:
    """What people and programs ask a stack for; nothing secret."""
    text = manifest(settings, "", revision).text()
    not_app_wide = ('host: ""', END)
    return {
        "hosts": [
            {
                "name": host.name,
                "machine": host.machine,
                "address": host.address,
                "host_key": fingerprint(host.host_key),
                "lost": host.lost,
            }
            for host in hosts
        ],
        "revision": revision,
        "formation": {type_: process.quantity for type_, process in settings.processes.items()},
        "manifest": "".join(f"{line}\n" for line in text.splitlines() if line not in not_app_wide),
    }


def _sent(settings: Settings, agent: AgentBundle, *tasks: ssh.Task) -> str:
    """A digest of all that a host would be sent, and of the key that opens it."""
    key = Digests.of(settings.host_key_seed).one("private_key", settings.private_key)
    return ssh.digest(agent.digest, key, *(task.text() for task in tasks))
