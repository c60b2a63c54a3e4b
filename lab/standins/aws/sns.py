"""Topics and their subscriptions."""

from __future__ import annotations

import json
from typing import Any

from lab.standins.aws.resource import AwsResource
from lab.standins.aws.wire import capital, tag_list, tag_map
from lab.standins.values import Properties

TOPIC_ATTRIBUTES = ("displayName", "policy", "deliveryPolicy", "kmsMasterKeyId")
SUBSCRIPTION_ATTRIBUTES = ("filterPolicy", "rawMessageDelivery", "deliveryPolicy", "redrivePolicy")


class Topic(AwsResource):
    """A topic; only its name is fixed."""

    properties = frozenset({"name", "namePrefix", *TOPIC_ATTRIBUTES})
    replace_on = frozenset({"name", "namePrefix"})
    computed = ("arn", "owner", "policy")
    name_key = "name"
    gone = ("NotFound", "NotFoundException")

    def make(self, inputs: Properties) -> str:
        arn: str = self.client("sns").create_topic(
            Name=self.chosen_name(inputs),
            Tags=tag_list(self.tags(inputs)),
            Attributes=_attributes(inputs, TOPIC_ATTRIBUTES),
        )["TopicArn"]
        return arn

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        sns = self.client("sns")
        topic = sns.get_topic_attributes(TopicArn=resource_id)["Attributes"]
        tags = sns.list_tags_for_resource(ResourceArn=resource_id)["Tags"]
        shown = ("displayName", "kmsMasterKeyId")
        return {
            "arn": resource_id,
            "name": resource_id.split(":")[-1],
            "owner": topic.get("Owner", ""),
            "tags": tag_map(tags),
            **{name: topic[capital(name)] for name in shown if topic.get(capital(name))},
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        sns = self.client("sns")
        for name in set(TOPIC_ATTRIBUTES) & changed:
            sns.set_topic_attributes(
                TopicArn=resource_id,
                AttributeName=capital(name),
                AttributeValue=_text(new.get(name)),
            )
        wanted, gone = self.tag_changes(new, old)
        if gone:
            sns.untag_resource(ResourceArn=resource_id, TagKeys=gone)
        if wanted:
            sns.tag_resource(ResourceArn=resource_id, Tags=wanted)

    def remove(self, resource_id: str, state: Properties) -> None:
        self.client("sns").delete_topic(TopicArn=resource_id)


class TopicSubscription(AwsResource):
    """Who is told of a topic's messages; fixed but for its attributes."""

    properties = frozenset({"topic", "protocol", "endpoint", *SUBSCRIPTION_ATTRIBUTES})
    required = ("topic", "protocol", "endpoint")
    replace_on = frozenset(required)
    computed = ("arn", "ownerId", "pendingConfirmation", "confirmationWasAuthenticated")
    gone = ("NotFound", "NotFoundException")

    def make(self, inputs: Properties) -> str:
        arn: str = self.client("sns").subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            ReturnSubscriptionArn=True,
            Attributes=_attributes(inputs, SUBSCRIPTION_ATTRIBUTES),
        )["SubscriptionArn"]
        return arn

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        found = self.client("sns").get_subscription_attributes(SubscriptionArn=resource_id)
        seen = found["Attributes"]
        return {
            "arn": resource_id,
            "topic": seen["TopicArn"],
            "protocol": seen["Protocol"],
            "endpoint": seen["Endpoint"],
            "ownerId": seen.get("Owner", ""),
            "pendingConfirmation": seen.get("PendingConfirmation") == "true",
            "confirmationWasAuthenticated": seen.get("ConfirmationWasAuthenticated") == "true",
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        for name in set(SUBSCRIPTION_ATTRIBUTES) & changed:
            self.client("sns").set_subscription_attributes(
                SubscriptionArn=resource_id,
                AttributeName=capital(name),
                AttributeValue=_text(new.get(name)),
            )

    def remove(self, resource_id: str, state: Properties) -> None:
        self.client("sns").unsubscribe(SubscriptionArn=resource_id)


def _attributes(inputs: Properties, names: tuple[str, ...]) -> dict[str, str]:
    return {capital(name): _text(inputs[name]) for name in names if inputs.get(name) is not None}


def _text(value: Any) -> str:
    """An attribute's value: all are texts, `true` and `false` included."""
    return json.dumps(value) if isinstance(value, bool) else str(value or "")
