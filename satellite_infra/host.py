"""A host: the one thing that everything after the instances knows."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from satellite_infra.keys import bare
from satellite_infra.settings import Settings


@dataclass(frozen=True)
class Host:
    """How to reach a host, and which machine it is now."""

    name: str
    machine: pulumi.Output[str]
    """What changes when the machine is another one: the instance's id, or the owner's number."""
    address: pulumi.Output[str]
    user: str
    port: int
    host_key: str
    """`TYPE KEY`: the only host key that is accepted."""
    lost: bool = False
    """Dead: nobody connects, and its resources go without a drain."""
    protected: bool = False
    """Neither it nor its drain may go; so it is never drained and then kept."""
    console: pulumi.Output[str] | None = None
    """Its page in the AWS console."""
    differs: pulumi.Output[str] | None = None
    """What its machine has that the settings do not say; empty where it is as they say."""
    openings: tuple[pulumi.Resource, ...] = ()
    """The rules without which it cannot be reached, or drained at its end."""
    alarms: tuple[pulumi.Resource, ...] = ()
    """They outlive its drain: where that may not go, they stay."""


def existing_hosts(settings: Settings) -> list[Host]:
    """The hosts that are there without us, in the settings' order."""
    return [
        Host(
            name=name,
            machine=pulumi.Output.from_input(str(host.machine or 1)),
            address=pulumi.Output.from_input(str(host.address)),
            user=settings.login_user(name),
            port=host.port or 22,
            host_key=bare(str(host.host_key)),
            lost=host.lost,
        )
        for name, host in settings.existing().items()
    ]
