"""The AWS provider against an emulated account: each resource's life, as pulumi-aws 7 has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lab.standins.aws.functions import get_partition
from tests.standins.project import Made, Project, ref

pytestmark = pytest.mark.engine

Aws = Callable[[str], Any]

AMI, OTHER_AMI = "ami-1e749f67", "ami-785db401"
KEYS = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIYCVYgTBhPk6WRfWcyYvqDCrzNyvVo4xy0N6uT4vRyW one",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4CfPQmnkjUKEbnlGwzCUwTx5DMe1q3fC41cyWs0eMV two",
]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": "sts:AssumeRole",
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
            }
        ],
    }
)
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Action": "cloudwatch:PutMetricData", "Effect": "Allow", "Resource": "*"}],
}
DISK = {"volume_size": 20, "volume_type": "gp3", "encrypted": True}
INSTANCE = {
    "ami": AMI,
    "instance_type": "t3.small",
    "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 1},
    "root_block_device": DISK,
}
INGRESS = {
    "security_group_id": ref("group", "id"),
    "ip_protocol": "tcp",
    "from_port": 22,
    "to_port": 22,
    "cidr_ipv4": "192.0.2.0/24",
}
EGRESS = {
    "security_group_id": ref("group", "id"),
    "ip_protocol": "-1",
    "cidr_ipv4": "0.0.0.0/0",
}
ALARM = {
    "comparison_operator": "GreaterThanThreshold",
    "evaluation_periods": 2,
    "metric_name": "CPUUtilization",
    "namespace": "AWS/EC2",
    "period": 60,
    "statistic": "Average",
    "threshold": 90,
    "dimensions": {"InstanceId": ref("machine", "id")},
    "alarm_actions": [ref("topic", "arn")],
}


def made(kind: str, name: str, /, **arguments: Any) -> Made:
    return Made(name, f"pulumi_aws.{kind}", arguments)


def everything(policy: str, tags: dict[str, str], **changed: dict[str, Any]) -> list[Made]:
    """One of each resource. `changed` maps a name to arguments that differ."""

    def one(kind: str, name: str, tagged: bool = True, /, **arguments: Any) -> Made:
        own = {"tags": tags} if tagged else {}
        return made(kind, name, **{**arguments, **own, **changed.get(name, {})})

    return [
        one("ec2.KeyPair", "key", public_key=KEYS[0]),
        one("ec2.SecurityGroup", "group", description="machines"),
        one("vpc.SecurityGroupIngressRule", "ingress", **INGRESS),
        one("vpc.SecurityGroupEgressRule", "egress", **EGRESS),
        one("iam.Role", "role", assume_role_policy=TRUST),
        one(
            *("iam.RolePolicyAttachment", "attachment", False),
            role=ref("role", "name"),
            policy_arn=policy,
        ),
        one(
            *("iam.RolePolicy", "inline", False),
            role=ref("role", "name"),
            policy=json.dumps(POLICY),
        ),
        one("iam.InstanceProfile", "profile", role=ref("role", "name")),
        one(
            *("ec2.Instance", "machine"),
            **INSTANCE,
            key_name=ref("key", "key_name"),
            vpc_security_group_ids=[ref("group", "id")],
            iam_instance_profile=ref("profile", "name"),
            user_data="#cloud-config\n",
        ),
        one("ec2.Eip", "address", domain="vpc", instance=ref("machine", "id")),
        one("sns.Topic", "topic", display_name="alarms"),
        one(
            *("sns.TopicSubscription", "subscription", False),
            topic=ref("topic", "arn"),
            protocol="email",
            endpoint="ops@example.com",
        ),
        one("cloudwatch.MetricAlarm", "alarm", **ALARM),
    ]


UNTAGGED = {"attachment", "inline", "subscription"}


@pytest.fixture
def policy(aws: Aws) -> str:
    """The ARN of a managed policy."""
    made = aws("iam").create_policy(PolicyName="metrics", PolicyDocument=json.dumps(POLICY))
    return str(made["Policy"]["Arn"])


def tags_seen(aws: Aws, state: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The tags of each resource, as AWS has them."""

    def pairs(tags: list[dict[str, str]]) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in tags}

    def ec2(key: str) -> dict[str, str]:
        wanted = [{"Name": "resource-id", "Values": [key]}]
        return pairs(aws("ec2").describe_tags(Filters=wanted)["Tags"])

    ids = {name: resource["id"] for name, resource in state.items()}
    alarm = state["alarm"]["outputs"]["arn"]
    return {
        "key": ec2(state["key"]["outputs"]["keyPairId"]),
        **{name: ec2(ids[name]) for name in ("group", "ingress", "egress", "machine", "address")},
        "role": pairs(aws("iam").list_role_tags(RoleName=ids["role"])["Tags"]),
        "profile": pairs(
            aws("iam").get_instance_profile(InstanceProfileName=ids["profile"])["InstanceProfile"][
                "Tags"
            ]
        ),
        "topic": pairs(aws("sns").list_tags_for_resource(ResourceArn=ids["topic"])["Tags"]),
        "alarm": pairs(aws("cloudwatch").list_tags_for_resource(ResourceARN=alarm)["Tags"]),
    }


