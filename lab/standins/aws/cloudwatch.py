"""CloudWatch alarms."""

from __future__ import annotations

from typing import ClassVar

from lab.standins.aws.resource import AwsResource
from lab.standins.aws.wire import arguments, capital, tag_list, tag_map
from lab.standins.values import Properties


class MetricAlarm(AwsResource):
    """An alarm on one metric; a put call both makes and changes it."""

    fields: ClassVar[dict[str, str]] = {
        **{
            name: capital(name)
            for name in (
                *("comparisonOperator", "evaluationPeriods", "metricName", "namespace", "period"),
                *("statistic", "extendedStatistic", "threshold", "unit", "alarmDescription"),
                *("treatMissingData", "datapointsToAlarm", "actionsEnabled", "alarmActions"),
            )
        },
        "okActions": "OKActions",
        "insufficientDataActions": "InsufficientDataActions",
    }
    properties = frozenset({"name", "dimensions", *fields})
    required = ("comparisonOperator", "evaluationPeriods")
    replace_on = frozenset({"name"})
    computed = ("arn",)
    name_key = "name"

    def make(self, inputs: Properties) -> str:
        self._put(inputs)
        name: str = inputs["name"]
        return name

    def look(self, resource_id: str, inputs: Properties) -> Properties | None:
        cloudwatch = self.client("cloudwatch")
        found = cloudwatch.describe_alarms(AlarmNames=[resource_id])["MetricAlarms"]
        if not found:
            return None
        alarm = found[0]
        tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        return {
            **{ours: alarm[theirs] for ours, theirs in self.fields.items() if theirs in alarm},
            "name": resource_id,
            "arn": alarm["AlarmArn"],
            "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions", [])},
            "tags": tag_map(tags),
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        self._put(new)
        cloudwatch, arn = self.client("cloudwatch"), (self.look(resource_id, new) or {})["arn"]
        wanted, gone = self.tag_changes(new, old)
        if gone:
            cloudwatch.untag_resource(ResourceARN=arn, TagKeys=gone)
        if wanted:
            cloudwatch.tag_resource(ResourceARN=arn, Tags=wanted)

    def remove(self, resource_id: str, state: Properties) -> None:
        self.client("cloudwatch").delete_alarms(AlarmNames=[resource_id])

    def _put(self, inputs: Properties) -> None:
        dimensions = sorted((inputs.get("dimensions") or {}).items())
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=inputs["name"],
            Tags=tag_list(self.tags(inputs)),
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions],
            **arguments(inputs, self.fields, self.fields),
        )
