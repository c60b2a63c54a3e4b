"""Security groups, and their rules as resources of their own."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from lab.standins.aws.ec2 import Ec2Resource
from lab.standins.aws.resource import is_code
from lab.standins.aws.wire import arguments, tag_map
from lab.standins.provider import Failure
from lab.standins.values import Properties

IN_USE_PATIENCE = 30.0  # seconds that a removal waits for the last user; the vendor's: 15 minutes

# (the provider's property, the API's list, the member of the list) for each kind of peer
INLINE_PEERS = (
    ("cidrBlocks", "IpRanges", "CidrIp"),
    ("ipv6CidrBlocks", "Ipv6Ranges", "CidrIpv6"),
    ("securityGroups", "UserIdGroupPairs", "GroupId"),
)
RULE_PEERS = (
    ("cidrIpv4", "IpRanges", "CidrIp"),
    ("cidrIpv6", "Ipv6Ranges", "CidrIpv6"),
    ("prefixListId", "PrefixListIds", "PrefixListId"),
    ("referencedSecurityGroupId", "UserIdGroupPairs", "GroupId"),
)


class SecurityGroup(Ec2Resource):
    """A group, in the default VPC unless the program names one; inline rules may come with it."""

    properties = frozenset({"name", "namePrefix", "description", "vpcId", "ingress", "egress"})
    replace_on = frozenset({"name", "namePrefix", "description", "vpcId"})
    computed = ("arn", "ownerId", "vpcId", "ingress", "egress")
    name_key = "name"
    gone = ("InvalidGroup.NotFound",)

    def check(
        self, inputs: Properties, old_inputs: Properties, failures: list[Failure]
    ) -> Properties:
        return {"description": "Managed by Pulumi", **super().check(inputs, old_inputs, failures)}

    def make(self, inputs: Properties) -> str:
        group: str = self.ec2.create_security_group(
            GroupName=self.chosen_name(inputs),
            Description=inputs["description"],
            VpcId=inputs.get("vpcId") or self._default_vpc(),
            **self.tagged("security-group", inputs),
        )["GroupId"]
        # AWS allows all egress by default; the vendor's provider takes that away, so this does too
        made = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        self._rules(group, "revoke", "egress", made["IpPermissionsEgress"])
        for direction in ("ingress", "egress"):
            self._rules(group, "authorize", direction, _permissions(inputs, direction))
        return group

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        group = self.ec2.describe_security_groups(GroupIds=[resource_id])["SecurityGroups"][0]
        return {
            "name": group["GroupName"],
            "description": group["Description"],
            "vpcId": group["VpcId"],
            "ownerId": group["OwnerId"],
            "arn": self.arn(f"security-group/{resource_id}"),
            "tags": tag_map(group.get("Tags")),
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        for direction in {"ingress", "egress"} & changed:
            self._rules(resource_id, "revoke", direction, _permissions(old, direction))
            self._rules(resource_id, "authorize", direction, _permissions(new, direction))
        self.retag(resource_id, new, old)

    def remove(self, resource_id: str, state: Properties) -> None:
        deadline = time.monotonic() + IN_USE_PATIENCE
        while True:
            try:
                self.ec2.delete_security_group(GroupId=resource_id)
                return
            except ClientError as error:
                in_use = is_code(error, ("DependencyViolation", "InvalidGroup.InUse"))
                if not in_use or time.monotonic() > deadline:
                    raise
            time.sleep(1)

    def _default_vpc(self) -> str:
        wanted = [{"Name": "is-default", "Values": ["true"]}]
        found = self.ec2.describe_vpcs(Filters=wanted)["Vpcs"]
        if not found:
            raise RuntimeError("this account has no default VPC in this region: give a vpcId")
        vpc: str = found[0]["VpcId"]
        return vpc

    def _rules(
        self, group: str, verb: str, direction: str, permissions: list[dict[str, Any]]
    ) -> None:
        if permissions:  # the API refuses an empty list
            call = getattr(self.ec2, f"{verb}_security_group_{direction}")
            call(GroupId=group, IpPermissions=permissions)


class SecurityGroupRule(Ec2Resource):
    """One rule with one peer; all but its group can be changed in place."""

    direction: ClassVar[str]
    fields: ClassVar[dict[str, str]] = {
        "cidrIpv4": "CidrIpv4",
        "cidrIpv6": "CidrIpv6",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupId",
        "description": "Description",
        "fromPort": "FromPort",
        "toPort": "ToPort",
        "ipProtocol": "IpProtocol",
    }
    properties = frozenset({"securityGroupId", *fields})
    required = ("securityGroupId", "ipProtocol")
    replace_on = frozenset({"securityGroupId"})
    computed = ("arn", "securityGroupRuleId")
    gone = ("InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound")

    def check(
        self, inputs: Properties, old_inputs: Properties, failures: list[Failure]
    ) -> Properties:
        peers = [name for name, _, _ in RULE_PEERS]
        if sum(inputs.get(name) is not None for name in peers) != 1:
            failures.append(("", f"exactly one of {', '.join(peers)} must be set"))
        return super().check(inputs, old_inputs, failures)

    def make(self, inputs: Properties) -> str:
        permission = arguments(inputs, ("ipProtocol", "fromPort", "toPort"))
        note = arguments(inputs, ("description",))
        for name, field, member in RULE_PEERS:
            if inputs.get(name):
                permission[field] = [{member: inputs[name], **note}]
        made = getattr(self.ec2, f"authorize_security_group_{self.direction}")(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            **self.tagged("security-group-rule", inputs),
        )
        rule: str = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return rule

    def look(self, resource_id: str, inputs: Properties) -> Properties | None:
        wanted = [{"Name": "security-group-rule-id", "Values": [resource_id]}]
        found = self.ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
        if not found:
            return None
        rule = found[0]
        seen = {ours: rule[theirs] for ours, theirs in self.fields.items() if theirs in rule}
        if seen.get("ipProtocol") == "-1":  # all protocols: the API then says -1 for the ports, too
            seen = {key: seen[key] for key in seen if key not in ("fromPort", "toPort")}
        return {
            **seen,
            "securityGroupRuleId": resource_id,
            "securityGroupId": rule["GroupId"],
            "arn": self.arn(f"security-group-rule/{resource_id}"),
            "tags": tag_map(rule.get("Tags")),
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        if changed - {"tags"}:
            rule = arguments(new, self.fields, self.fields)
            self.ec2.modify_security_group_rules(
                GroupId=new["securityGroupId"],
                SecurityGroupRules=[
                    {"SecurityGroupRuleId": resource_id, "SecurityGroupRule": rule}
                ],
            )
        self.retag(resource_id, new, old)

    def remove(self, resource_id: str, state: Properties) -> None:
        getattr(self.ec2, f"revoke_security_group_{self.direction}")(
            GroupId=state["securityGroupId"], SecurityGroupRuleIds=[resource_id]
        )


class IngressRule(SecurityGroupRule):
    """Who may reach the group's members."""

    direction = "ingress"


class EgressRule(SecurityGroupRule):
    """Whom the group's members may reach."""

    direction = "egress"


def _permissions(inputs: Properties, direction: str) -> list[dict[str, Any]]:
    """The inline rules of one direction as the API's permissions."""
    return [_permission(rule) for rule in inputs.get(direction) or []]


def _permission(rule: Properties) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": str(rule["protocol"])}
    if permission["IpProtocol"] != "-1":
        permission |= {"FromPort": int(rule["fromPort"]), "ToPort": int(rule["toPort"])}
    note = {"Description": rule["description"]} if rule.get("description") else {}
    for name, field, member in INLINE_PEERS:
        if rule.get(name):
            permission[field] = [{member: peer, **note} for peer in rule[name]]
    return permission
