"""The provider's functions: look something up, make nothing."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from lab.standins.aws.wire import arguments, filters, tag_map
from lab.standins.values import Properties, secret

PARTITIONS = {
    "cn-": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-": ("aws-us-gov", "amazonaws.com"),
}
"""How a region's name begins -> its partition and the domain of that, but for the ordinary one."""


def get_ami(provider: Any, inputs: Properties) -> Properties:
    """The one image that matches, or the newest if `mostRecent`."""
    images = provider.client("ec2").describe_images(
        Filters=filters(inputs), **arguments(inputs, ("owners", "executableUsers"))
    )["Images"]
    if pattern := inputs.get("nameRegex"):
        images = [image for image in images if re.search(pattern, image.get("Name", ""))]
    if not images:
        raise RuntimeError(
            "Your query returned no results. Please change your search criteria and try again."
        )
    if len(images) > 1 and not inputs.get("mostRecent"):
        raise RuntimeError(
            "Your query returned more than one result. Please try a more specific search "
            "criteria, or set `most_recent` attribute to true."
        )
    image = max(images, key=lambda image: str(image["CreationDate"]))
    return {
        **inputs,
        "id": image["ImageId"],
        "imageId": image["ImageId"],
        "name": image.get("Name", ""),
        "architecture": image.get("Architecture", ""),
        "creationDate": image["CreationDate"],
        "description": image.get("Description", ""),
        "ownerId": image["OwnerId"],
        "state": image["State"],
        "rootDeviceName": image.get("RootDeviceName", ""),
        "rootDeviceType": image.get("RootDeviceType", ""),
        "virtualizationType": image.get("VirtualizationType", ""),
        "public": image["Public"],
        "region": provider.region,
        "tags": tag_map(image.get("Tags")),
    }


def get_vpc(provider: Any, inputs: Properties) -> Properties:
    """The one VPC that matches."""
    wanted = filters(inputs)
    if inputs.get("default") is not None:
        wanted.append({"Name": "is-default", "Values": [str(inputs["default"]).lower()]})
    if inputs.get("cidrBlock"):
        wanted.append({"Name": "cidr", "Values": [inputs["cidrBlock"]]})
    by_id = {"VpcIds": [inputs["id"]]} if inputs.get("id") else {}
    found = provider.client("ec2").describe_vpcs(Filters=wanted, **by_id)["Vpcs"]
    vpc = _only(found, "VPCs")
    return {
        **inputs,
        "id": vpc["VpcId"],
        "arn": f"arn:aws:ec2:{provider.region}:{vpc['OwnerId']}:vpc/{vpc['VpcId']}",
        "cidrBlock": vpc["CidrBlock"],
        "default": vpc["IsDefault"],
        "state": vpc["State"],
        "ownerId": vpc["OwnerId"],
        "region": provider.region,
        "tags": tag_map(vpc.get("Tags")),
    }


def get_subnets(provider: Any, inputs: Properties) -> Properties:
    """The ids of all subnets that match, sorted."""
    found = provider.client("ec2").describe_subnets(Filters=filters(inputs))["Subnets"]
    return {
        **inputs,
        "id": provider.region,
        "region": provider.region,
        "ids": sorted(subnet["SubnetId"] for subnet in found),
    }


def get_subnet(provider: Any, inputs: Properties) -> Properties:
    """The one subnet that matches."""
    wanted = filters(inputs)
    for name, key in (("vpcId", "vpc-id"), ("availabilityZone", "availability-zone")):
        if inputs.get(name):
            wanted.append({"Name": key, "Values": [inputs[name]]})
    by_id = {"SubnetIds": [inputs["id"]]} if inputs.get("id") else {}
    found = provider.client("ec2").describe_subnets(Filters=wanted, **by_id)["Subnets"]
    subnet = _only(found, "Subnets")
    return {
        **inputs,
        "id": subnet["SubnetId"],
        "arn": subnet["SubnetArn"],
        "availabilityZone": subnet["AvailabilityZone"],
        "cidrBlock": subnet["CidrBlock"],
        "defaultForAz": subnet["DefaultForAz"],
        "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
        "state": subnet["State"],
        "ownerId": subnet["OwnerId"],
        "vpcId": subnet["VpcId"],
        "region": provider.region,
        "tags": tag_map(subnet.get("Tags")),
    }


def get_parameter(provider: Any, inputs: Properties) -> Properties:
    """A parameter of the Systems Manager; its value is a secret, whatever its type."""
    decrypt = inputs.get("withDecryption", True)
    try:
        found = provider.client("ssm").get_parameter(Name=inputs["name"], WithDecryption=decrypt)
    except ClientError as error:
        raise RuntimeError(f"reading SSM Parameter ({inputs['name']}): {error}") from error
    parameter = found["Parameter"]
    return {
        **inputs,
        "id": inputs["name"],
        "arn": parameter["ARN"],
        "type": parameter["Type"],
        "version": parameter["Version"],
        "value": secret(parameter["Value"]),
        "withDecryption": decrypt,
        "insecureValue": "" if parameter["Type"] == "SecureString" else parameter["Value"],
        "region": provider.region,
    }


def get_caller_identity(provider: Any, inputs: Properties) -> Properties:
    """Whose credentials these are."""
    found = provider.client("sts").get_caller_identity()
    return {
        **inputs,
        "id": found["Account"],
        "accountId": found["Account"],
        "arn": found["Arn"],
        "userId": found["UserId"],
    }


def get_partition(provider: Any, inputs: Properties) -> Properties:
    """Which of AWS's partitions the region belongs to; nobody is asked for it."""
    begins = next((begin for begin in PARTITIONS if provider.region.startswith(begin)), "")
    partition, suffix = PARTITIONS.get(begins, ("aws", "amazonaws.com"))
    return {
        **inputs,
        "id": partition,
        "partition": partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def _only(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if len(found) != 1:
        raise RuntimeError(f"{'multiple' if found else 'no'} EC2 {what} matched")
    return found[0]
