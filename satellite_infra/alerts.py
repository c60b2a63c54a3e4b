"""What AWS watches of instances and of the queue, and the topic by which people are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, ec2, sns

from satellite_infra.agent.metrics import AGE, DEPTH, NAMESPACE, dimensions
from satellite_infra.digests import Digests
from satellite_infra.network import resource_name, tags
from satellite_infra.settings import AlertSettings, Settings

EC2_MINUTES = 5  # between two measurements of an instance without detailed monitoring
CHECKS = {
    "System": "look at the AWS Health page, then stop and start it: it moves to other hardware",
    "Instance": "look at its system log in the EC2 console; a reboot may help, or satellite:roll",
}
"""The status checks of EC2, and what to do when one fails."""


def topic(settings: Settings) -> pulumi.Output[str] | None:
    """The ARN of the topic with its subscriptions; None where nobody is to be told."""
    alerts = settings.alerting()
    if alerts is None:
        return None
    made = sns.Topic(
        # a topic's name may have no dot, other names may
        f"satellite-{settings.app}-{settings.environment.replace('.', '-')}-alerts",
        display_name=f"{settings.app} {settings.environment}"[:100],
        kms_master_key_id=alerts.kms_key or None,
        tags=tags(settings),
    )
    for email in alerts.emails:
        name = resource_name("alerts-to", email)
        sns.TopicSubscription(name, topic=made.arn, protocol="email", endpoint=email)
    digests = Digests.of(settings.host_key_seed)
    for url in settings.alert_urls:
        sns.TopicSubscription(
            # the URL may hold a key, and names are shown
            resource_name("alerts-to-url", digests.one("alert_urls", url)),
            topic=made.arn,
            protocol="https",
            endpoint=pulumi.Output.secret(url),
        )
    return made.arn


def watch(
    settings: Settings, name: str, instance: ec2.Instance, told: pulumi.Output[str]
) -> list[pulumi.Resource]:
    """Alarms for the status checks that nothing else watches, and for the CPU."""
    made: list[pulumi.Resource] = []
    for check, what_to_do in CHECKS.items():
        if check == "System" and settings.auto_recover:
            continue  # the alarm that recovers it tells as well
        alarm = cloudwatch.MetricAlarm(
            f"{name}-{check.lower()}-check",
            alarm_description=f"{_which(settings, name)} fails EC2's {check.lower()} status check: "
            f"{what_to_do}",
            metric_name=f"StatusCheckFailed_{check}",
            statistic="Maximum",
            threshold=1,
            period=60,
            evaluation_periods=2,
            **_common(settings, instance, told),
        )
        made.append(alarm)
    alerts = settings.alerting() or AlertSettings()
    cpu = cloudwatch.MetricAlarm(
        f"{name}-cpu",
        alarm_description=f"{_which(settings, name)} has used {alerts.cpu_percent}% of its CPU or "
        f"more for {alerts.cpu_minutes} minutes: look at its processes, then take fewer workers, "
        "a larger instance_type, or another host",
        metric_name="CPUUtilization",
        statistic="Average",
        threshold=alerts.cpu_percent,
        period=EC2_MINUTES * 60,
        evaluation_periods=alerts.cpu_minutes // EC2_MINUTES,
        **_common(settings, instance, told),
    )
    return [*made, cpu]


def watch_queue(
    settings: Settings, told: pulumi.Output[str], after: Sequence[pulumi.Resource]
) -> None:
    """Alarms for the age of the queue's oldest job, also where nobody tells it, and its length."""
    queue = settings.queue
    if queue is None:
        return
    which = f"Queue {queue.name} of {settings.app}, {settings.environment}"
    hosts = " and ".join(settings.measuring()) or "no host"
    periods = -(-queue.minutes // queue.every_minutes)
    minutes = periods * queue.every_minutes
    lasts = f"for {minutes} minute{'s' if minutes > 1 else ''}"
    units = f"satellite-{settings.app}"
    look = f"look at the workers: journalctl -u '{units}.*' on each host"
    # two hosts tell the same, but for the second at which they looked
    common = {
        "namespace": NAMESPACE,
        "dimensions": dimensions(settings.app, settings.environment, queue.name),
        "statistic": "Maximum",
        "period": queue.every_minutes * 60,
        "evaluation_periods": periods,
        **_calls(settings, told),
    }
    cloudwatch.MetricAlarm(
        "queue-age",
        alarm_description=f"{which}: {lasts} its oldest job has waited for {queue.age_seconds} s "
        f"or more, or {hosts} did not say for how long: {look}; "
        f"and at how it is measured: journalctl -u {units}-queue on {hosts}",
        metric_name=AGE,
        threshold=queue.age_seconds,
        treat_missing_data="breaching",
        opts=pulumi.ResourceOptions(depends_on=after),
        **common,
    )
    cloudwatch.MetricAlarm(
        "queue-depth",
        alarm_description=f"{which}: {lasts} {queue.depth} jobs or more could run: {look}; "
        "or take more workers",
        metric_name=DEPTH,
        threshold=queue.depth,
        treat_missing_data="ignore",  # silence is the other alarm's, and no end of this one
        opts=pulumi.ResourceOptions(depends_on=after),
        **common,
    )


def _which(settings: Settings, name: str) -> str:
    return f"{name} of {settings.app}, {settings.environment},"


def _common(settings: Settings, instance: ec2.Instance, told: pulumi.Output[str]) -> dict[str, Any]:
    return {
        "namespace": "AWS/EC2",
        "dimensions": {"InstanceId": instance.id},
        **_calls(settings, told),
    }


def _calls(settings: Settings, told: pulumi.Output[str]) -> dict[str, Any]:
    """At its begin and its end."""
    return {
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "alarm_actions": [told],
        "ok_actions": [told],
        "tags": tags(settings),
    }
