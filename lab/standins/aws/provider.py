"""The AWS provider's plugin process. It never calls the real AWS."""

from __future__ import annotations

import json
import os
import threading
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from lab.standins.aws import functions
from lab.standins.aws.address import Eip
from lab.standins.aws.cloudwatch import MetricAlarm
from lab.standins.aws.ec2 import KeyPair
from lab.standins.aws.iam import InstanceProfile, Role, RolePolicy, RolePolicyAttachment
from lab.standins.aws.instance import Instance
from lab.standins.aws.security_group import EgressRule, IngressRule, SecurityGroup
from lab.standins.aws.sns import Topic, TopicSubscription
from lab.standins.provider import Provider
from lab.standins.values import Properties

REFUSED = """\
this is a stand-in for the AWS provider: test equipment, which must not call the real AWS, and \
no endpoint for `{service}` names an emulated one. For a real account install the vendor's: \
`pulumi plugin install resource aws v{version}`. For the lab use `make lab`, which sets \
AWS_ENDPOINT_URL."""


class AwsProvider(Provider):
    """The resources and functions of pulumi-aws that this project uses."""

    version = "7.51.1"
    resources = {  # noqa: RUF012 - the base class says ClassVar
        "aws:cloudwatch/metricAlarm:MetricAlarm": MetricAlarm,
        "aws:ec2/eip:Eip": Eip,
        "aws:ec2/instance:Instance": Instance,
        "aws:ec2/keyPair:KeyPair": KeyPair,
        "aws:ec2/securityGroup:SecurityGroup": SecurityGroup,
        "aws:iam/instanceProfile:InstanceProfile": InstanceProfile,
        "aws:iam/role:Role": Role,
        "aws:iam/rolePolicy:RolePolicy": RolePolicy,
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment": RolePolicyAttachment,
        "aws:sns/topic:Topic": Topic,
        "aws:sns/topicSubscription:TopicSubscription": TopicSubscription,
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": EgressRule,
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": IngressRule,
    }
    functions = {  # noqa: RUF012
        "aws:ec2/getAmi:getAmi": functions.get_ami,
        "aws:ec2/getSubnet:getSubnet": functions.get_subnet,
        "aws:ec2/getSubnets:getSubnets": functions.get_subnets,
        "aws:ec2/getVpc:getVpc": functions.get_vpc,
        "aws:index/getCallerIdentity:getCallerIdentity": functions.get_caller_identity,
        "aws:index/getPartition:getPartition": functions.get_partition,
        "aws:ssm/getParameter:getParameter": functions.get_parameter,
    }

    def configure(self, config: Properties) -> None:
        """Take region, credentials, endpoints and default tags; refuse to go without endpoints."""
        self.region: str = (
            config.get("region")
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or "us-east-1"
        )
        self.default_tags: dict[str, str] = (_nested(config, "defaultTags", {}) or {}).get(
            "tags", {}
        )
        self._endpoints: dict[str, str] = {
            service: url
            for group in _nested(config, "endpoints", [])
            for service, url in group.items()
            if url
        }
        self._endpoint("ec2")
        self._login = {
            "region_name": self.region,
            "profile_name": config.get("profile"),
            "aws_access_key_id": config.get("accessKey"),
            "aws_secret_access_key": config.get("secretKey"),
        }
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @cached_property
    def account(self) -> str:
        """The account's number."""
        number: str = self.client("sts").get_caller_identity()["Account"]
        return number

    def client(self, service: str) -> Any:
        """A boto3 client for an emulated endpoint; one for all threads."""
        with self._lock:  # making a client isn't thread-safe; using one is
            if service not in self._clients:
                url = self._endpoint(service)
                self._clients[service] = self._session.client(service, endpoint_url=url)
            return self._clients[service]

    @cached_property
    def _session(self) -> Any:
        import boto3  # long to load, and most runs change nothing in AWS

        return boto3.Session(**self._login)

    def _endpoint(self, service: str) -> str:
        url = (
            self._endpoints.get(service)
            or os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
            or os.environ.get("AWS_ENDPOINT_URL")
        )
        host = urlsplit(url or "").hostname or ""
        if not url or host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            raise RuntimeError(REFUSED.format(service=service, version=self.version))
        return url


def _nested(config: Properties, key: str, default: Any) -> Any:
    """A value of the provider's configuration that isn't a text; it may arrive as JSON."""
    value = config.get(key, default)
    return json.loads(value) if isinstance(value, str) else value


main = AwsProvider.serve