def test_each_resource_from_create_to_delete(project: Project, aws: Aws, policy: str) -> None:
    before = {"team": "ops", "old": "1"}
    names = [resource.name for resource in everything(policy, before)]
    project.declare(*everything(policy, before))
    assert project.preview().steps == {name: ["create"] for name in names}
    assert project.up().steps == {name: ["create"] for name in names}
    state = project.state()
    tagged = set(names) - UNTAGGED
    assert tags_seen(aws, state) == dict.fromkeys(tagged, before)

    assert project.up().steps == {}
    assert project.refresh().steps == {}

    after = {"team": "dev", "new": "2"}
    project.declare(*everything(policy, after))
    retagged = project.up()
    assert retagged.steps == {name: ["update"] for name in tagged}
    assert retagged.paths == {name: ["tags.new", "tags.old", "tags.team"] for name in tagged}
    assert tags_seen(aws, state) == dict.fromkeys(tagged, after)
    assert {name: resource["id"] for name, resource in project.state().items()} == {
        name: resource["id"] for name, resource in state.items()
    }
    assert project.refresh().steps == {}

    assert project.destroy().steps == {name: ["delete"] for name in names}
    ec2, iam = aws("ec2"), aws("iam")
    left = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert [instance["State"]["Name"] for instance in left] == ["terminated"]
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert [g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]
    assert ec2.describe_addresses()["Addresses"] == []
    assert (iam.list_roles()["Roles"], iam.list_instance_profiles()["InstanceProfiles"]) == ([], [])
    assert aws("sns").list_topics()["Topics"] == []
    assert aws("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_what_aws_can_change_in_place(project: Project, aws: Aws, policy: str) -> None:
    project.declare(
        *everything(policy, {}),
        made("ec2.SecurityGroup", "other"),
        made("iam.InstanceProfile", "weaker"),
    )
    assert project.up().status == 0
    old = project.state()
    changed: dict[str, dict[str, Any]] = {
        "ingress": {"cidr_ipv4": "198.51.100.0/24", "description": "office"},
        "egress": {"ip_protocol": "tcp", "from_port": 443, "to_port": 443},
        "role": {"description": "what machines may do", "max_session_duration": 7200},
        "inline": {"policy": json.dumps({**POLICY, "Id": "narrower"})},
        "profile": {"role": None},
        "topic": {"display_name": "louder"},
        "subscription": {"raw_message_delivery": True},
        "alarm": {"threshold": 80},
        "address": {"instance": None},
        "machine": {
            "instance_type": "t3.medium",
            "user_data": "#cloud-config\npackages: []\n",
            "root_block_device": {
                "volume_size": 30,
                "volume_type": "gp3",
                "encrypted": True,
                "delete_on_termination": False,
            },
            "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 2},
            "vpc_security_group_ids": [ref("other", "id")],
            "iam_instance_profile": ref("weaker", "name"),
            "disable_api_termination": True,
            "source_dest_check": False,
        },
    }
    resources = everything(policy, {}, **changed)
    others = [made("ec2.SecurityGroup", "other"), made("iam.InstanceProfile", "weaker")]
    project.declare(*others, *resources)
    updated = project.up()
    assert updated.errors == []
    assert updated.steps == {name: ["update"] for name in changed}
    assert updated.paths == {
        "ingress": ["cidrIpv4", "description"],
        "egress": ["fromPort", "ipProtocol", "toPort"],
        "role": ["description", "maxSessionDuration"],
        "inline": ["policy"],
        "profile": ["role"],
        "topic": ["displayName"],
        "subscription": ["rawMessageDelivery"],
        "alarm": ["threshold"],
        "address": ["instance"],
        "machine": [
            "disableApiTermination",
            "iamInstanceProfile",
            "instanceType",
            "metadataOptions.httpPutResponseHopLimit",
            "rootBlockDevice.deleteOnTermination",
            "rootBlockDevice.volumeSize",
            "sourceDestCheck",
            "userData",
            "vpcSecurityGroupIds[0]",
        ],
    }
    ec2, instance = aws("ec2"), old["machine"]["id"]
    seen = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    data = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]
    disk = seen["BlockDeviceMappings"][0]["Ebs"]
    volume = disk["VolumeId"]
    associations = ec2.describe_iam_instance_profile_associations()
    (association,) = associations["IamInstanceProfileAssociations"]
    assert {
        "type": seen["InstanceType"],
        "state": seen["State"]["Name"],
        "groups": [group["GroupId"] for group in seen["SecurityGroups"]],
        "hops": seen["MetadataOptions"]["HttpPutResponseHopLimit"],
        "disk": ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"],
        "disk goes with it": disk["DeleteOnTermination"],
        "data": data["Value"],
        "profile": association["IamInstanceProfile"]["Arn"].split("/")[-1],
    } == {
        "type": "t3.medium",
        "state": "running",
        "groups": [old["other"]["id"]],
        "hops": 2,
        "disk": 30,
        "disk goes with it": False,
        "data": "I2Nsb3VkLWNvbmZpZwpwYWNrYWdlczogW10K",
        "profile": old["weaker"]["id"],
    }
    assert project.up().steps == {}
    assert project.refresh().steps == {}


