"""Open a stack's security group to this machine's own address for SSH, and close it again.

Usage: python3 -m ci.ssh_door open|close --app APP --environment ENVIRONMENT --holder NAME
           [--region REGION] [--instances yes|no]

A runner in somebody's cloud has an address that nobody knows before. `open` adds one rule for it,
tagged with the holder (the name of this run); `close` removes whatever rule has that tag. Both may
be called again, and `close` also where `open` failed or was killed. Where the stack declares no
instances there need be no security group; where there is one, its last ones are drained.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ADDRESS_URL = "https://checkip.amazonaws.com"
TAG = "satellite-door"
SSH = 22
TRIES, PAUSE, PATIENCE = 3, 2.0, 10.0
"""For the own address: how often it is asked for, seconds between and for each."""


class DoorError(Exception):
    """The door cannot be opened or closed; the text says why, and what to do."""


@dataclass(frozen=True)
class Door:
    """The rule of one holder in one security group."""

    ec2: Any
    group: str
    tags: dict[str, str]

    def open(self, cidr: str) -> str:
        """Let the network in, unless it is; what was done."""
        rules = self._rules()
        same = [rule for rule in rules if _lets_in(rule, cidr)]
        own = [rule for rule in rules if self._is_own(rule)]
        if done := [rule for rule in same if rule in own]:
            return f"{_id(done[0])} has opened SSH to {cidr} already"
        self._revoke(own)  # of an address that this holder had before
        if same and TAG in _tags(same[0]):
            # left by a run that was killed: whoever has the address now closes it
            self.ec2.create_tags(Resources=[_id(same[0])], Tags=_tag_list(self.tags))
            return f"{_id(same[0])} was left open to {cidr}, and is closed at the end"
        if same:
            return f"{_id(same[0])} of the stack itself opens SSH to {cidr}: nothing to do"
        made = self.ec2.authorize_security_group_ingress(
            GroupId=self.group,
            IpPermissions=[_permission(cidr, f"SSH door of {self.tags[TAG]}")],
            TagSpecifications=[
                {"ResourceType": "security-group-rule", "Tags": _tag_list(self.tags)}
            ],
        )
        return f"{_id(made['SecurityGroupRules'][0])} opens SSH to {cidr}"

    def close(self) -> str:
        """Remove the holder's rule, if there is one; what was done."""
        own = [rule for rule in self._rules() if self._is_own(rule)]
        self._revoke(own)
        return f"closed {', '.join(map(_id, own))}" if own else "nothing was open"

    def _rules(self) -> list[dict[str, Any]]:
        pages = self.ec2.get_paginator("describe_security_group_rules").paginate(
            Filters=[{"Name": "group-id", "Values": [self.group]}]
        )
        rules = [rule for page in pages for rule in page["SecurityGroupRules"]]
        return [rule for rule in rules if not rule["IsEgress"]]

    def _is_own(self, rule: dict[str, Any]) -> bool:
        return _tags(rule).get(TAG) == self.tags[TAG]

    def _revoke(self, rules: list[dict[str, Any]]) -> None:
        if rules:
            self.ec2.revoke_security_group_ingress(
                GroupId=self.group, SecurityGroupRuleIds=[_id(rule) for rule in rules]
            )


def find_group(ec2: Any, app: str, environment: str) -> str | None:
    """The id of the stack's security group; None if there is none. DoorError if there are more."""
    wanted = {"label": "satellite", "app": app, "environment": environment}
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in wanted.items()]
    found = [g["GroupId"] for g in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]]
    if len(found) > 1:
        raise DoorError(
            f"{app}, {environment} has {len(found)} security groups ({', '.join(sorted(found))}): "
            "say which one with --group"
        )
    return found[0] if found else None


def own_address(url: str, pause: Callable[[float], None] = time.sleep) -> str:
    """This machine's address as others see it, as a network of one: `203.0.113.7/32`."""
    problem = ""
    for number in range(TRIES):
        if number:
            pause(PAUSE)
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                said = answer.read(100).decode("ascii", "replace").strip()
            return str(ipaddress.ip_network(ipaddress.ip_address(said)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = str(error)
    raise DoorError(f"{url} does not tell this machine's address: {problem}. Give it with --cidr")


def _permission(cidr: str, description: str) -> dict[str, Any]:
    range_ = {"Description": description}
    if ":" in cidr:
        peers: dict[str, Any] = {"Ipv6Ranges": [{"CidrIpv6": cidr, **range_}]}
    else:
        peers = {"IpRanges": [{"CidrIp": cidr, **range_}]}
    return {"IpProtocol": "tcp", "FromPort": SSH, "ToPort": SSH, **peers}


def _lets_in(rule: dict[str, Any], cidr: str) -> bool:
    """Whether EC2 would refuse another such rule as a duplicate."""
    ports = (rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
    return ports == ("tcp", SSH, SSH) and cidr in (rule.get("CidrIpv4"), rule.get("CidrIpv6"))


def _id(rule: dict[str, Any]) -> str:
    return str(rule["SecurityGroupRuleId"])


def _tags(rule: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in rule.get("Tags", [])}


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ci.ssh_door", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=["open", "close"])
    parser.add_argument("--app", required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--holder", required=True, help="whose door it is: a name for this run")
    parser.add_argument("--region", help="the stack's; AWS's own variables say it otherwise")
    parser.add_argument("--instances", choices=["yes", "no"], default="yes", help="any declared?")
    parser.add_argument("--group", help="the security group; found by its tags otherwise")
    address = parser.add_mutually_exclusive_group()
    address.add_argument("--cidr", type=_cidr, help="whom to let in; this machine otherwise")
    address.add_argument("--address-url", default=ADDRESS_URL, help="tells this machine's address")
    return parser


def _cidr(text: str) -> str:
    network = ipaddress.ip_network(text)
    if network.num_addresses > 1:
        raise argparse.ArgumentTypeError(f"{text} is more than one address")
    return str(network)


def act(arguments: argparse.Namespace, ec2: Any) -> str:
    """Do what the arguments say; what was done. DoorError where it cannot be done."""
    app, environment = arguments.app, arguments.environment
    group = arguments.group or find_group(ec2, app, environment)
    if not group and arguments.action == "close":
        return f"nothing was open: {app}, {environment} has no security group"
    if not group and arguments.instances == "no":
        return f"nothing to open: {app}, {environment} has no instances, and no security group"
    if not group:
        raise DoorError(
            f"{app}, {environment} has no security group in {ec2.meta.region_name} yet: run the "
            "first `pulumi up` of a stack from a machine in satellite:ssh_cidrs"
        )
    tags = {"label": "satellite", "app": app, "environment": environment, TAG: arguments.holder}
    door = Door(ec2, group, tags)
    if arguments.action == "close":
        return door.close()
    return door.open(arguments.cidr or own_address(arguments.address_url))


def main(arguments: list[str]) -> int:
    """0 when done; else 1 and one message on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        ec2 = boto3.client("ec2", region_name=parsed.region or None)
        try:
            print(f"{parsed.action}: {act(parsed, ec2)}")
        finally:
            ec2.close()
    except (DoorError, BotoCoreError, ClientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
