"""What no stack may declare, as functions of a resource's type, name and inputs.

Inputs are maps and lists as the engine hands them to a policy; where it is known that a value is
secret, it is wrapped in `Secret`. Each rule yields one line for each thing that is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Inputs = Mapping[str, Any]
Problems = Iterator[str]

INSTANCE = "aws:ec2/instance:Instance"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INLINE_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
VOLUME = "aws:ebs/volume:Volume"
ADDRESS = "aws:ec2/eip:Eip"
UNTAGGED = frozenset(
    {
        INLINE_RULE,
        "aws:ec2/eipAssociation:EipAssociation",
        "aws:iam/policyAttachment:PolicyAttachment",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
    }
)
"""The resources of AWS, of those that a satellite may need, that have no tags."""

TAGS = ("label", "app", "environment")
SSH = 22
WIDEST = {4: 8, 6: 32}
"""IP version -> prefix: a network with a shorter one is the world. Nobody's office is that large,
and two halves of the world are the world. In IPv6 a whole provider has a prefix of 32."""
KEY_MATERIAL = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
    r'|://[^/?#\s:@"\[]*:(?!//|\d+[/?#])(?:(?!://)[^\s@"])+@'
)
"""A private key, or a URL with a password: secret wherever it stands. The user may be left out, and
the password may have a slash or a colon in it. None is a port, with an @ in the path behind it, nor
what lies between one URL and the next."""


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in the state and hides in previews."""

    value: Any = field(repr=False)


def ssh_from_the_world(kind: str, name: str, inputs: Inputs) -> Problems:
    """SSH is open to networks that somebody can name."""
    for rule, cidr in _ingress(kind, inputs):
        if _is_world(cidr) and _lets_ssh_in(rule):
            yield f"{name} opens SSH to {cidr}: name the networks that need it"


def instance_metadata(kind: str, name: str, inputs: Inputs) -> Problems:
    """The metadata service answers only who asks with a token, and only on the machine itself."""
    if kind != INSTANCE:
        return
    options = inputs.get("metadataOptions") or {}
    if options.get("httpEndpoint") == "disabled":
        return
    if options.get("httpTokens") != "required":
        yield f"{name} answers IMDSv1: metadataOptions.httpTokens should be required"
    if options.get("httpPutResponseHopLimit") != 1:
        yield (
            f"{name} hands metadata tokens beyond itself: "
            "metadataOptions.httpPutResponseHopLimit should be 1"
        )


def encrypted_disks(kind: str, name: str, inputs: Inputs) -> Problems:
    """Disks are encrypted; an instance without a word about its root disk may get a plain one."""
    disks: dict[str, Any] = {}
    if kind == INSTANCE:
        disks["rootBlockDevice"] = inputs.get("rootBlockDevice") or {}
        for number, disk in enumerate(inputs.get("ebsBlockDevices") or ()):
            disks[f"ebsBlockDevices[{number}]"] = disk
    if kind == VOLUME:
        disks["it"] = inputs
    for place, disk in disks.items():
        if disk.get("encrypted") is not True:
            yield f"{name} has a plain disk: {place} should be encrypted"


def tags(kind: str, name: str, inputs: Inputs) -> Problems:
    """Whatever is paid for says what it belongs to."""
    if not kind.startswith("aws:") or kind in UNTAGGED:
        return
    present = inputs.get("tags") or {}
    missing = [tag for tag in TAGS if not present.get(tag)]
    if missing:
        yield f"{name} lacks the tags {', '.join(missing)}"


def public_address(kind: str, name: str, inputs: Inputs, allowed: bool = False) -> Problems:
    """In production nothing has an address of the Internet, unless that is `allowed`."""
    production = (inputs.get("tags") or {}).get("environment") == "production"
    if allowed or not production:
        return
    # a default subnet gives one to whoever does not refuse it
    given = inputs.get("associatePublicIpAddress", "subnetId" not in inputs)
    if kind == ADDRESS or (kind == INSTANCE and given is True):
        yield (
            f"{name} has a public address in production: satellite:connect should be private, with "
            "subnet_ids"
        )


def plain_secrets(
    kind: str, name: str, inputs: Inputs, known: frozenset[str] = frozenset()
) -> Problems:
    """Key material, and the `known` secrets, stand nowhere but in values that are secret."""
    for path, text in _plain_texts(inputs, ""):
        if KEY_MATERIAL.search(text) or any(secret in text for secret in known):
            yield f"{name} shows a secret to everybody: {path} should be a secret"


RULES: Mapping[str, tuple[str, Callable[..., Problems]]] = {
    "no-ssh-from-the-world": ("SSH is not open to the world", ssh_from_the_world),
    "imdsv2-only": ("Instance metadata needs IMDSv2, hop limit 1", instance_metadata),
    "encrypted-disks": ("Disks are encrypted", encrypted_disks),
    "tagged": ("Tags say label, app and environment", tags),
    "no-public-address-in-production": ("Production has no public address", public_address),
    "no-plain-secret": ("Secrets are never plain inputs", plain_secrets),
}
"""Policy name -> what it wants, and the rule."""


def _ingress(kind: str, inputs: Inputs) -> Iterator[tuple[Inputs, str]]:
    """Each rule that lets somebody in, with each of its CIDRs, in whichever form it is declared."""
    rules: Sequence[Inputs] = ()
    if kind == INGRESS_RULE or (kind == INLINE_RULE and inputs.get("type") == "ingress"):
        rules = [inputs]
    if kind == GROUP:
        rules = inputs.get("ingress") or ()
    for rule in rules:
        for key in ("cidrIpv4", "cidrIpv6"):
            if cidr := rule.get(key):
                yield rule, cidr
        for key in ("cidrBlocks", "ipv6CidrBlocks"):
            for cidr in rule.get(key) or ():
                yield rule, cidr


def _is_world(cidr: str) -> bool:
    network = ipaddress.ip_network(cidr, strict=False)
    return network.prefixlen < WIDEST[network.version]


def _lets_ssh_in(rule: Inputs) -> bool:
    protocol = str(rule.get("ipProtocol") or rule.get("protocol")).lower()
    if protocol in ("-1", "all"):
        return True
    first, last = rule.get("fromPort"), rule.get("toPort")
    if protocol not in ("tcp", "6") or first is None or last is None:
        return False
    return bool(first == -1 or first <= SSH <= last)


def _plain_texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each text that is not within a secret, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key in value:
            yield from _plain_texts(value[key], f"{path}.{key}" if path else key)
    elif isinstance(value, Sequence):
        for number, inner in enumerate(value):
            yield from _plain_texts(inner, f"{path}[{number}]")
