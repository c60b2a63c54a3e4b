"""What EC2 does by itself when the hardware under an instance fails."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_aws import cloudwatch, ec2

from satellite_infra.network import tags
from satellite_infra.settings import Settings


def recovers(
    settings: Settings, name: str, instance: ec2.Instance, told: pulumi.Output[str] | None
) -> pulumi.Resource:
    """Have the instance moved to other hardware, with its id, address and disk, after 2 minutes.

    `told`: the ARN of the topic that hears of it, and of its end.
    """
    also = [] if told is None else [told]
    return cloudwatch.MetricAlarm(
        f"{name}-recover",
        alarm_description=f"EC2 moves {name} to other hardware when its own fails",
        namespace="AWS/EC2",
        metric_name="StatusCheckFailed_System",
        dimensions={"InstanceId": instance.id},
        statistic="Maximum",
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=1,
        period=60,
        evaluation_periods=2,
        alarm_actions=[pulumi.Output.all(instance.arn, instance.region).apply(_recover), *also],
        ok_actions=also or None,
        tags=tags(settings),
    )


def _recover(place: Sequence[str | None]) -> str:
    """The action of that name in the instance's own partition and region, of which mocks know
    nothing.
    """
    arn, region = place
    return f"arn:{(arn or 'arn:aws').split(':')[1]}:automate:{region or ''}:ec2:recover"
