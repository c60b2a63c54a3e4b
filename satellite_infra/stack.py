"""The whole satellite, in one direction: settings -> network -> instances -> hosts -> releases."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from satellite_infra import alerts, naming, output, ssh
from satellite_infra.agent_bundle import AgentBundle, agent_bundle
from satellite_infra.bootstrap import bootstrap
from satellite_infra.deploy import Deploy, deploy
from satellite_infra.digests import Digests
from satellite_infra.former import Drain, check_former
from satellite_infra.host import Host, existing_hosts
from satellite_infra.image import image
from satellite_infra.instances import instances
from satellite_infra.key_text import fingerprint
from satellite_infra.network import network
from satellite_infra.release import manifest, release, release_phase
from satellite_infra.settings import Settings
from satellite_infra.ssh_agent import check_ssh_agent
from satellite_infra.ssh_config import ssh_config
from satellite_infra.together import together

Resources = list[pulumi.Resource]


@dataclass(frozen=True)
class Plan:
    """What one host will be sent, and a digest of it."""

    prepare: ssh.Task
    run: ssh.Task
    digest: str


def satellite(settings: Settings) -> dict[str, Any]:
    """Declare everything; the stack's outputs."""
    # what can fail here fails before any resource is touched
    check_ssh_agent(settings)
    noted = check_former(settings)
    wanted = deploy(settings)
    agent = agent_bundle()
    plan = plans(settings, wanted, agent)
    ami = image(settings)
    with without_stack_traces():
        hosts, told = existing_hosts(settings), alerts.topic(settings)
        around = network(settings) if settings.instance_names() else None
        if around:
            hosts = [*instances(settings, around, ami, told), *hosts]
        releases = roll_out(settings, hosts, plan, agent, wanted, noted)
        if told is not None:
            # after them: before its first release no host measures a queue
            alerts.watch_queue(settings, told, releases)
    found = outputs(settings, hosts, wanted)
    return {**found, "security_group": around.group} if around else found


@contextmanager
def without_stack_traces() -> Iterator[None]:
    """The state would keep this machine's call stack with each resource: a quarter of its size."""
    sys.tracebacklimit = 1  # frames; pulumi's own reading of the stack ends there, too
    try:
        yield
    finally:
        del sys.tracebacklimit


def plans(settings: Settings, wanted: Deploy, agent: AgentBundle) -> dict[str, Plan]:
    """The plan of each host by its name; RunError when one cannot be sent."""
    key = Digests.of(settings.host_key_seed).one("private_key", settings.private_key)
    found: dict[str, Plan] = {}
    for name in settings.every_host():
        prepare, run = bootstrap(settings, name, agent), release(settings, name, wanted)
        # the login key too: a host that is sent nothing new but opened by a new key is reached
        digest = ssh.digest(agent.digest, key, prepare.text(), run.text())
        found[name] = Plan(prepare, run, digest)
    return found


def roll_out(
    settings: Settings,
    hosts: Sequence[Host],
    plan: dict[str, Plan],
    agent: AgentBundle,
    wanted: Deploy,
    noted: Mapping[str, Drain],
) -> Resources:
    """Reach all hosts, then change them a batch after the other; a failure stops what comes after.

    The first live host leads: the release phase runs there, and no host is released to before. The
    order hangs on the commands themselves: an empty component would lose it. The releases of the
    last batch come back, after which all are done. `noted`: the drain of each lost host before.
    """
    alive = [host for host in hosts if not host.lost]
    reached = {h.name: ssh.reach(settings, h, plan[h.name].digest) for h in alive}
    lost = [host for host in hosts if host.lost]
    # what says that they may hold jobs again, and says so until those are given back
    anew = {name for name, drain in noted.items() if drain.anew} if alive else set()
    for host in lost:
        if host.name not in anew:
            ssh.drain(settings, host, [])
    # nothing is changed while a host is out of reach
    before = together("all-reached", list(reached.values()))
    alone = {*settings.roll, *(settings.live()[:1] if settings.canary else ())}
    in_order = batches(alive, settings.at_once(), alone)
    phase: Resources = []
    released: Resources = []
    for n, batch in enumerate(in_order, 1):
        released = []
        for host in batch:
            tasks, asked = plan[host.name], reached[host.name]
            ready = _prepare(settings, host, tasks.prepare, agent, asked, before)
            # after an update that failed or was killed the engine knows only what was there before,
            # and would visit nobody on the way back; but who was reached for more is visited again
            known = ssh.visit(asked)
            if settings.release_phase and host is alive[0]:
                # by its commit: another leader, or another machine behind this one, is no reason
                name = naming.release_phase(wanted.revision)
                task = release_phase(settings, host.name, wanted)
                phase = [ssh.run_once(settings, host, name, task, ready[:1], **known)]
            needs = [*ready, *phase]
            released.append(ssh.run(settings, host, naming.RELEASE, tasks.run, needs, **known))
            if host is alive[0]:
                for gone in lost:
                    back = ssh.give_back(settings, host, gone, noted.get(gone.name), released)
                    if gone.name in anew:
                        ssh.drain(settings, gone, [*gone.openings, back])
        if n < len(in_order):
            before = together(f"batch-{n}", released)
    return released


def _prepare(
    settings: Settings,
    host: Host,
    task: ssh.Task,
    agent: AgentBundle,
    asked: local.Command,
    before: Resources,
) -> Resources:
    """What a host has before its release: it is prepared, and would be drained if it went."""
    copied = ssh.copy_agent(settings, host, agent, [asked, *before])
    prepared = ssh.run(settings, host, naming.BOOTSTRAP, task, [copied])
    # one that was never reached has nothing to drain, and must not block its own removal;
    # where machines roll, no old one drains before the new one of the batch before works
    turn = before if host.name in settings.roll else []
    return [prepared, ssh.drain(settings, host, [asked, *turn])]


def batches(hosts: Sequence[Host], size: int, alone: set[str]) -> list[list[Host]]:
    """The hosts in their order, at most `size` at a time; those in `alone` each by itself."""
    found: list[list[Host]] = []
    for host in hosts:
        if found and len(found[-1]) < size and not alone & {host.name, found[-1][0].name}:
            found[-1].append(host)
        else:
            found.append([host])
    return found


def outputs(settings: Settings, hosts: Sequence[Host], wanted: Deploy) -> dict[str, Any]:
    """What people and programs ask a stack for; nothing secret."""
    machines = {host.name: host.differs for host in hosts if host.differs is not None}
    return {
        "hosts": [
            {
                "name": host.name,
                "machine": host.machine,
                "address": host.address,
                "port": host.port,
                "host_key": fingerprint(host.host_key),
                "lost": host.lost,
                **({"console": host.console} if host.console else {}),
            }
            for host in hosts
        ],
        "ssh_config": ssh_config(settings, hosts),
        **({"to_roll": pulumi.Output.all(**machines).apply(_different)} if machines else {}),
        "revision": wanted.revision,
        "formation": {type_: process.quantity for type_, process in settings.processes.items()},
        "manifest": output.shown(manifest(settings, "", wanted).text()),
    }


def _different(machines: dict[str, str]) -> dict[str, str]:
    """Those that differ; a warning for all that do so alike."""
    found = {name: differs for name, differs in machines.items() if differs}
    for text in dict.fromkeys(found.values()):
        names = [name for name, differs in found.items() if differs == text]
        others = f"; alike: {', '.join(names[1:])}" if names[1:] else ""
        pulumi.log.warn(f"{names[0]} {text}: satellite roll {names[0]}{others}")
    return found
