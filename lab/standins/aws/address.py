"""Elastic IP addresses."""

from __future__ import annotations

from typing import Any

from lab.standins.aws.ec2 import Ec2Resource
from lab.standins.aws.wire import tag_map
from lab.standins.values import Properties


class Eip(Ec2Resource):
    """An address that stays, on an instance or on none; it can move in place."""

    properties = frozenset({"domain", "instance"})
    replace_on = frozenset({"domain"})
    computed = ("allocationId", "arn", "associationId", "privateIp", "publicDns", "publicIp")
    gone = ("InvalidAllocationID.NotFound", "InvalidAddress.NotFound")

    def make(self, inputs: Properties) -> str:
        made = self.ec2.allocate_address(Domain="vpc", **self.tagged("elastic-ip", inputs))
        allocation: str = made["AllocationId"]
        self._associate(allocation, inputs)
        return allocation

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        address = self._address(resource_id)
        return {
            "allocationId": resource_id,
            "arn": self.arn(f"elastic-ip/{resource_id}"),
            "associationId": address.get("AssociationId", ""),
            "domain": address["Domain"],
            "instance": address.get("InstanceId", ""),
            "privateIp": address.get("PrivateIpAddress", ""),
            "publicIp": address["PublicIp"],
            "tags": tag_map(address.get("Tags")),
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        if "instance" in changed:
            self._disassociate(resource_id)
            self._associate(resource_id, new)
        self.retag(resource_id, new, old)

    def remove(self, resource_id: str, state: Properties) -> None:
        self._disassociate(resource_id)
        self.ec2.release_address(AllocationId=resource_id)

    def _address(self, allocation: str) -> dict[str, Any]:
        found = self.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
        address: dict[str, Any] = found[0]
        return address

    def _associate(self, allocation: str, inputs: Properties) -> None:
        if inputs.get("instance"):
            self.ec2.associate_address(AllocationId=allocation, InstanceId=inputs["instance"])

    def _disassociate(self, allocation: str) -> None:
        if association := self._address(allocation).get("AssociationId"):
            self.ec2.disassociate_address(AssociationId=association)
