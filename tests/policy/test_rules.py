"""Each rule, with what it lets pass and what it says of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from policy import rules
from policy.rules import Secret

TAGGED = {"label": "satellite", "app": "shop", "environment": "production"}
LOCKED = {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
PGP = KEY.replace("OPENSSH", "PGP").replace("KEY-", "KEY BLOCK-")

Rule = Callable[..., Iterator[str]]


def said(rule: Rule, kind: str, inputs: dict[str, Any], **config: Any) -> list[str]:
    return list(rule(kind, "it", inputs, **config))


def ssh(**changed: Any) -> dict[str, Any]:
    return {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, **changed}


def inline(**changed: Any) -> dict[str, Any]:
    return {"protocol": "tcp", "fromPort": 22, "toPort": 22, **changed}


@pytest.mark.parametrize(
    ("kind", "inputs", "opened"),
    [
        (rules.INGRESS_RULE, ssh(cidrIpv4="203.0.113.7/32"), []),
        (rules.INGRESS_RULE, ssh(cidrIpv4="10.0.0.0/8"), []),
        (rules.INGRESS_RULE, ssh(cidrIpv6="2001:db8::/32"), []),
        (rules.INGRESS_RULE, ssh(referencedSecurityGroupId="sg-1"), []),
        (rules.INGRESS_RULE, ssh(cidrIpv4="0.0.0.0/0", fromPort=443, toPort=443), []),
        (rules.INGRESS_RULE, {"ipProtocol": "icmp", "cidrIpv4": "0.0.0.0/0"}, []),
        (rules.INGRESS_RULE, ssh(cidrIpv4="0.0.0.0/0", ipProtocol="udp"), []),
        (rules.INGRESS_RULE, ssh(cidrIpv4="0.0.0.0/0"), ["0.0.0.0/0"]),
        (rules.INGRESS_RULE, ssh(cidrIpv6="::/0"), ["::/0"]),
        (rules.INGRESS_RULE, ssh(cidrIpv4="128.0.0.0/1"), ["128.0.0.0/1"]),
        (rules.INGRESS_RULE, ssh(cidrIpv6="2a00::/12"), ["2a00::/12"]),
        (rules.INGRESS_RULE, ssh(cidrIpv6="2001:db8::/31"), ["2001:db8::/31"]),
        (rules.INGRESS_RULE, ssh(cidrIpv4="0.0.0.0/0", fromPort=0, toPort=1024), ["0.0.0.0/0"]),
        (rules.INGRESS_RULE, {"ipProtocol": "-1", "cidrIpv4": "0.0.0.0/0"}, ["0.0.0.0/0"]),
        (rules.INGRESS_RULE, ssh(cidrIpv4="0.0.0.0/0", ipProtocol="6"), ["0.0.0.0/0"]),
        (rules.INGRESS_RULE, ssh(cidrIpv4="0.0.0.0/0", ipProtocol="TCP"), ["0.0.0.0/0"]),
        (rules.INGRESS_RULE, {"ipProtocol": "ALL", "cidrIpv4": "0.0.0.0/0"}, ["0.0.0.0/0"]),
        (rules.INLINE_RULE, inline(type="ingress", cidrBlocks=["0.0.0.0/0"]), ["0.0.0.0/0"]),
        (rules.INLINE_RULE, inline(type="egress", cidrBlocks=["0.0.0.0/0"]), []),
        (rules.GROUP, {"description": "no rule at all"}, []),
        (
            rules.GROUP,
            {
                "ingress": [
                    inline(cidrBlocks=["192.0.2.0/24", "0.0.0.0/0"]),
                    inline(ipv6CidrBlocks=["::/0"]),
                ]
            },
            ["0.0.0.0/0", "::/0"],
        ),
        (rules.VOLUME, ssh(cidrIpv4="0.0.0.0/0"), []),
    ],
)
def test_ssh_is_not_open_to_the_world(kind: str, inputs: dict[str, Any], opened: list[str]) -> None:
    assert said(rules.ssh_from_the_world, kind, inputs) == [
        f"it opens SSH to {cidr}: name the networks that need it" for cidr in opened
    ]


ANSWERS_V1 = "it answers IMDSv1: metadataOptions.httpTokens should be required"
BEYOND = (
    "it hands metadata tokens beyond itself: metadataOptions.httpPutResponseHopLimit should be 1"
)


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        (LOCKED, []),
        ({"httpEndpoint": "disabled"}, []),
        (None, [ANSWERS_V1, BEYOND]),
        ({**LOCKED, "httpTokens": "optional"}, [ANSWERS_V1]),
        ({**LOCKED, "httpPutResponseHopLimit": 2}, [BEYOND]),
    ],
)
def test_metadata_needs_a_token_and_stays_on_the_machine(
    options: dict[str, Any] | None, problems: list[str]
) -> None:
    assert said(rules.instance_metadata, rules.INSTANCE, {"metadataOptions": options}) == problems


def test_metadata_is_an_instances() -> None:
    assert said(rules.instance_metadata, rules.GROUP, {}) == []


@pytest.mark.parametrize(
    ("kind", "inputs", "plain"),
    [
        (rules.INSTANCE, {"rootBlockDevice": {"encrypted": True}}, []),
        (rules.INSTANCE, {}, ["rootBlockDevice"]),
        (rules.INSTANCE, {"rootBlockDevice": {"encrypted": "true"}}, ["rootBlockDevice"]),
        (
            rules.INSTANCE,
            {
                "rootBlockDevice": {"encrypted": False},
                "ebsBlockDevices": [{"encrypted": True}, {"volumeSize": 8}],
            },
            ["rootBlockDevice", "ebsBlockDevices[1]"],
        ),
        (rules.VOLUME, {"encrypted": True}, []),
        (rules.VOLUME, {"size": 8}, ["it"]),
        (rules.GROUP, {}, []),
    ],
)
def test_disks_are_encrypted(kind: str, inputs: dict[str, Any], plain: list[str]) -> None:
    assert said(rules.encrypted_disks, kind, inputs) == [
        f"it has a plain disk: {place} should be encrypted" for place in plain
    ]


@pytest.mark.parametrize(
    ("kind", "present", "missing"),
    [
        (rules.INSTANCE, {**TAGGED, "Name": "worker-1", "team": "x"}, ""),
        (rules.INSTANCE, None, "label, app, environment"),
        (rules.INSTANCE, {**TAGGED, "app": ""}, "app"),
        ("aws:sns/topic:Topic", {"label": "satellite"}, "app, environment"),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", None, ""),
        ("command:remote:Command", None, ""),
    ],
)
def test_tags_say_what_a_thing_belongs_to(
    kind: str, present: dict[str, str] | None, missing: str
) -> None:
    problems = [f"it lacks the tags {missing}"] if missing else []
    assert said(rules.tags, kind, {"tags": present}) == problems


PUBLIC = (
    "it has a public address in production: satellite:connect should be private, with subnet_ids"
)


@pytest.mark.parametrize(
    ("kind", "inputs", "allowed", "problems"),
    [
        (rules.INSTANCE, {"tags": TAGGED, "associatePublicIpAddress": True}, False, [PUBLIC]),
        (rules.ADDRESS, {"tags": TAGGED}, False, [PUBLIC]),
        (rules.INSTANCE, {"tags": TAGGED, "associatePublicIpAddress": True}, True, []),
        (rules.INSTANCE, {"tags": TAGGED, "associatePublicIpAddress": False}, False, []),
        (rules.INSTANCE, {"tags": TAGGED}, False, [PUBLIC]),
        (rules.INSTANCE, {"tags": TAGGED, "subnetId": "subnet-0123abcd"}, False, []),
        (
            rules.INSTANCE,
            {"tags": {**TAGGED, "environment": "staging"}, "associatePublicIpAddress": True},
            False,
            [],
        ),
        (rules.GROUP, {"tags": TAGGED}, False, []),
    ],
)
def test_production_is_not_on_the_internet(
    kind: str, inputs: dict[str, Any], allowed: bool, problems: list[str]
) -> None:
    assert said(rules.public_address, kind, inputs, allowed=allowed) == problems


@pytest.mark.parametrize(
    ("inputs", "plain"),
    [
        ({"connection": Secret({"privateKey": KEY}), "create": "true"}, []),
        ({"publicKey": "ssh-ed25519 AAAA", "port": 22, "none": None}, []),
        ({"repository": "https://git.example.com/shop.git", "at": "ssh://git@host/x.git"}, []),
        ({"connection": {"host": "192.0.2.1", "privateKey": KEY}}, ["connection.privateKey"]),
        ({"list": ["x", {"deep": f"key: {KEY}"}]}, ["list[1].deep"]),
        ({"create": "psql postgresql://app:hunter2@db/app"}, ["create"]),
        ({"create": "REDIS_URL=redis://:hun-ter2@cache:6379/0"}, ["create"]),
        ({"create": "amqp://app:a/b:c?d@queue/"}, ["create"]),
        ({"create": "postgresql://app:7/b@db/app"}, []),  # a port, as far as anybody can tell
        ({"create": "redis://:canary@[::1]:6379/0"}, ["create"]),
        ({"create": "https://git.example.com:8443/@team/shop?by=me@example.com"}, []),
        ({"create": "https://git.example.com:8443?by=me@example.com"}, []),
        ({"create": "http://[2001:db8::1]:80/@team"}, []),
        ({"create": "https://example.com/a:b@c"}, []),
        ({"create": "https://a.example,https://b.example/@team"}, []),
        ({"create": "https://a.example:8443,https://b.example/@team"}, []),
        ({"create": '{"url":"https://a.example","by":"me@example.com"}'}, []),
        ({"create": PGP}, ["create"]),
        ({"a": "hunter2", "b": "xhunter2x", "c": Secret("hunter2")}, ["a", "b"]),
    ],
)
def test_secrets_are_not_plain(inputs: dict[str, Any], plain: list[str]) -> None:
    found = said(rules.plain_secrets, "any", inputs, known=frozenset({"hunter2"}))
    assert found == [f"it shows a secret to everybody: {path} should be a secret" for path in plain]


def test_what_is_found_is_not_shown() -> None:
    assert KEY not in "".join(said(rules.plain_secrets, "any", {"x": KEY}))
    assert "hunter2" not in repr(Secret("hunter2"))
