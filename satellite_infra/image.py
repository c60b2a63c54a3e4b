"""The image of new instances: a pinned id, or the newest that the lookup finds."""

from __future__ import annotations

import pulumi
from pulumi_aws import ec2

from satellite_infra.settings import HostSettings, Settings


def image(settings: Settings) -> str:
    """The AMI id for all instances without one of their own; EC2 is asked once, and only for them.

    Existing instances keep theirs, whatever is the newest now. RunError where there is none.
    """
    wanted = settings.ami_lookup
    own = (settings.hosts.get(name, HostSettings()).ami for name in settings.instance_names())
    if wanted is None or all(own):
        return settings.ami
    try:
        found = ec2.get_ami(
            owners=[wanted.owner],
            filters=[ec2.GetAmiFilterArgs(name="name", values=[wanted.name])],
            most_recent=True,
        )
    except Exception as problem:  # noqa: BLE001 - the SDK has no narrower one
        raise pulumi.RunError(
            f"satellite:ami_lookup: no image of owner {wanted.owner} is named {wanted.name} in "
            f"this region, or EC2 could not be asked: {problem}"
        ) from None
    return found.id
