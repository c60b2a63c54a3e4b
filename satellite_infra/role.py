"""What hosts and app may do in AWS: a role that its instances hand out, no other may assume."""

from __future__ import annotations

import json
from typing import Any

import pulumi
from pulumi_aws import iam

from satellite_infra import naming
from satellite_infra.agent.metrics import NAMESPACE
from satellite_infra.network import tags
from satellite_infra.settings import Settings

FOR_INSTANCES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}

TELL_NUMBERS: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",  # metrics have no ARN: the namespace is what can be said of them
            "Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        }
    ],
}


def instance_profile(settings: Settings) -> pulumi.Output[str] | None:
    """The name of the profile with what hosts and app may do; None where that is nothing."""
    if not settings.app_policies and not settings.queue:
        return None
    name = settings.name_in_aws()
    role = iam.Role(
        name,
        description=f"Satellite of {settings.app}, {settings.environment}",
        assume_role_policy=json.dumps(FOR_INSTANCES),
        tags=tags(settings),
    )
    allowed: list[pulumi.Resource] = [
        iam.RolePolicyAttachment(
            naming.attachment(arn),
            role=role.name,
            policy_arn=arn,
        )
        for arn in settings.app_policies
    ]
    if settings.queue:
        policy = json.dumps(TELL_NUMBERS)
        allowed.append(iam.RolePolicy("queue-metrics", role=role.name, policy=policy))
    profile = iam.InstanceProfile(
        name,
        role=role.name,
        tags=tags(settings),
        opts=pulumi.ResourceOptions(depends_on=allowed),
    )
    return profile.name
