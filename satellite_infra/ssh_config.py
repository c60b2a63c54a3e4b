"""What OpenSSH has to know to reach the hosts as Pulumi does; `ssh -F FILE worker-1`."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from satellite_infra.host import Host
from satellite_infra.keys import bare
from satellite_infra.settings import Settings

PINNED = (
    "StrictHostKeyChecking yes",
    "UserKnownHostsFile /dev/null",
    "GlobalKnownHostsFile /dev/null",
)
"""The pinned key alone counts; each host's own entry gives it, so that one file is enough."""


def ssh_config(settings: Settings, hosts: Sequence[Host]) -> pulumi.Output[str]:
    """The text of ssh_config(5) for all hosts that are not lost; holds nothing secret."""
    alive = [host for host in hosts if not host.lost]

    def text(addresses: Sequence[str]) -> str:
        entries, names = [], [host.name for host in alive]
        shared = list(PINNED)
        if bastion := settings.bastion:
            jump = f"bastion.{settings.app}"  # no host's name has a dot
            user = bastion.user or settings.ssh_user
            entries.append(_entry(jump, bastion.address, user, bastion.port, bastion.host_key))
            entries.append(_lines(jump, PINNED))
            shared.append(f"ProxyJump {jump}")
        for host, address in zip(alive, addresses, strict=True):
            entries.append(_entry(host.name, address, host.user, host.port, host.host_key))
        return "\n".join([*entries, _lines(" ".join(names), shared)] if names else [])

    return pulumi.Output.all(*(host.address for host in alive)).apply(text)


def _entry(name: str, address: str, user: str, port: int, host_key: str) -> str:
    key = bare(host_key)
    return _lines(
        name,
        (
            f"HostName {address}",
            *([f"Port {port}"] if port != 22 else []),
            f"User {user}",
            f"HostKeyAlias {name}",
            f"KnownHostsCommand /bin/echo {name} {key}",
        ),
    )


def _lines(name: str, options: Sequence[str]) -> str:
    return "".join([f"Host {name}\n", *(f"  {option}\n" for option in options)])