def test_what_needs_a_new_instance(project: Project, aws: Aws) -> None:
    subnets = aws("ec2").describe_subnets()["Subnets"]
    changes: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
        "ami": ({}, {"ami": OTHER_AMI}, "ami"),
        "zone": (
            {"availability_zone": "us-east-1a"},
            {"availability_zone": "us-east-1b"},
            "availabilityZone",
        ),
        "public": (
            {"associate_public_ip_address": True},
            {"associate_public_ip_address": False},
            "associatePublicIpAddress",
        ),
        "key": ({}, {"key_name": "somebody"}, "keyName"),
        "subnet": (
            {"subnet_id": subnets[0]["SubnetId"]},
            {"subnet_id": subnets[1]["SubnetId"]},
            "subnetId",
        ),
        "address": ({"private_ip": "172.31.0.50"}, {"private_ip": "172.31.0.51"}, "privateIp"),
        "tenancy": ({}, {"tenancy": "dedicated"}, "tenancy"),
        "disk": (
            {"root_block_device": {"encrypted": True}},
            {"root_block_device": {"encrypted": False}},
            "rootBlockDevice.encrypted",
        ),
        "data": (
            {"user_data": "1", "user_data_replace_on_change": True},
            {"user_data": "2", "user_data_replace_on_change": True},
            "userData",
        ),
    }
    project.declare(
        *(
            made("ec2.Instance", name, **{**INSTANCE, **old})
            for name, (old, _, _) in changes.items()
        )
    )
    assert project.up().errors == []
    project.declare(
        *(
            made("ec2.Instance", name, **{**INSTANCE, **old, **new})
            for name, (old, new, _) in changes.items()
        )
    )
    planned = project.preview()
    replaced = ["create-replacement", "replace", "delete-replaced"]
    assert {name: sorted(steps) for name, steps in planned.steps.items()} == {
        name: sorted(replaced) for name in changes
    }
    assert planned.paths == {name: [path] for name, (_, _, path) in changes.items()}


