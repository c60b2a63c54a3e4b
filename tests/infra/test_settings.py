"""Every setting has its rule, and all broken ones are told at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import config as pulumi_config

from satellite_infra import keys
from satellite_infra.configuration import load
from satellite_infra.host_identity import host_identity
from satellite_infra.settings import ProcessSettings, Settings, validated

from .conftest import ARMOURED, LOGIN, LOGIN_PUBLIC, REVISION, SECRET, SEED, stack_values

CHECKOUT = Path(__file__).parents[2]
OTHER = host_identity("another seed with more than 32 characters", "x")
SSH = "ssh://git@git.example.com/shop.git"
SUBNET = "subnet-0123456789abcdef0"
SECOND = "subnet-0fedcba9876543210"
SHOP = "https://git.heroku.com/shop.git"
TOKEN = "canary-token"
UUID = "01234567-89ab-cdef-0123-456789abcdef"
POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
DEFAULTS = Settings().model_dump()
SOURCE = {
    "uri": "https://apt.example.com/debian",
    "suite": "bookworm",
    "components": ["main"],
    "key": ARMOURED,
}
RUBY = {
    "version": "3.3.6",
    "source": "https://ruby.example.com/ruby-3.3.6.tar.gz",
    "sha256": "0f" * 32,
}
HOST = {"address": "192.0.2.7", "host_key": OTHER.public}
PUBLIC = {"connect": "public", "vpc_id": None, "subnet_ids": None}


def problems(secret: frozenset[str] = SECRET, **changed: Any) -> list[str]:
    """What is said about good values with these changed, sent as the engine sends them."""
    given_values = {k: v for k, v in {**stack_values(), **changed}.items() if v is not None}
    sent = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in given_values.items()}
    return validated(sent, secret & sent.keys())[1]


def test_good_values_become_one_frozen_value() -> None:
    good, found = validated(stack_values(), SECRET)
    assert found == []
    assert {k: v for k, v in good.model_dump().items() if v != DEFAULTS[k]} == {
        "app": "shop",
        "environment": "staging",
        "repository": "https://git.example.com/shop.git",
        "revision": REVISION,
        "processes": {"worker": ProcessSettings(quantity=2).model_dump()},
        "config": {"DATABASE_URL": "postgresql://app:canary@db/app"},
        "count": 2,
        "ami": "ami-0123456789abcdef0",
        "public_key": LOGIN_PUBLIC,
        "private_key": LOGIN,
        "host_key_seed": SEED,
        "connect": "private",
        "vpc_id": "vpc-0123456789abcdef0",
        "subnet_ids": (SUBNET,),
        "ssh_cidrs": ("203.0.113.0/24",),
    }
    assert good.instance_names() == ("worker-1", "worker-2")
    assert "app:canary@" not in repr(good)
    assert SEED not in repr(good)


MONIT = {
    "mail_to": ["ops@example.com"],
    "mail_from": "satellite@example.com",
    "smtp_host": "smtp.example.com",
}


@pytest.mark.parametrize(
    "changed",
    [
        {"count": "500", "max_unavailable": "20"},
        {"count": "10", "max_unavailable": "25%", "canary": "true", "soak_seconds": "600"},
        {"release_phase": "on", "health": "bin/check --queue mail", "health_seconds": "5"},
        {"count": None, "names": ["mailer-1", "reports"]},
        PUBLIC,
        {**PUBLIC, "security_group_ids": ["sg-01234567", "sg-0123456789abcdef0"]},
        {
            "subnet_ids": [SUBNET, SECOND],
            "hosts": {"worker-1": {"private_ip": "10.0.0.1", "subnet_id": SECOND}},
        },
        {"hosts": {"worker-1": {"private_ip": "100.64.0.1"}}},
        {**PUBLIC, "connect": "private", "count": None, "hosts": {"rented": HOST}},
        {"count": None, "ami": None, "hosts": {"rented": HOST}},
        {"hosts": {"worker-2": {"lost": True}, "rented": {**HOST, "machine": 3, "port": 2222}}},
        {"repository": SSH, "deploy_key": LOGIN, "known_hosts": [f"git.lab {OTHER.public}"]},
        {"ssh_cidrs": ["0.0.0.0/0", "::/0"], "allow_ssh_from_anywhere": "true"},
        {"ssh_cidrs": [], "branch": "feature/Überholung#7"},
        {"config": {"PORT": 5000, "KEY": "two\nlines", "EMPTY": ""}},
        {"packages": ["libpq-dev", "g++", "ruby=1:3.1"], "build": ["make -j2"]},
        {"egress": [{"from_port": 443, "to_port": 443, "cidr": "0.0.0.0/0", "description": "x"}]},
        {"branch": "", "names": "", "generation": "7"},
        {"bastion": HOST, "authorized_keys": [OTHER.public]},
        {"private_key": None, "ssh_agent": "true"},
        {"next_public_key": OTHER.public, "next_private_key": OTHER.private},
        {"ami": None, "ami_lookup": {"owner": "136693071363", "name": "debian-12-amd64-*"}},
        {"ami": None, "ami_lookup": {"owner": 136693071363, "name": "x"}},
        {"ami": None, "hosts": {f"worker-{n}": {"ami": "ami-01234567"} for n in (1, 2)}},
        {"protect": "true", "roll": ["worker-1"], "hosts": {"worker-1": {"protect": False}}},
        {"app_policies": [POLICY], "app_metadata": "allowed", "auto_recover": "true"},
        {"private_key": LOGIN.replace("\n", "\r\n").rstrip()},
        {"apt_sources": {"pgdg": SOURCE, "flat": {**SOURCE, "suite": "./", "components": []}}},
        {"ruby": RUBY, "unattended_upgrades": "false"},
        {"config_files": {f"a{n}": {"template": "x", "mode": n} for n in (416, 640, "0640")}},
        {"heroku": {"app": "shop", "config": False}, "heroku_api_token": "canary-token"},
        {"revision": "heroku", "heroku": {"app": "shop"}, "heroku_api_token": "canary-token"},
        {"promote": {"source": "main", "tag": True}, "branch": "staging"},
        {"promote": {"heroku_remote": SHOP}, "heroku": {"app": "shop"}, "heroku_api_token": TOKEN},
        {"promote": {"heroku_remote": SHOP}, "heroku": {"app": UUID}, "heroku_api_token": TOKEN},
        {"promote": {"heroku_remote": "https://git.example.com/x.git"}},
        {"monit": MONIT, "processes": {"worker": {"quantity": 1, "alert": {"restarts": 1}}}},
        {"monit": {**MONIT, "smtp_user": "ops"}, "monit_password": "canary"},
        {"alerts": {"emails": ["ops+night@example.com"], "cpu_minutes": 1440}},
        {"queue": {"delayed_job": True}},
        {"queue": {"sql": "SELECT 1,\n  2", "every_minutes": "5", "minutes": 7, "name": "a.b"}},
        {"alert_urls": ["https://alerts.example.com:8443/integration/k/enqueue?x=1"]},
    ],
)
def test_is_accepted(changed: dict[str, Any]) -> None:
    assert problems(**changed) == []


@pytest.mark.parametrize(
    ("said", "hosts", "lost", "number"),
    [("2", 9, 0, 2), ("25%", 3, 0, 1), ("25%", 9, 0, 2), ("25%", 9, 2, 1), ("100%", 7, 0, 7)],
)
def test_a_part_of_the_live_hosts_is_rounded_down_but_never_to_none(
    said: str, hosts: int, lost: int, number: int
) -> None:
    gone = {f"worker-{n + 1}": {"lost": True} for n in range(lost)}
    values = {**stack_values(), "count": str(hosts), "max_unavailable": said, "hosts": gone}
    settings, found = validated(values, SECRET)
    assert found == []
    assert settings.at_once() == number


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        # what is missing
        ({"app": None}, "app: is missing: pulumi config set satellite:app NAME"),
        ({"ami": None}, "ami: is missing: pulumi config set satellite:ami AMI_ID"),
        (
            {"count": None},
            "hosts: is missing: set satellite:count, satellite:names or satellite:hosts",
        ),
        ({"processes": {}}, "processes: should name at least one process type and its quantity"),
        ({"processes": {"worker": {}}}, "processes/worker/quantity: is missing"),
        (
            {"processes": {"worker": {"quantity": 1, "memory_max": "10M"}}},
            "processes/worker/memory_max: should be 64M or more: a worker starts as a Python "
            "program of 25 MB, got 10M",
        ),
        # unknown keys
        ({"procesess": "x"}, "procesess: unknown key, did you mean processes?"),
        ({"xyzzy": "x"}, "xyzzy: unknown key"),
        (
            {"DATABASE_URL": "x"},
            "DATABASE_URL: unknown key; a config var of the app: satellite config set "
            "DATABASE_URL, which encrypts it, and take this one away: pulumi config rm "
            "satellite:DATABASE_URL",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "quantty": 2}}},
            "processes/worker/quantty: unknown key, did you mean quantity?",
        ),
        (
            {"egress": [{"protocol": "all", "cidr": "::/0", "descripton": "", "description": "x"}]},
            "egress/0/descripton: unknown key, did you mean description?",
        ),
        (
            {"hosts": {"worker-1": {"adress": "192.0.2.1"}}},
            "hosts/worker-1/adress: unknown key, did you mean address?",
        ),
        # alarms
        ({"alerts": {}}, "alerts: should have emails, or satellite:alert_urls beside it"),
        (
            {"alerts": {"emails": ["ops"]}},
            "alerts/emails/0: should be a mail address such as ops@example.com, got ops",
        ),
        (
            {"alerts": {"emails": ["a@b.cd", "a@b.cd"]}},
            "alerts/emails: should hold each address once, got a@b.cd",
        ),
        (
            {"alerts": {"emails": ["a@b.cd"], "cpu_minutes": 7}},
            "alerts/cpu_minutes: should be a multiple of 5, got 7",
        ),
        (
            {"alerts": {"emails": ["a@b.cd"], "kms_key": "alias/aws/sns"}},
            "alerts/kms_key: should be the ARN of a KMS key, got alias/aws/sns",
        ),
        (
            {"alert_urls": ["http://alerts.example.com"]},
            "alert_urls/0: should be https://HOST/..., got [secret]",
        ),
        ({"monit": {**MONIT, "mail_to": []}}, "monit/mail_to: should hold at least one address"),
        (
            {"monit": {**MONIT, "mail_to": ["o'hara@example.com"], "mail_from": "o'h@b.de"}},
            "monit/mail_to/0: should be without % and ', as monit takes no such receiver, got "
            '"o\'hara@example.com"',
        ),
        (
            {"monit": {**MONIT, "smtp_user": "ops"}},
            "monit_password: should be there with satellite:monit.smtp_user, and only so",
        ),
        (
            {"monit": {**MONIT, "smtp_user": "o", "smtp_tls": False}, "monit_password": "x"},
            "monit/smtp_tls: should be true where there is a user: it has a password",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "alert": {"memory": "300M"}}}},
            "processes/worker/alert: has no meaning without satellite:monit",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "alert": {"memory": "20%"}}}, "monit": MONIT},
            'processes/worker/alert/memory: should be a size such as 300M, got "20%"',
        ),
        (
            {"release_webhook": "hooks.example.com/canary"},
            "release_webhook: should be https://HOST/..., got [secret]",
        ),
        ({"alert_urls": ["https://a.b/c"] * 2}, "alert_urls: should hold each URL once"),
        (
            {"alert_urls": ["https://a.b/c"], "count": None, "hosts": {"rented": HOST}},
            "alert_urls: has no meaning without an EC2 instance: satellite:count or names",
        ),
        ({"queue": {}}, "queue: should have one of delayed_job, command and sql"),
        (
            {"queue": {"delayed_job": "true", "command": "x"}},
            "queue: should have one of delayed_job, command and sql",
        ),
        (
            {"queue": {"command": "x", "every_minutes": 7}},
            "queue/every_minutes: should be 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30, got 7",
        ),
        (
            {"queue": {"sql": "a\x00b"}},
            'queue/sql: should be text without control characters, got "a\\u0000b"',
        ),
        (
            {"queue": {"delayed_job": True}, "count": None, "hosts": {"rented": HOST}},
            "queue: has no meaning without an EC2 instance, whose role may tell CloudWatch: "
            "satellite:count or names",
        ),
        (
            {"queue": {"delayed_job": True}, "environment": "e" * 45},
            "queue: should have a shorter app or environment: IAM takes 56 characters of role, got "
            f"satellite-shop-{'e' * 45}",
        ),
        # numbers, switches, containers
        ({"count": "0"}, "count: should be at least 1, got 0"),
        ({"count": "two"}, "count: should be a whole number, got two"),
        (
            {"count": "1.2345678901234568e+29"},
            "count: should be a whole number, got 1.2345678901234568e+29",
        ),
        ({"generation": "-1"}, "generation: should be at least 0, got -1"),
        ({"count": "5000"}, "count: should be at most 1000, got 5000"),
        (
            {"processes": {"worker": {"quantity": 0}}},
            "processes/worker/quantity: should be at least 1, got 0",
        ),
        (
            {"processes": {"worker": {"quantity": True}}},
            "processes/worker/quantity: should be a whole number, got true",
        ),
        (
            {"processes": {"worker": {"quantity": None}}},
            "processes/worker/quantity: should be a whole number, got null",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "command": 5}}},
            "processes/worker/command: should be text: write it in quotes, got 5",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "cpu": "1.5"}}},
            "processes/worker/cpu: should be a share such as 50% or 150%, got 1.5",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "signal": "SIGINT"}}},
            "processes/worker/signal: should be TERM, INT, QUIT, HUP, USR1 or USR2, got SIGINT",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "env": {"HOME": "/"}}}},
            "processes/worker/env/HOME: should have another name: "
            "satellite itself sets this variable",
        ),
        (
            {"processes": {"worker": {"quantity": 1, "env": {"A": True}}}},
            "processes/worker/env/A: should be text: write it in quotes, got true",
        ),
        ({"processes": {"worker": 2}}, "processes/worker: should be a map, got 2"),
        ({"processes": "worker"}, "processes: should be a map, got worker"),
        ({"processes": ["worker"]}, 'processes: should be a map, got ["worker"]'),
        ({"ssh_cidrs": "10.0.0.0/8"}, "ssh_cidrs: should be a list, got 10.0.0.0/8"),
        (
            {"names": "[" * 10_000, "count": None},
            "names: should be a list, got " + '"' + "[" * 56 + "...",
        ),
        (
            {"allow_ssh_from_anywhere": "yes"},
            "allow_ssh_from_anywhere: should be true or false, got yes",
        ),
        ({"connect": "pubic"}, "connect: should be public or private, got pubic"),
        # names
        *(
            (
                {"app": name},
                "app: should be lower-case letters, digits and -, a letter first, 31 at most, "
                f"got {name}",
            )
            for name in ("My_App", "37signals", "shop-of-the-very-large-company-inc")
        ),
        *(
            (
                {"environment": name},
                "environment: should be letters, digits, . _ and -, a letter or digit first, "
                f"63 at most, got {shown}",
            )
            for name, shown in (("a b", '"a b"'), ("_dev", "_dev"))
        ),
        (
            {"count": None, "names": ["worker_1"]},
            "names/0: should be a host name of a-z, 0-9 and -, no - first or last, 63 at most, "
            "got worker_1",
        ),
        ({"count": None, "names": ["a", "b", "a"]}, "names: should name each host once, got a"),
        ({"names": ["a"]}, "names: should not be there beside satellite:count: one or the other"),
        (
            {"processes": {"a.b": {"quantity": 1}}},
            "processes/a.b: should be a process type of letters, digits, _ and -, a letter or "
            "digit first, 63 at most",
        ),
        (
            {"processes": {"release": {"quantity": 1}}},
            "processes/release: should be a process that "
            "keeps running; `release` is the release phase",
        ),
        (
            {"packages": ["Lib PQ"]},
            'packages/0: should be a Debian package such as libpq-dev, got "Lib PQ"',
        ),
        (
            {"packages": ["tool=1.0", "libpq-dev", "tool=2.0", "tool:i386=1.0"]},
            "packages: should name each package once, got tool",
        ),
        (
            {"apt_sources": {"a.b": SOURCE}},
            "apt_sources/a.b: should be lower-case letters, digits and -, a letter or digit first, "
            "63 at most",
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "uri": "https://me:token@apt.example.com"}}},
            "apt_sources/pgdg/uri: should hold no user, password or query: previews show it, "
            "got [secret]",
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "uri": "ftp://me:token@apt.example.com"}}},
            "apt_sources/pgdg/uri: should hold no user, password or query: previews show it, "
            "got [secret]",
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "uri": "deb"}}},
            "apt_sources/pgdg/uri: should be https://... or http://..., got deb",
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "suite": "a b"}}},
            'apt_sources/pgdg/suite: should be a suite such as bookworm, got "a b"',
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "components": []}}},
            "apt_sources/pgdg/components: is missing: a suite has components, such as main, but "
            "for one that ends in /",
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "suite": "./"}}},
            "apt_sources/pgdg/components: has no meaning with a suite that ends in /",
        ),
        (
            {"apt_sources": {"pgdg": {**SOURCE, "key": ARMOURED.replace("PUBLIC", "PRIVATE")}}},
            "apt_sources/pgdg/key: should be one public key, from -----BEGIN PGP PUBLIC KEY "
            "BLOCK----- to -----END PGP PUBLIC KEY BLOCK-----, got [secret]",
        ),
        (
            {"ruby": {**RUBY, "version": "../3"}},
            "ruby/version: should be a version such as 3.3.6, got ../3",
        ),
        (
            {"ruby": {**RUBY, "sha256": "0F0F"}},
            "ruby/sha256: should be 64 hex digits, in lower case, got 0F0F",
        ),
        (
            {"ruby": {**RUBY, "bundler": ">= 2"}},
            'ruby/bundler: should be a version such as 2.5.23, got ">= 2"',
        ),
        ({"ruby": {"version": "3.3.6", "sha256": "0f" * 32}}, "ruby/source: is missing"),
        (
            {"branch": "--upload-pack=x"},
            'branch: should be the name of a branch, got "--upload-pack=x"',
        ),
        (
            {"revision": "abc123"},
            "revision: should be a commit's 40 hex digits, or heroku, got abc123",
        ),
        (
            {"branch": "staging", "promote": {"source": "staging"}},
            "promote/source: should be another branch than satellite:branch, to which it goes, "
            "got staging",
        ),
        (
            {
                "promote": {"heroku_remote": SHOP},
                "heroku": {"app": "shop-staging"},
                "heroku_api_token": TOKEN,
            },
            "promote/heroku_remote: should be of the app that satellite:heroku.app names, "
            f"shop-staging, got {SHOP}",
        ),
        (
            {"promote": {"heroku_remote": "https://u:canary@git.heroku.com/shop.git"}},
            "promote/heroku_remote: should be https://git.heroku.com/APP.git; git itself knows how "
            "to log in there, got [secret]",
        ),
        # AWS
        ({"ami": "ubuntu"}, "ami: should be an AMI id such as ami-0123abcd, got ubuntu"),
        (
            {"instance_type": "large"},
            "instance_type: should be an instance type such as t3.small, got large",
        ),
        (
            {"app": "admin"},
            "app: should have another name than root and the login users, got admin",
        ),
        ({"app": "root"}, "app: should have another name than root and the login users, got root"),
        ({"subnet_ids": None}, "subnet_ids: is missing: vpc_id and subnet_ids go together"),
        ({"vpc_id": None}, "vpc_id: is missing: vpc_id and subnet_ids go together"),
        (
            {"subnet_ids": [SUBNET, SUBNET]},
            f"subnet_ids: should hold each subnet once, got {SUBNET}",
        ),
        (
            {**PUBLIC, "hosts": {"worker-1": {"subnet_id": SUBNET}}},
            "hosts/worker-1/subnet_id: has no meaning without satellite:vpc_id",
        ),
        (
            {"subnet_ids": [SUBNET, SECOND], "hosts": {"worker-1": {"private_ip": "10.0.0.1"}}},
            "hosts/worker-1/private_ip: should be there with a subnet_id beside it, or with one "
            "satellite:subnet_ids, got 10.0.0.1",
        ),
        (
            {"hosts": {"worker-1": {"private_ip": "8.8.8.8"}}},
            "hosts/worker-1/private_ip: should be a private address, such as 10.0.1.10, "
            "got 8.8.8.8",
        ),
        (
            {"security_group_ids": ["database"]},
            "security_group_ids/0: should be a security group's id such as sg-0123abcd, "
            "got database",
        ),
        (
            {"security_group_ids": ["sg-01234567", "sg-01234567"]},
            "security_group_ids: should hold each group once, got sg-01234567",
        ),
        (
            {"ami_lookup": {"owner": "amazon", "name": "debian-12-*"}},
            "ami_lookup: should not be there beside satellite:ami: one or the other",
        ),
        (
            {"ami": None, "ami_lookup": {"owner": "debian", "name": "*"}},
            "ami_lookup/owner: should be an account's 12 digits, amazon, aws-marketplace or self, "
            "got debian",
        ),
        (
            {"ami": None, "ami_lookup": {"owner": "amazon", "nmae": "*", "name": "x"}},
            "ami_lookup/nmae: unknown key, did you mean name?",
        ),
        (
            {"app_policies": ["ReadOnly"]},
            "app_policies/0: should be the ARN of an IAM policy, got ReadOnly",
        ),
        (
            {"app_policies": [POLICY]},
            "app_metadata: should be allowed, or the app cannot use satellite:app_policies, "
            "got blocked",
        ),
        (
            {"app_policies": [POLICY, POLICY], "app_metadata": "allowed"},
            f"app_policies: should hold each policy once, got {POLICY}",
        ),
        (
            {
                "app_policies": [f"arn:aws:iam::aws:policy/{path}" for path in ("a/b", "a--b")],
                "app_metadata": "allowed",
            },
            "app_policies: should hold no policy that is arn:aws:iam::aws:policy/a/b but for / and "
            "--: one name for the engine, got arn:aws:iam::aws:policy/a--b",
        ),
        (
            {"protect": "true", "roll": ["worker-1"]},
            "roll: should hold no protected host; first: pulumi config set --path "
            "'satellite:hosts.worker-1.protect' false && pulumi up, got worker-1",
        ),
        ({"tags": {"label": "x"}}, "tags/label: should have another name: satellite sets this tag"),
        (
            {"tags": {"AWS:x": "y"}},
            "tags/AWS:x: should be 1 to 128 letters, digits, spaces and _.:/=+-@, no aws: first",
        ),
        (
            {"tags": {"x": "50%"}},
            'tags/x: should be at most 256 letters, digits, spaces, _.:/=+-@, got "50%"',
        ),
        (
            {
                "egress": [
                    {"protocol": "all", "cidr": "::/0", "description": "GitHub\u2019s API > all"}
                ]
            },
            "egress/0/description: should be 1 to 255 letters, digits, spaces and "
            '._-:/()#,@[]+=&;{}!$*, got "GitHub\u2019s API > all"',
        ),
        (
            {"ssh_cidrs": ["2000::/3"]},
            "ssh_cidrs: should not open SSH to the world without "
            "satellite:allow_ssh_from_anywhere, got 2000::/3",
        ),
        (
            {"environment": "e" * 60, "app_policies": [POLICY], "app_metadata": "allowed"},
            "app_policies: should have a shorter app or environment: IAM takes 56 characters of "
            f'role, got "satellite-shop-{"e" * 41}...',
        ),
        (
            {"repository": "https://h/p?access_token=canary"},
            "repository: should hold no password or token: use satellite:deploy_key, got [secret]",
        ),
        ({"tags": {f"t{n}": "" for n in range(47)}}, "tags: should be at most 46, got 47"),
        *(
            (
                {"tags": {"App": "x", "team": "y"}, "app_metadata": "allowed", **role},
                "tags/App: should differ from satellite's and each other in more than case: IAM, "
                "which has them on the role, knows none",
            )
            for role in ({"app_policies": [POLICY]}, {"queue": {"delayed_job": True}})
        ),
        # networks
        (
            {"ssh_cidrs": ["2a00::/12"]},
            "ssh_cidrs: should not open SSH to the world without "
            "satellite:allow_ssh_from_anywhere, got 2a00::/12",
        ),
        (
            {"ssh_cidrs": ["0.0.0.0/0"]},
            "ssh_cidrs: should not open SSH to the world without "
            "satellite:allow_ssh_from_anywhere, got 0.0.0.0/0",
        ),
        (
            {"ssh_cidrs": ["0.0.0.0/0.0.0.0"]},
            "ssh_cidrs: should not open SSH to the world without "
            "satellite:allow_ssh_from_anywhere, got 0.0.0.0/0",
        ),
        (
            {"ssh_cidrs": ["0.0.0.0/1", "128.0.0.0/1"]},
            "ssh_cidrs: should not open SSH to the world "
            "without satellite:allow_ssh_from_anywhere, got 0.0.0.0/0",
        ),
        (
            {"ssh_cidrs": ["0::0/0"]},
            "ssh_cidrs: should not open SSH to the world without "
            "satellite:allow_ssh_from_anywhere, got ::/0",
        ),
        (
            {"ssh_cidrs": ["10.0.0.1/24"]},
            "ssh_cidrs/0: should have no bits set behind its prefix, "
            "such as 10.0.0.0/24, got 10.0.0.1/24",
        ),
        (
            {"ssh_cidrs": ["203.0.113.7"]},
            "ssh_cidrs/0: should be a CIDR such as 203.0.113.7/32, got 203.0.113.7",
        ),
        (
            {"ssh_cidrs": ["office"]},
            "ssh_cidrs/0: should be a CIDR such as 203.0.113.7/32, got office",
        ),
        (
            {"ssh_cidrs": ["10.0.0.0/8", "10.0.0.0/8"]},
            "ssh_cidrs: should hold each CIDR once, got 10.0.0.0/8",
        ),
        (
            {"egress": [{"cidr": "::/0", "description": "x"}]},
            "egress/0: should have from_port and to_port, in this order",
        ),
        (
            {"egress": [{"protocol": "all", "from_port": 1, "cidr": "::/0", "description": "x"}]},
            "egress/0: should have no ports: protocol all has none",
        ),
        # hosts
        (
            {"hosts": {"worker-3": {"protect": False}}},
            "hosts/worker-3: should have an `address`, be an instance here, or go with its host, "
            "did you mean worker-2?",
        ),
        (
            {"hosts": {"worker-3": {"lost": True}}},
            "hosts/worker-3: should have an `address`, be an instance here, or go with its host: "
            "pulumi config rm --path satellite:hosts.worker-3",
        ),
        (
            {"hosts": {"worker-3": {}}},
            "hosts/worker-3: should have an `address`, be an instance here, or go with its host: "
            "pulumi config rm --path satellite:hosts.worker-3",
        ),
        (
            {"hosts": {"worker-1": HOST}},
            "hosts/worker-1: should have another name: an EC2 instance "
            "of this stack has it, or no `address`",
        ),
        (
            {"hosts": {"db": {"address": "192.0.2.7"}}},
            "hosts/db/host_key: is missing: TYPE KEY of "
            "ssh-keyscan 192.0.2.7, compared on the host",
        ),
        (
            {"hosts": {"worker-1": {"port": 22}}},
            "hosts/worker-1/port: has no meaning for an EC2 instance",
        ),
        (
            {"hosts": {"db": {**HOST, "private_ip": "10.0.0.1"}}},
            "hosts/db/private_ip: has no meaning for a host with an `address`",
        ),
        (
            {"hosts": {"a": HOST, "b": HOST}},
            "hosts: should have each address once, got 192.0.2.7:22",
        ),
        (
            {
                "hosts": {
                    "a": {**HOST, "address": "host.example.com"},
                    "b": {**HOST, "address": "HOST.Example.com"},
                }
            },
            "hosts: should have each address once, got host.example.com:22",
        ),
        (
            {"hosts": {"db": {**HOST, "address": "fe80::1%eth0"}}},
            "hosts/db/address: should be an address without a zone, which is one computer's own, "
            'got "fe80::1%eth0"',
        ),
        (
            {"hosts": {"db": {**HOST, "address": "300.1.1.1"}}},
            "hosts/db/address: should be a whole IP address or a DNS name, got 300.1.1.1",
        ),
        (
            {"roll": ["worker-9"]},
            "roll: should hold only this stack's instances, did you mean worker-2?, got worker-9",
        ),
        (
            {
                "hosts": {
                    "worker-1": {"private_ip": "10.0.0.1"},
                    "worker-2": {"private_ip": "10.0.0.2"},
                },
                "roll": ["worker-1", "worker-2"],
            },
            "roll: should hold at most max_unavailable hosts that have a private_ip, "
            'got "worker-1, worker-2"',
        ),
        (
            {"max_unavailable": "half"},
            "max_unavailable: should be a number from 1 to 1000, or a part from 1% to 100%, "
            "got half",
        ),
        (
            {"max_unavailable": "0%"},
            "max_unavailable: should be a number from 1 to 1000, or a part from 1% to 100%, "
            'got "0%"',
        ),
        (
            {"max_unavailable": "0"},
            "max_unavailable: should be a number from 1 to 1000, or a part from 1% to 100%, got 0",
        ),
        ({"release_phase": "maybe"}, "release_phase: should be on or off, got maybe"),
        (
            {"soak_seconds": "60"},
            "soak_seconds: should be there only with satellite:canary, got 60",
        ),
        # keys and secrets: no value is ever shown
        (
            {"public_key": OTHER.public},
            "public_key: should be the public half of satellite:private_key",
        ),
        (
            {"public_key": "AAAA"},
            "public_key: should be a public key as one line: TYPE KEY [COMMENT], got AAAA",
        ),
        (
            {"private_key": "canary"},
            "private_key: should be an SSH private key, BEGIN and END lines included, got [secret]",
        ),
        (
            {"host_key_seed": "canary"},
            "host_key_seed: should have at least 32 characters of random text, got [secret]",
        ),
        (
            {"config": {"A-B": "canary"}},
            "config/A-B: should be named with letters, digits and _, no digit first",
        ),
        (
            {"config": {"IFS": "canary"}},
            "config/IFS: should have another name: the shell itself sets this variable",
        ),
        (
            {"config": {"WORKER_NAME": "canary"}},
            "config/WORKER_NAME: should have another name: satellite itself sets this variable",
        ),
        ({"config": {"A": True}}, "config/A: should be text: write it in quotes, got [secret]"),
        ({"config": {"A": "canary\0"}}, "config/A: should hold no NUL byte, got [secret]"),
        (
            {"config": {"A": "canary" * 30_000}},
            "config/A: should be 130000 bytes or less: with its name Linux takes 128 KB, "
            "got [secret]",
        ),
        (
            {"next_public_key": OTHER.public, "next_private_key": LOGIN},
            "next_public_key: should be the public half of satellite:next_private_key",
        ),
        (
            {"next_private_key": OTHER.private},
            "next_public_key: is missing: the public half of next_private_key",
        ),
        (
            {"ssh_agent": "true"},
            "ssh_agent: should be false while there is a satellite:private_key",
        ),
        (
            {"private_key": None},
            "private_key: is missing: make keys; or bring your own, as docs/keys.md says",
        ),
        (
            {"authorized_keys": [OTHER.public, f"{OTHER.public} ada"]},
            f'authorized_keys: should hold each key once, got "{OTHER.public[:56]}...',
        ),
        (
            {"bastion": {"address": "192.0.2.1"}},
            "bastion/host_key: is missing",
        ),
        (
            {"bastion": {**HOST, "user": "shop"}},
            "app: should have another name than root and the login users, got shop",
        ),
        ({"config": ["A=canary"]}, "config: should be a map, got [secret]"),
        *(
            ({"config_files": {path: {"template": "canary"}}}, f"config_files/{path}: {rule}")
            for path, rule in (
                ("/etc/x", "should be a path within the release, such as config/database.yml"),
                ("a/../b", "should be a path within the release, such as config/database.yml"),
                ("a b", "should be a path of letters, digits and ._+@-/, 200 at most"),
                ("log/a", "should be another path: log is satellite's or the repository's"),
                ("tmp", "should be another path: tmp/pids is satellite's or the repository's"),
            )
        ),
        *(
            (
                {"config_files": {"a.yml": {"template": "canary", **part}}},
                f"config_files/a.yml/{rule}",
            )
            for part, rule in (
                ({"mode": "0777"}, "mode: should be one of 0600, 0640, 0400, 0440, got [secret]"),
                ({"mode": ["0640"]}, "mode: should be one of 0600, 0640, 0400, 0440, got [secret]"),
                ({"owner": "ada"}, "owner: should be app or root, got [secret]"),
                (
                    {"owner": "root", "mode": "0600"},
                    "mode: should be 0640 or 0440, or the app cannot read what is root's",
                ),
                (
                    {"template": "canary\n{{ A | xml }}"},
                    "template: line 2: should have one of the filters json, ruby, got [secret]",
                ),
                ({"template": "canary {{ A"}, "template: line 1: has no end, }}, got [secret]"),
                (
                    {"template": "canary {{ a-b }}"},
                    "template: line 1: should be {{ NAME }} or {{ NAME | json }}, or {{ '{{' }} "
                    "for braces, got [secret]",
                ),
                (
                    {"template": "\n{{ DATABASE_URI }}"},
                    "template: line 2: DATABASE_URI is no config var, did you mean DATABASE_URL?",
                ),
            )
        ),
        (
            {"config_files": {"a": {"template": "x"}, "a/b": {"template": "x"}}},
            "config_files/a/b: should not be in the way of a",
        ),
        (
            {"repository": "https://u:canary@h/p"},
            "repository: should hold no password or token: use satellite:deploy_key, got [secret]",
        ),
        (
            {"repository": "https://canary@h/p"},
            "repository: should hold no password or token: use satellite:deploy_key, got [secret]",
        ),
        (
            {"repository": "http://git.example.com/a.git?token=canary"},
            "repository: should be ssh://..., https://... or git@HOST:PATH, got [secret]",
        ),
        (
            {"repository": "ext::sh -c x"},
            'repository: should be ssh://..., https://... or git@HOST:PATH, got "ext::sh -c x"',
        ),
    ],
)
def test_is_refused_with_path_rule_and_value(changed: dict[str, Any], said: str) -> None:
    assert problems(**changed) == [f"satellite:{said}"]


def test_tags_that_differ_by_case_need_no_other_name_without_a_role() -> None:
    assert problems(tags={"App": "x", "team": "y", "Team": "z"}) == []
    found = problems(tags={"team": "y", "Team": "z"}, queue={"delayed_job": True})
    assert [line.split(": ")[0] for line in found] == ["satellite:tags/Team", "satellite:tags/team"]
    # an instance's alone, whose tags know case
    assert problems(tags={"name": "y"}, queue={"delayed_job": True}) == []


@pytest.mark.parametrize(
    ("key", "way"),
    [
        (
            "processes.worker.quantity",
            "pulumi config set --path 'satellite:processes.worker.quantity'",
        ),
        ("ssh_cidrs[0]", "pulumi config set --path 'satellite:ssh_cidrs[0]'"),
        ("monit.mail_to", "pulumi config set --path 'satellite:monit.mail_to'"),
        # which `--path` alone would leave in the open
        ("config.A_B", "satellite config set A_B"),
        ('config["A"]', "satellite config set A"),
    ],
)
def test_a_part_that_was_set_without_path_is_told_how(key: str, way: str) -> None:
    given: dict[str, Any] = {key: "3"}
    assert problems(**given) == [
        f"satellite:{key}: unknown key; a part of another one is set by {way}, and this one taken "
        f"away by pulumi config rm 'satellite:{key}'"
    ]


@pytest.mark.parametrize("key", ["other.worker", "branch.x", "count[0]"])
def test_what_has_no_parts_is_told_none(key: str) -> None:
    given: dict[str, Any] = {key: "3"}
    assert problems(**given)[0].startswith(f"satellite:{key}: unknown key")
    assert "--path" not in problems(**given)[0]


def test_an_environment_that_nobody_set_is_the_stacks_name() -> None:
    good, found = validated({**stack_values(), "environment": ""}, SECRET, "staging")
    assert (good.environment, found) == ("staging", [])
    good, found = validated(stack_values(), SECRET, "_dev")
    assert (good.environment, found) == ("staging", [])
    (said,) = validated({**stack_values(), "environment": ""}, SECRET, "_dev")[1]
    assert said == (
        "satellite:environment: should be letters, digits, . _ and -, a letter or digit first, "
        "63 at most, got _dev, the stack's name: pulumi config set satellite:environment NAME"
    )


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("config", '{"A": "\\ud800"}'),
        ("processes", '{"w\\ud800": {"quantity": 1}}'),
        ("processes", '{"worker": {"quantity": 1, "command": "x\\ud800"}}'),
        ("branch", "x\ud800"),
        ("app", "x\udfff"),
    ],
)
def test_half_a_character_is_refused_once(key: str, text: str) -> None:
    given: dict[str, Any] = {key: text}
    found = problems(**given)
    assert found[:1] == [f"satellite:{key}: should be valid Unicode text"]
    assert len(found) == 1
    given = {key: text.replace("\\ud800", "\\ud83d\\ude00")}
    assert not [line for line in problems(**given) if "Unicode" in line and key == "config"]


def test_a_repository_over_ssh_needs_both_keys() -> None:
    assert problems(repository=SSH) == [
        "satellite:deploy_key: is missing: make keys DEPLOY_KEY=1; or bring your own, "
        "as docs/keys.md says",
        "satellite:known_hosts: should hold the git server's line of ssh-keyscan",
    ]


def test_what_must_be_encrypted_and_what_must_not() -> None:
    assert problems(secret=frozenset({"private_key", "app", "config"})) == [
        "satellite:app: should not be encrypted: previews show it; secrets belong in "
        "satellite:config",
        "satellite:host_key_seed: should be encrypted: "
        "pulumi config set --secret satellite:host_key_seed",
    ]


def test_all_problems_come_at_once_and_one_hides_no_other() -> None:
    found = problems(
        app=None,
        procesess="x",
        ssh_cidrs=["10.0.0.1/24", "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/8"],
        hosts={"rented": {"address": "192.0.2.1"}, "worker-1": {"port": 0, "lost": "perhaps"}},
        config={"A": None, "B-C": "canary"},
        private_key="canary",
    )
    assert [line.split(": ")[0].removeprefix("satellite:") for line in found] == [
        "app",
        "config/A",
        "config/B-C",
        "hosts/rented/host_key",
        "hosts/worker-1/lost",
        "hosts/worker-1/port",
        "private_key",
        "procesess",
        "ssh_cidrs/0",
        "ssh_cidrs",
        "ssh_cidrs",
    ]
    assert "canary" not in "".join(found)


def test_load_reads_the_engines_map_and_raises_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "staging")
    bad = {**stack_values(), "count": "0", "procesess": "x"}
    del bad["environment"]
    pulumi_config.set_all_config(
        {**{f"satellite:{k}": v for k, v in bad.items()}, "aws:region": "eu-west-1"},
        [f"satellite:{k}" for k in SECRET],
    )
    try:
        with pytest.raises(pulumi.RunError) as caught:
            load()
        assert str(caught.value) == (
            "2 problems in this stack's settings:\n"
            "  satellite:count: should be at least 1, got 0\n"
            "  satellite:procesess: unknown key, did you mean processes?"
        )
        pulumi_config.set_config("satellite:count", "3")
        pulumi_config.CONFIG.get().pop("satellite:procesess")
        loaded = load()
        assert (loaded.environment, loaded.count) == ("staging", 3)
        pulumi_config.set_config("satellite:environment", "")
        assert load().environment == "staging"
        pulumi_config.set_config("Satelite:protect", "true")
        said = "Satelite:protect: unknown key, did you mean satellite:protect?"
        with pytest.raises(pulumi.RunError, match=said):
            load()
        del pulumi_config.CONFIG.get()["Satelite:protect"]
        # a project of another name: what Pulumi.yaml gives is of its namespace then
        for project in ("our-satellite", "shop"):
            monkeypatch.setattr(pulumi, "get_project", lambda project=project: project)
            given = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["config"]
            for key, about in given.items():
                default = about["default"]
                text = default if isinstance(default, str) else json.dumps(default)
                pulumi_config.set_config(f"{project}:{key}", text)
            assert load().environment == "staging"
            pulumi_config.set_config(f"{project}:branch", "live")
            said = f"{project}:branch: unknown key, did you mean satellite:branch?"
            said += " (branch in Pulumi.yaml is it, too)"
            with pytest.raises(pulumi.RunError) as caught:
                load()
            assert str(caught.value) == f"1 problem in this stack's settings:\n  {said}"
            for key in given:
                del pulumi_config.CONFIG.get()[f"{project}:{key}"]
        pulumi_config.set_config("satellites:colour", "red")  # another program's
        assert load().environment == "staging"
    finally:
        pulumi_config.set_all_config({}, [])


def test_settings_are_checked_without_the_engines_sdk() -> None:
    """Which takes as long to load as all else of a command."""
    asked = "import sys, satellite_infra.settings; print('pulumi' in sys.modules)"
    argv = [sys.executable, "-c", asked]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["worker", "quantity", "cidr", "address"]) | st.text(), inner
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), anything, max_size=6))
def test_whatever_comes_is_accepted_or_refused_without_a_traceback(values: dict[str, Any]) -> None:
    sent = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    _, found = validated({**stack_values(), **sent}, SECRET)
    assert all(line.startswith("satellite:") and ": " in line for line in found)


def test_the_login_key_of_these_tests_is_a_pair() -> None:
    assert keys.same_public(LOGIN_PUBLIC, keys.public_line(LOGIN))
