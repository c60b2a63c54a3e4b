"""A thousand stack files, good ones and bad ones: refused in so many words, or applied."""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from satellite_infra.host_identity import host_identity
from satellite_infra.settings import ENCRYPTED, MAY_BE_ENCRYPTED, Settings, validated

from .conftest import ARMOURED, LOGIN, LOGIN_PUBLIC, SECRET, SEED, stack_values
from .program import run

OTHER = host_identity("another seed with more than 32 characters", "x")
NAMES = ("worker-1", "worker-2", "mailer", "rented")
AMI = "ami-0123456789abcdef0"
SUBNET = "subnet-0123456789abcdef0"
POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"

names = st.sampled_from(NAMES)
numbers = st.integers(-2, 30)
junk: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.lists(st.text(max_size=5), max_size=2)
    | st.dictionaries(st.text(max_size=8), st.integers(), max_size=2)
)


def maps(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps with some of these parts."""
    return st.fixed_dictionaries({}, optional=parts)


def lists(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=3)


cidrs = st.sampled_from(
    ["203.0.113.0/24", "10.0.0.1/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "office", "10.0.0.0"]
)
keys_ = st.sampled_from([LOGIN_PUBLIC, OTHER.public, "ssh-ed25519 AAAA", ""])
privates = st.sampled_from([LOGIN, OTHER.private, "canary", ""])
switches = st.sampled_from(["true", "false", "yes"])
ports = st.sampled_from([22, 443, 0, 70_000])
ips = st.sampled_from(["10.0.1.10", "172.31.0.9", "8.8.8.8", "300.1.1.1", "example.com"])
words = st.sampled_from(["shop", "web-2", "Über", "a b", "", "root", "x" * 70])
amis = st.sampled_from([AMI, "ubuntu", ""])
subnets = st.sampled_from([SUBNET, "subnet-0fedcba9876543210", "subnet"])
types = st.sampled_from(["t3.small", "c7i.large", "large"])

LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "app": words,
    "environment": words,
    "repository": st.sampled_from(
        ["https://git.example.com/a.git", "git@git.example.com:a.git", "https://u:canary@h/x", "x"]
    ),
    "branch": st.sampled_from(["main", "feature/x", "-x", "a..b"]),
    "revision": st.sampled_from(["0f1e2d3c4b5a69788796a5b4c3d2e1f000112233", "HEAD", "heroku"]),
    "generation": numbers,
    "deploy_key": privates,
    "known_hosts": lists(st.sampled_from([f"git.example.com {OTHER.public}", "git.example.com"])),
    "processes": st.dictionaries(
        st.sampled_from(["worker", "mailer", "a.b", "release"]),
        maps(
            quantity=numbers,
            grace=numbers,
            command=st.sampled_from(["run me", "two\nlines", ""]),
            memory_max=st.sampled_from(["300M", "20%", "10M", "much"]),
            cpu=st.sampled_from(["150%", "0%", "2"]),
            overlap=st.booleans(),
            signal=st.sampled_from(["INT", "SIGINT", "KILL"]),
            signal_to=st.sampled_from(["all", "main", "first"]),
            env=st.dictionaries(
                st.sampled_from(["QUEUES", "A-B", "HOME"]), st.text(max_size=9) | numbers
            ),
            alert=maps(
                memory=st.sampled_from(["300M", "20%"]),
                cpu=st.sampled_from(["90%", "much"]),
                restarts=numbers,
            ),
            on_kill=st.sampled_from(["bin/release", "a\nb", ""]),
            quantty=numbers,
        ),
        max_size=2,
    ),
    "build": lists(st.sampled_from(["make", "", "a\nb"])),
    "config": st.dictionaries(
        st.sampled_from(["A", "DATABASE_URL", "A-B", "HOME", "SATELLITE_X"]),
        st.text(max_size=30) | numbers | st.booleans(),
        max_size=3,
    ),
    "environment_vars": lists(st.sampled_from(["RAILS_ENV", "A-B", "PWD"])),
    "config_files": st.dictionaries(
        st.sampled_from(["config/a.yml", "config", "../a", "log/x", "a b"]),
        maps(
            template=st.sampled_from(["a: {{ A | json }}", "{{ DATABASE_URL }} canary", "{{", "x"]),
            mode=st.sampled_from(["0640", 600, 416, "0777"]),
            owner=st.sampled_from(["app", "root", "ada"]),
        ),
        max_size=2,
    ),
    "heroku": maps(
        app=st.sampled_from(["shop-staging", "Shop", ""]),
        config=st.sampled_from(["inherit", "check", "off", "on"]),
        names=lists(st.sampled_from(["DATABASE_URL", "REDIS_URL", "A-B"])),
        rotate=st.sampled_from([30, 120, 7, 0, 2000]),
    ),
    "promote": maps(
        source=st.sampled_from(["main", "staging", "-x"]),
        heroku_remote=st.sampled_from(
            ["https://git.heroku.com/shop-staging.git", "https://u:canary@h/x", "x"]
        ),
        heroku_branch=st.sampled_from(["main", "a..b"]),
        tag=switches,
    ),
    "heroku_api_token": st.sampled_from(["canary-token", "canary", "canary token"]),
    "heroku_host_token": st.sampled_from(["canary-token", "canary-of-hosts", "canary token"]),
    "packages": lists(st.sampled_from(["libpq-dev", "Lib PQ"])),
    "apt_sources": st.dictionaries(
        st.sampled_from(["pgdg", "node", "a.b"]),
        maps(
            uri=st.sampled_from(["https://apt.example.com", "http://u:canary@h/x", "ftp://x"]),
            suite=st.sampled_from(["bookworm", "./", "a b"]),
            components=lists(st.sampled_from(["main", "a b"])),
            key=st.sampled_from([ARMOURED, ARMOURED.replace("PUBLIC", "PRIVATE"), "canary"]),
        ),
        max_size=2,
    ),
    "unattended_upgrades": switches,
    "ruby": maps(
        version=st.sampled_from(["3.3.6", "ruby-3", "../3"]),
        source=st.sampled_from(["https://ruby.example.com/r.tar.gz", "r.tar.gz"]),
        sha256=st.sampled_from(["0f" * 32, "0F" * 32]),
        configure=lists(st.sampled_from(["--enable-yjit", "a\nb"])),
        rubygems=st.sampled_from(["3.5.23", "new"]),
        bundler=st.sampled_from(["2.5.23", ">= 2"]),
    ),
    "keep_releases": numbers,
    "gate_seconds": numbers,
    "release_phase": st.sampled_from(["on", "off", "never"]),
    "max_unavailable": numbers | st.sampled_from(["25%", "0%", "101%", "half"]),
    "canary": switches,
    "soak_seconds": numbers,
    "monit": maps(
        mail_to=lists(st.sampled_from(["ops@example.com", "ops"])),
        mail_from=st.sampled_from(["satellite@example.com", "x"]),
        smtp_host=ips,
        smtp_port=ports,
        smtp_tls=switches,
        smtp_user=st.sampled_from(["ops", 'a"b', ""]),
        every_seconds=numbers,
        disk_percent=numbers,
        load_per_core=numbers,
    ),
    "monit_password": st.sampled_from(["canary", 'canary"']),
    "release_webhook": st.sampled_from(["https://hooks.example.com/canary", "http://canary"]),
    "health": st.sampled_from(["bin/check", "two\nlines"]),
    "health_seconds": numbers,
    "queue": maps(
        delayed_job=switches,
        command=st.sampled_from(["bin/numbers", "two\nlines", ""]),
        sql=st.sampled_from(["SELECT 1, 2", "SELECT 1,\n2", "a\x00"]),
        name=st.sampled_from(["mail", "a b"]),
        every_minutes=numbers,
        age_seconds=numbers,
        depth=numbers,
        minutes=numbers,
    ),
    "count": st.integers(-1, 4),
    "names": lists(names | words),
    "hosts": st.dictionaries(
        names,
        maps(
            lost=st.booleans(),
            ami=amis,
            instance_type=types,
            root_volume_gb=numbers,
            subnet_id=subnets,
            private_ip=ips,
            protect=st.booleans(),
            address=ips,
            host_key=keys_,
            user=words,
            port=ports,
            machine=numbers,
        ),
        max_size=2,
    ),
    "ami": amis,
    "ami_lookup": maps(owner=st.sampled_from(["amazon", "123456789012", "me"]), name=words),
    "instance_type": types,
    "root_volume_gb": numbers,
    "ssh_user": words,
    "tags": st.dictionaries(st.sampled_from(["team", "app", "aws:x", "Name"]), words, max_size=2),
    "roll": lists(names),
    "protect": switches,
    "auto_recover": switches,
    "alerts": maps(
        emails=lists(st.sampled_from(["ops@example.com", "ops", "a@b.c d"])),
        cpu_percent=numbers,
        cpu_minutes=st.sampled_from([5, 15, 7, 0, 1440]),
        kms_key=st.sampled_from(["arn:aws:kms:us-east-1:123456789012:key/0f1e", "alias/aws/sns"]),
    ),
    "alert_urls": lists(
        st.sampled_from(
            ["https://alerts.example.com/canary", "http://canary", "https://u:canary@h"]
        )
    ),
    "app_policies": lists(st.sampled_from([POLICY, "ReadOnly"])),
    "app_metadata": st.sampled_from(["blocked", "allowed", "open"]),
    "public_key": keys_,
    "private_key": privates,
    "ssh_agent": switches,
    "next_public_key": keys_,
    "next_private_key": privates,
    "host_key_seed": st.sampled_from([SEED, "canary"]),
    "authorized_keys": lists(keys_),
    "connect": st.sampled_from(["public", "private", "both"]),
    "bastion": maps(address=ips, host_key=keys_, user=words, port=ports),
    "ssh_cidrs": lists(cidrs),
    "allow_ssh_from_anywhere": switches,
    "egress": lists(
        maps(
            protocol=st.sampled_from(["tcp", "icmp", "all", "sctp"]),
            from_port=ports,
            to_port=ports,
            cidr=cidrs,
            description=words,
        )
    ),
    "vpc_id": st.sampled_from(["vpc-0123456789abcdef0", "vpc"]),
    "subnet_ids": lists(subnets),
    "security_group_ids": lists(st.sampled_from(["sg-01234567", "sg-0123456789abcdef0", "sg"])),
    "reach_seconds": numbers,
}
"""What people might write, right and wrong, for each setting."""
changes = st.lists(st.sampled_from(sorted(LIKELY)), unique=True, max_size=4).flatmap(
    lambda chosen: st.fixed_dictionaries({key: LIKELY[key] | junk for key in chosen})
)
LINE = re.compile(r"satellite:[^:]+(: .+|:[^ ]+: .+)", re.DOTALL)


def sent(values: dict[str, Any]) -> dict[str, str]:
    """As the engine hands a stack file to the program."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack without a revision asks its repository; this one answers without a network."""
    monkeypatch.setattr("satellite_infra.revision.branch_head", lambda *_: "e" * 40)
    api = "satellite_infra.agent.heroku.Api"
    monkeypatch.setattr(f"{api}.commit", lambda _: "f" * 40)
    told = {"DATABASE_URL": "canary", "REDIS_URL": "canary", "PATH": "bin", "A-B": "canary"}
    monkeypatch.setattr(f"{api}.config_vars", lambda _: told)


def test_every_setting_is_generated() -> None:
    assert LIKELY.keys() == Settings.model_fields.keys()


@settings(
    max_examples=1000,
    deadline=None,  # a busy machine is no failure
    suppress_health_check=list(HealthCheck),
)
@given(changes)
@example({"revision": ""})
def test_a_generated_stack_is_refused_in_words_or_applied(changed: dict[str, Any]) -> None:
    values = {**stack_values(), **sent(changed)}
    found = validated(values, SECRET & values.keys())[1]
    for line in found:
        assert LINE.fullmatch(line), line
        assert "canary" not in line.replace("satellite:canary", "")  # the setting of that name
        assert line.split(":")[1].split("/")[0] in Settings.model_fields, line
    event("refused" if found else "applied")  # --hypothesis-show-statistics
    if found:
        _refused(values, found)
    else:
        ran = run(values)
        hosts = {host["name"] for host in ran.outputs["hosts"]}
        assert hosts == {
            urn.split("::")[1].removesuffix("-drain")
            for urn in ran.resources
            if urn.endswith("-drain")
        }


def _refused(values: dict[str, Any], found: list[str]) -> None:
    """The program says the same, and asks for no resource."""
    with pytest.raises(pulumi.RunError) as refused:
        run(values)
    assert str(refused.value).partition("\n  ")[2] == "\n  ".join(found)


def test_secret_settings_are_never_quoted() -> None:
    for key in sorted(ENCRYPTED | MAY_BE_ENCRYPTED):
        lines = validated({**stack_values(), key: "canary"}, SECRET)[1]
        assert lines
        assert "canary" not in "".join(lines)
