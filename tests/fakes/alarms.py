"""What CloudWatch does with its alarms, and the emulator does not: evaluate them, and tell.

From the alarm's own definition and the numbers that were put: so many whole periods back, missing
ones as the alarm treats them; a change of state calls the actions of the new one, once.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

COMPARISONS = {"GreaterThanOrEqualToThreshold": float.__ge__}


def evaluate(cloudwatch: Any, sns: Any, prefix: str, now: float) -> dict[str, str]:
    """Do it for the alarms whose names begin so, at that time; metric -> new state."""
    changed = {}
    for alarm in cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]:
        values = numbers(cloudwatch, alarm, now)
        old, new = alarm["StateValue"], _state(alarm, values)
        if new == old:
            continue
        reason = f"Threshold: {values} against {alarm['Threshold']}"
        cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=new, StateReason=reason)
        for arn in alarm["AlarmActions"] if new == "ALARM" else alarm["OKActions"]:
            message = {
                "AlarmName": alarm["AlarmName"],
                "AlarmDescription": alarm["AlarmDescription"],
                "OldStateValue": old,
                "NewStateValue": new,
                "NewStateReason": reason,
                "Trigger": {key: alarm[key] for key in ("MetricName", "Namespace", "Dimensions")},
            }
            subject = f'{new}: "{alarm["AlarmName"]}"'
            sns.publish(TopicArn=arn, Subject=subject, Message=json.dumps(message))
        changed[alarm["MetricName"]] = new
    return changed


def numbers(cloudwatch: Any, alarm: dict[str, Any], now: float) -> list[float | None]:
    """The values of the last whole periods, oldest first; None where there is none."""
    period, count = alarm["Period"], alarm["EvaluationPeriods"]
    end = int(now) // period * period
    starts = [end - period * n for n in range(count, 0, -1)]
    points = cloudwatch.get_metric_statistics(
        **{key: alarm[key] for key in ("Namespace", "MetricName", "Dimensions", "Period")},
        StartTime=datetime.fromtimestamp(starts[0], UTC),
        EndTime=datetime.fromtimestamp(end, UTC),
        Statistics=[alarm["Statistic"]],
    )["Datapoints"]
    values = {int(point["Timestamp"].timestamp()): point[alarm["Statistic"]] for point in points}
    return [next((v for at, v in values.items() if s <= at < s + period), None) for s in starts]


def _state(alarm: dict[str, Any], values: list[float | None]) -> str:
    missing = alarm.get("TreatMissingData", "missing")
    if missing == "ignore" and None in values:
        return str(alarm["StateValue"])
    breaks = COMPARISONS[alarm["ComparisonOperator"]]
    verdicts = [
        missing == "breaching" if value is None else breaks(float(value), float(alarm["Threshold"]))
        for value in values
    ]
    return "ALARM" if all(verdicts) else "OK"
