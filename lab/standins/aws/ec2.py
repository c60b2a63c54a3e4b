"""What the EC2 resources have in common, and the key pair, the simplest of them."""

from __future__ import annotations

from typing import Any

from lab.standins.aws.resource import AwsResource
from lab.standins.aws.wire import tag_list, tag_map
from lab.standins.values import Properties


class Ec2Resource(AwsResource):
    """Tags are given with the create, and changed by the resource's EC2 id."""

    @property
    def ec2(self) -> Any:
        """The EC2 client."""
        return self.client("ec2")

    def tagged(self, kind: str, inputs: Properties) -> dict[str, Any]:
        """The create call's argument for tags; an empty list of tags is refused by EC2."""
        tags = self.tags(inputs)
        if not tags:
            return {}
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(tags)}]}

    def retag(self, ec2_id: str, new: Properties, old: Properties) -> None:
        """Make the tags those of the new inputs."""
        wanted, gone = self.tag_changes(new, old)
        if gone:
            self.ec2.delete_tags(Resources=[ec2_id], Tags=[{"Key": key} for key in gone])
        if wanted:
            self.ec2.create_tags(Resources=[ec2_id], Tags=wanted)

    def arn(self, what: str) -> str:
        """E.g. of `instance/i-0123`."""
        return f"arn:aws:ec2:{self.provider.region}:{self.provider.account}:{what}"


class KeyPair(Ec2Resource):
    """A public key under a name; neither can be changed."""

    properties = frozenset({"keyName", "keyNamePrefix", "publicKey"})
    required = ("publicKey",)
    replace_on = properties
    computed = ("arn", "fingerprint", "keyPairId", "keyType")
    name_key = "keyName"
    gone = ("InvalidKeyPair.NotFound",)

    def make(self, inputs: Properties) -> str:
        name = self.chosen_name(inputs, "keyName")
        self.ec2.import_key_pair(
            KeyName=name,
            PublicKeyMaterial=inputs["publicKey"].encode(),
            **self.tagged("key-pair", inputs),
        )
        return name

    def look(self, resource_id: str, inputs: Properties) -> Properties:
        pair = self.ec2.describe_key_pairs(KeyNames=[resource_id])["KeyPairs"][0]
        return {
            "keyName": resource_id,
            "keyPairId": pair["KeyPairId"],
            "fingerprint": pair["KeyFingerprint"],
            "keyType": pair.get("KeyType", ""),
            "arn": self.arn(f"key-pair/{resource_id}"),
            "tags": tag_map(pair.get("Tags")),
        }

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        self.retag(self.look(resource_id, new)["keyPairId"], new, old)

    def remove(self, resource_id: str, state: Properties) -> None:
        self.ec2.delete_key_pair(KeyName=resource_id)
