"""The EC2 instances of the stack, as hosts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import pulumi
from pulumi_aws import ec2

from satellite_infra.alerts import watch
from satellite_infra.host import Host
from satellite_infra.host_identity import host_identity
from satellite_infra.network import Network, tags
from satellite_infra.recovery import recovers
from satellite_infra.role import instance_profile
from satellite_infra.settings import HostSettings, Settings

MACHINE = [
    "ami",
    "associatePublicIpAddress",
    "instanceType",
    "keyName",
    "privateIp",
    "subnetId",
    "userData",
]
"""What makes the machine itself. The engine would replace or stop all instances within one second
when it changes, so it is ignored on existing ones, and replaces those that are named in `roll`."""
DISK = "rootBlockDevice.volumeSize"
"""Grows in place. EC2 refuses to make it smaller, so that a rolled machine gets a new one."""


def instances(
    settings: Settings, network: Network, image: str, told: pulumi.Output[str] | None
) -> list[Host]:
    """One host for each instance, in the settings' order.

    `image`: the id for new ones; `told`: the ARN of the topic that hears of alarms.
    """
    profile = instance_profile(settings)
    if settings.connect == "private" and not settings.subnet_ids:
        pulumi.log.warn(
            "satellite:connect: private, and without satellite:vpc_id and subnet_ids each instance "
            "has a public address, too: EC2 gives one in a default subnet"
        )
    for name in (name for name in settings.roll if name not in settings.live()):
        pulumi.log.warn(f"{name} is lost: satellite:roll replaces it once it is that no longer")
    return [
        _instance(settings, network, image, profile, told, name)
        for name in settings.instance_names()
    ]


def _instance(
    settings: Settings,
    network: Network,
    image: str,
    profile: pulumi.Output[str] | None,
    told: pulumi.Output[str] | None,
    name: str,
) -> Host:
    own = settings.hosts.get(name, HostSettings())
    identity = host_identity(settings.host_key_seed, name)
    public = settings.connect == "public"
    subnet = own.subnet_id or _subnet(settings.subnet_ids, name)
    named = {**tags(settings), "Name": name}
    instance = ec2.Instance(
        name,
        ami=own.ami or image,
        instance_type=own.instance_type or settings.instance_type,
        key_name=network.key_name,
        vpc_security_group_ids=[network.group, *settings.security_group_ids],
        subnet_id=subnet,
        private_ip=own.private_ip,
        # a `false` without a subnet the provider does not tell EC2, and finds to differ for ever
        associate_public_ip_address=public if public or subnet else None,
        # the provider leaves one that is not mentioned any more where it is
        iam_instance_profile="" if profile is None else profile,
        user_data=pulumi.Output.secret(identity.user_data()),
        metadata_options=ec2.InstanceMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        root_block_device=ec2.InstanceRootBlockDeviceArgs(
            encrypted=True,
            volume_type="gp3",
            volume_size=own.root_volume_gb or settings.root_volume_gb,
            tags=named,
        ),
        disable_api_termination=settings.protected(name),
        tags=named,
        opts=_options(
            # its drain is known by a machine until what that held is given back
            rolled=name in settings.roll and not own.lost,
            keeps_address=bool(own.private_ip),
            protected=settings.protected(name),
        ),
    )
    alarms: list[pulumi.Resource] = []
    if settings.auto_recover:
        alarms.append(recovers(settings, name, instance, told))
    if told is not None:
        alarms += watch(settings, name, instance, told)
    stays = name not in settings.roll and not own.lost
    return Host(
        name=name,
        machine=instance.id,
        address=instance.public_ip if public else instance.private_ip,
        user=settings.login_user(name),
        port=22,
        host_key=identity.public,
        lost=own.lost,
        openings=network.rules,
        alarms=tuple(alarms),
        protected=settings.protected(name),
        console=pulumi.Output.all(instance.region, instance.id).apply(_console),
        differs=_differs(settings, name, instance) if stays else None,
    )


def _differs(settings: Settings, name: str, instance: ec2.Instance) -> pulumi.Output[str]:
    """What the machine has that the settings do not say.

    Not the image that a lookup finds: it is for new instances alone. Nor another subnet: a machine
    is where it was made, and one more of `subnet_ids` gives most names another one.
    """
    own = settings.hosts.get(name, HostSettings())
    declared = [
        (f"hosts.{name}.{key}", mine) if (mine := getattr(own, key)) else (key, general)
        for key, general in (("ami", settings.ami), ("instance_type", settings.instance_type))
    ]

    def compared(actual: Sequence[str | None]) -> str:
        said = [
            f"{has}, and satellite:{key} says {wanted}"
            for has, (key, wanted) in zip(actual, declared, strict=True)
            if has and wanted and has != wanted
        ]
        return f"has {'; '.join(said)}" if said else ""

    return pulumi.Output.all(instance.ami, instance.instance_type).apply(compared)


def _console(place: Sequence[str | None]) -> str:
    region, machine = place
    if not region:
        return ""  # of mocks
    page = f"region={region}#InstanceDetails:instanceId={machine}"
    return f"https://{region}.console.aws.amazon.com/ec2/home?{page}"


def _subnet(ids: Sequence[str], name: str) -> str | None:
    """By the number at the end of the name, so that no host's place depends on the others."""
    if not ids:
        return None
    number = re.search(r"[0-9]+$", name)
    place = int(number[0]) - 1 if number else zlib.crc32(name.encode())
    return ids[place % len(ids)]


def _options(rolled: bool, keeps_address: bool, protected: bool) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        protect=protected,
        ignore_changes=None if rolled else MACHINE,
        replace_on_changes=[*MACHINE, DISK] if rolled else None,
        # two machines cannot hold one address: the old one goes first, after its drain
        delete_before_replace=True if keeps_address else None,
    )
