"""What EC2 instances need around them: the login key, a closed security group, its few openings."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, vpc

from satellite_infra.settings import EgressSettings, Settings
from satellite_infra.together import together


@dataclass(frozen=True)
class Network:
    """The login key's name in EC2, the security group's id, and the rules that SSH and git need."""

    key_name: pulumi.Output[str]
    group: pulumi.Output[str]
    rules: tuple[pulumi.Resource, ...]


def tags(settings: Settings) -> dict[str, str]:
    """On everything that this stack owns in AWS."""
    own = {"label": "satellite", "app": settings.app, "environment": settings.environment}
    return {**settings.tags, **own}


def resource_name(*parts: str | int | None) -> str:
    """A name from what makes the resource itself, so that none moves when another goes."""
    return re.sub(r"[:/]", "-", "-".join(str(part) for part in parts if part is not None))


def network(settings: Settings) -> Network:
    """The key pair, the group, and one rule for each CIDR."""
    # not `sg`: EC2 refuses a group whose name begins with sg-
    name = settings.name_in_aws()
    pair = ec2.KeyPair(name, public_key=settings.public_key, tags=tags(settings))
    group = ec2.SecurityGroup(
        name,
        description=f"Satellite of {settings.app}, {settings.environment}",
        vpc_id=settings.vpc_id or None,
        tags=tags(settings),
    )
    if not settings.ssh_cidrs:
        pulumi.log.warn("satellite:ssh_cidrs is empty: no instance can be reached over SSH")
    ingress = [_ingress(settings, group, cidr) for cidr in settings.ssh_cidrs]
    egress = [_egress(settings, group, way) for way in settings.egress]
    return Network(pair.key_name, group.id, tuple(together("openings", [*ingress, *egress])))


def _ingress(settings: Settings, group: ec2.SecurityGroup, cidr: str) -> pulumi.Resource:
    return vpc.SecurityGroupIngressRule(
        resource_name("ssh-from", cidr),
        security_group_id=group.id,
        description=f"SSH from {cidr}",
        ip_protocol="tcp",
        from_port=22,
        to_port=22,
        cidr_ipv4=_of_version(4, cidr),
        cidr_ipv6=_of_version(6, cidr),
        tags=tags(settings),
    )


def _egress(settings: Settings, group: ec2.SecurityGroup, way: EgressSettings) -> pulumi.Resource:
    any_port = -1 if way.protocol.startswith("icmp") else None
    return vpc.SecurityGroupEgressRule(
        resource_name("out", way.protocol, way.from_port, way.to_port, "to", way.cidr),
        security_group_id=group.id,
        description=way.description,
        ip_protocol={"all": "-1"}.get(way.protocol, way.protocol),
        from_port=any_port if way.from_port is None else way.from_port,
        to_port=any_port if way.to_port is None else way.to_port,
        cidr_ipv4=_of_version(4, way.cidr),
        cidr_ipv6=_of_version(6, way.cidr),
        tags=tags(settings),
    )


def _of_version(version: int, cidr: str) -> str | None:
    return cidr if (":" in cidr) == (version == 6) else None