def test_what_else_needs_a_new_resource(project: Project, aws: Aws, policy: str) -> None:
    vpc = aws("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    own = aws("iam").create_policy(PolicyName="more", PolicyDocument=json.dumps(POLICY))
    resources = everything(policy, {})
    project.declare(*resources)
    assert project.up().errors == []
    # the program's own names and generated ones differ in what comes first
    create_first = ["create-replacement", "delete-replaced", "replace"]
    delete_first = ["delete-replaced", "replace", "create-replacement"]
    changes: dict[str, dict[str, Any]] = {
        "key": {"public_key": KEYS[1]},
        "group": {"vpc_id": vpc},
        "role": {"path": "/machines/"},
        "attachment": {"policy_arn": own["Policy"]["Arn"]},
        "inline": {"name": "other"},
        "profile": {"path": "/machines/"},
        "topic": {"name": "other"},
        "subscription": {"endpoint": "dev@example.com"},
        "alarm": {"name": "other"},
    }
    for name, change in changes.items():
        project.declare(*everything(policy, {}, **{name: change}))
        planned = project.preview(f"--target=**{name}")
        assert (name, sorted(planned.steps[name])) == (name, create_first)

    project.declare(made("ec2.KeyPair", "named", key_name="mine", public_key=KEYS[0]))
    assert project.up().errors == []
    project.declare(made("ec2.KeyPair", "named", key_name="mine", public_key=KEYS[1]))
    assert project.up().steps == {"named": delete_first}


def test_drift_is_seen_and_undone(project: Project, aws: Aws) -> None:
    resources = [
        made("ec2.SecurityGroup", "group", tags={"team": "ops"}),
        made("vpc.SecurityGroupIngressRule", "rule", **INGRESS),
        made("ec2.Instance", "machine", **INSTANCE, tags={"Name": "machine"}),
        made("sns.Topic", "topic", display_name="alarms"),
    ]
    project.declare(*resources)
    project.up()
    ids = {name: resource["id"] for name, resource in project.state().items()}
    ec2 = aws("ec2")
    ec2.create_tags(Resources=[ids["machine"]], Tags=[{"Key": "Name", "Value": "changed"}])
    ec2.create_tags(Resources=[ids["group"]], Tags=[{"Key": "extra", "Value": "1"}])
    ec2.modify_security_group_rules(
        GroupId=ids["group"],
        SecurityGroupRules=[
            {
                "SecurityGroupRuleId": ids["rule"],
                "SecurityGroupRule": {
                    "IpProtocol": "tcp",
                    "FromPort": 22,
                    "ToPort": 22,
                    "CidrIpv4": "0.0.0.0/0",
                },
            }
        ],
    )
    aws("sns").set_topic_attributes(
        TopicArn=ids["topic"], AttributeName="DisplayName", AttributeValue="quiet"
    )
    assert project.refresh().steps == {name: ["update"] for name in ids}
    undone = project.up()
    assert undone.steps == {name: ["update"] for name in ids}
    assert undone.paths == {
        "machine": ["tags.Name"],
        "group": ["tags.extra"],
        "rule": ["cidrIpv4"],
        "topic": ["displayName"],
    }
    assert project.refresh().steps == {}


def test_what_is_gone_is_made_again(project: Project, aws: Aws, policy: str) -> None:
    resources = everything(policy, {})
    project.declare(*resources)
    assert project.up().errors == []
    state = project.state()
    ids = {name: resource["id"] for name, resource in state.items()}
    ec2, iam, sns = aws("ec2"), aws("iam"), aws("sns")
    ec2.disassociate_address(AssociationId=state["address"]["outputs"]["associationId"])
    ec2.release_address(AllocationId=ids["address"])
    ec2.terminate_instances(InstanceIds=[ids["machine"]])
    ec2.delete_security_group(GroupId=ids["group"])
    ec2.delete_key_pair(KeyName=ids["key"])
    iam.remove_role_from_instance_profile(InstanceProfileName=ids["profile"], RoleName=ids["role"])
    iam.delete_instance_profile(InstanceProfileName=ids["profile"])
    iam.detach_role_policy(RoleName=ids["role"], PolicyArn=policy)
    iam.delete_role_policy(RoleName=ids["role"], PolicyName=state["inline"]["outputs"]["name"])
    iam.delete_role(RoleName=ids["role"])
    sns.unsubscribe(SubscriptionArn=ids["subscription"])
    sns.delete_topic(TopicArn=ids["topic"])
    aws("cloudwatch").delete_alarms(AlarmNames=[ids["alarm"]])
    assert project.refresh().steps == {name: ["delete"] for name in ids}
    assert project.up().steps == {name: ["create"] for name in ids}
    assert project.destroy().status == 0


def test_deleting_what_is_gone_is_no_error(project: Project, aws: Aws) -> None:
    project.declare(
        made("ec2.SecurityGroup", "group"), made("sns.Topic", "topic"), made("ec2.Eip", "address")
    )
    project.up()
    ids = {name: resource["id"] for name, resource in project.state().items()}
    aws("ec2").delete_security_group(GroupId=ids["group"])
    aws("ec2").release_address(AllocationId=ids["address"])
    aws("sns").delete_topic(TopicArn=ids["topic"])
    assert project.destroy().errors == []


def test_an_instance_is_put_where_ec2_would_put_it(project: Project, aws: Aws) -> None:
    subnets = {
        s["AvailabilityZone"]: s["SubnetId"] for s in aws("ec2").describe_subnets()["Subnets"]
    }
    private = {**INSTANCE, "associate_public_ip_address": False}
    project.declare(
        made("ec2.Instance", "plain", **INSTANCE),
        made("ec2.Instance", "private", **private, subnet_id=subnets["us-east-1b"]),
        # only where a subnet is given the vendor's provider says so to EC2
        made("ec2.Instance", "public all the same", **private),
        made("ec2.Instance", "zone", **INSTANCE, availability_zone="us-east-1c"),
        made(
            *("ec2.Instance", "fixed"),
            **INSTANCE,
            private_ip="172.31.0.77",
            associate_public_ip_address=True,
        ),
    )
    assert project.up().errors == []
    state = {name: resource["outputs"] for name, resource in project.state().items()}
    assert {name: (made["subnetId"], bool(made["publicIp"])) for name, made in state.items()} == {
        "plain": (subnets["us-east-1a"], True),
        "private": (subnets["us-east-1b"], False),
        "public all the same": (subnets["us-east-1a"], True),
        "zone": (subnets["us-east-1c"], True),
        "fixed": (subnets["us-east-1a"], True),
    }
    assert state["fixed"]["privateIp"] == "172.31.0.77"


def test_a_profile_goes_when_it_is_empty_not_when_it_is_left_out(
    project: Project, aws: Aws
) -> None:
    def profiles() -> list[str]:
        found = aws("ec2").describe_iam_instance_profile_associations()
        arns = [a["IamInstanceProfile"]["Arn"] for a in found["IamInstanceProfileAssociations"]]
        return [arn.split("/")[-1] for arn in arns]

    profile = made("iam.InstanceProfile", "profile", name="mine")
    project.declare(
        profile,
        made("ec2.Instance", "machine", **INSTANCE, iam_instance_profile=ref("profile", "name")),
    )
    assert project.up().errors == []
    project.declare(profile, made("ec2.Instance", "machine", **INSTANCE))
    assert project.up().steps == {}
    project.declare(profile, made("ec2.Instance", "machine", **INSTANCE, tags={"team": "ops"}))
    assert project.up().paths == {"machine": ["tags"]}
    assert profiles() == ["mine"]
    without = {**INSTANCE, "iam_instance_profile": "", "tags": {"team": "ops"}}
    project.declare(profile, made("ec2.Instance", "machine", **without))
    assert project.up().paths == {"machine": ["iamInstanceProfile"]}
    assert profiles() == []


def test_a_protected_instance_cannot_be_deleted_unless_forced(project: Project, aws: Aws) -> None:
    protected = {**INSTANCE, "disable_api_termination": True}
    project.declare(made("ec2.Instance", "machine", **protected))
    project.up()
    project.declare()
    refused = project.up()
    assert (refused.status, list(project.state())) == (1, ["machine"])
    (error,) = refused.errors
    assert "OperationNotPermitted" in error

    project.declare(made("ec2.Instance", "machine", **protected, force_destroy=True))
    assert project.up().steps == {"machine": ["update"]}
    project.declare()
    assert project.up().steps == {"machine": ["delete"]}


@pytest.mark.parametrize("own", [False, True], ids=["volume_tags", "root_block_device"])
def test_disks_are_tagged_as_told(project: Project, aws: Aws, own: bool) -> None:
    def declare(tags: dict[str, str]) -> None:
        disk = {**DISK, "tags": tags}
        how = {"root_block_device": disk} if own else {"volume_tags": tags}
        project.declare(made("ec2.Instance", "machine", **{**INSTANCE, **how}))

    def seen() -> list[dict[str, str]]:
        disk = project.state()["machine"]["outputs"]["rootBlockDevice"]["volumeId"]
        found: list[dict[str, str]] = aws("ec2").describe_volumes(VolumeIds=[disk])["Volumes"]
        return found[0]["Tags"]  # type: ignore[return-value]

    declare({"team": "ops", "old": "1"})
    assert project.up().status == 0
    assert seen() == [{"Key": "old", "Value": "1"}, {"Key": "team", "Value": "ops"}]
    declare({"team": "dev"})
    assert project.up().steps == {"machine": ["update"]}
    assert seen() == [{"Key": "team", "Value": "dev"}]
    assert project.refresh().steps == {}


def test_a_disk_does_not_shrink(project: Project, aws: Aws) -> None:
    project.declare(made("ec2.Instance", "machine", **INSTANCE))
    project.up()
    smaller = {**DISK, "volume_size": 19}
    project.declare(made("ec2.Instance", "machine", **{**INSTANCE, "root_block_device": smaller}))
    (error,) = project.up().errors
    assert error.endswith("InvalidParameterValue: New size cannot be smaller than existing size")


def test_a_group_starts_with_no_rules_and_takes_inline_ones(project: Project, aws: Aws) -> None:
    def group(port: int) -> Made:
        rule = {
            "protocol": "tcp",
            "from_port": port,
            "to_port": port,
            "cidr_blocks": ["10.0.0.0/8"],
        }
        return made("ec2.SecurityGroup", "inline", ingress=[rule])

    def rules(name: str) -> dict[str, list[tuple[int, str]]]:
        identity = project.state()[name]["id"]
        found = aws("ec2").describe_security_groups(GroupIds=[identity])["SecurityGroups"][0]
        return {
            key: [(rule["FromPort"], rule["IpRanges"][0]["CidrIp"]) for rule in found[key]]
            for key in ("IpPermissions", "IpPermissionsEgress")
        }

    project.declare(made("ec2.SecurityGroup", "empty"), group(80))
    project.up()
    assert rules("empty") == {"IpPermissions": [], "IpPermissionsEgress": []}
    assert rules("inline") == {"IpPermissions": [(80, "10.0.0.0/8")], "IpPermissionsEgress": []}
    project.declare(made("ec2.SecurityGroup", "empty"), group(81))
    assert project.up().steps == {"inline": ["update"]}
    assert rules("inline") == {"IpPermissions": [(81, "10.0.0.0/8")], "IpPermissionsEgress": []}


def test_default_tags_reach_aws_but_not_the_inputs(project: Project, aws: Aws) -> None:
    project.cli("config", "set", "--path", "aws:defaultTags.tags.stack", "test")
    project.declare(made("ec2.Instance", "machine", **INSTANCE, tags={"Name": "m"}))
    project.up()
    machine = project.state()["machine"]
    assert machine["inputs"]["tags"] == {"Name": "m"}
    assert machine["outputs"]["tagsAll"] == {"Name": "m", "stack": "test"}
    wanted = [{"Name": "resource-id", "Values": [machine["id"]]}]
    tags = aws("ec2").describe_tags(Filters=wanted)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Name": "m", "stack": "test"}
    assert project.refresh().steps == {}
    assert project.up().steps == {}


def test_names_are_generated_and_kept(project: Project, aws: Aws) -> None:
    project.declare(made("ec2.KeyPair", "key", public_key=KEYS[0]))
    project.up()
    first = project.state()["key"]["id"]
    assert first.startswith("key-")
    project.declare(made("ec2.KeyPair", "key", public_key=KEYS[0], tags={"a": "b"}))
    project.up()
    assert project.state()["key"]["id"] == first


def test_what_the_stand_in_does_not_do_it_refuses(project: Project, aws: Aws) -> None:
    project.declare(made("ec2.Instance", "machine", **INSTANCE, hibernation=True))
    refused = project.preview()
    assert (refused.status, refused.errors) == (
        1,
        [
            "aws:ec2/instance:Instance resource 'machine': property hibernation value {true} has a "
            "problem: not in this stand-in for the AWS provider"
        ],
    )
    project.declare(made("s3.Bucket", "bucket"))
    (error,) = project.preview().errors
    assert "aws:s3/bucket:Bucket: not in this stand-in" in error


def test_a_rule_has_exactly_one_peer(project: Project, aws: Aws) -> None:
    rule = {"security_group_id": "sg-1", "ip_protocol": "-1"}
    project.declare(made("vpc.SecurityGroupEgressRule", "rule", **rule))
    assert project.preview().errors == [
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule resource 'rule' has a problem: "
        "exactly one of cidrIpv4, cidrIpv6, prefixListId, referencedSecurityGroupId must be set"
    ]


@pytest.mark.parametrize("url", ["", "https://ec2.us-east-1.amazonaws.com"])
def test_it_never_calls_the_real_aws(project: Project, url: str) -> None:
    project.environment |= {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1"}
    project.declare(made("ec2.KeyPair", "key", public_key=KEYS[0]))
    refused = project.preview()
    assert refused.status == 1
    assert "must not call the real AWS" in refused.text
    assert "pulumi plugin install resource aws v7.51.1" in refused.text


def test_endpoints_of_the_stacks_configuration_count(
    project: Project, aws: Aws, moto_url: str
) -> None:
    project.environment["AWS_ENDPOINT_URL"] = ""
    for service in ("ec2", "sts"):
        project.cli("config", "set", "--path", f"aws:endpoints[0].{service}", moto_url)
    project.declare(made("ec2.KeyPair", "key", public_key=KEYS[0]))
    assert project.up().steps == {"key": ["create"]}


def test_functions_look_things_up(project: Project, aws: Aws) -> None:
    ec2 = aws("ec2")
    aws("ssm").put_parameter(Name="/canary", Value="canary-1", Type="SecureString")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    subnets = ec2.describe_subnets()["Subnets"]
    default = {"name": "default-for-az", "values": ["true"]}
    project.declare(
        made("ec2.get_ami", "ami", filters=[{"name": "image-id", "values": [AMI]}]),
        made("ec2.get_vpc", "vpc", default=True),
        made("ec2.get_subnets", "subnets", filters=[default]),
        made("ec2.get_subnet", "subnet", availability_zone="us-east-1b", vpc_id=vpc["VpcId"]),
        made("ssm.get_parameter_output", "parameter", name="/canary"),
        made("get_caller_identity", "me"),
        made("get_partition", "partition"),
        ami=ref("ami", "id"),
        vpc=ref("vpc", "cidr_block"),
        subnets=ref("subnets", "ids"),
        subnet=ref("subnet", "id"),
        parameter=ref("parameter", "value"),
        me=ref("me", "account_id"),
        domain=ref("partition", "dns_suffix"),
    )
    assert project.up().errors == []
    (b,) = [s["SubnetId"] for s in subnets if s["AvailabilityZone"] == "us-east-1b"]
    assert project.outputs() == {
        "ami": AMI,
        "vpc": vpc["CidrBlock"],
        "subnets": sorted(subnet["SubnetId"] for subnet in subnets),
        "subnet": b,
        "parameter": "canary-1",
        "me": "123456789012",
        "domain": "amazonaws.com",
    }
    assert "canary-1" not in project.state_text()

    project.declare(made("ec2.get_vpc", "vpc", id="vpc-none"))
    assert project.preview().status == 1


@pytest.mark.parametrize(
    ("region", "found"),
    [
        ("eu-west-1", ["aws", "amazonaws.com", "com.amazonaws"]),
        ("cn-north-1", ["aws-cn", "amazonaws.com.cn", "cn.com.amazonaws"]),
        ("us-gov-west-1", ["aws-us-gov", "amazonaws.com", "com.amazonaws"]),
    ],
)
def test_the_partition_is_the_regions(region: str, found: list[str]) -> None:
    names = ("partition", "dnsSuffix", "reverseDnsPrefix")
    told = get_partition(SimpleNamespace(region=region), {})
    assert [told[name] for name in names] == found
