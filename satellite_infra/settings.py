"""What a team declares in Pulumi.STACK.yaml, as one frozen value; nothing else reads the config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_origin

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from satellite_infra import fields as f
from satellite_infra import problems, rules

NAMESPACE = "satellite"
ENCRYPTED = frozenset({"private_key", "host_key_seed", "deploy_key"})
"""Settings that must be encrypted in the stack file; `config` may be, and no other may."""


class Model(BaseModel):
    """Frozen; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ProcessSettings(Model):
    """One process type of the Procfile: how many workers on each host, and how each ends."""

    quantity: Annotated[f.Number, Field(ge=1, le=1000)]
    command: f.Line = ""
    grace: Annotated[f.Number, Field(ge=1, le=86_400)] = 60  # systemd takes 0 for: no limit
    memory_max: f.MemoryMax = ""


class HostSettings(Model):
    """What is special about one host; with an `address` it exists already, without AWS."""

    lost: f.Switch = False
    private_ip: f.IPv4 | None = None
    instance_type: f.InstanceType | None = None
    address: f.Address | None = None
    user: f.LoginUser | None = None
    port: Annotated[f.Number, Field(ge=1, le=65_535)] | None = None
    host_key: f.PublicKey | None = None
    machine: Annotated[f.Number, Field(ge=1, le=10**9)] | None = None


class EgressSettings(Model):
    """One way out of the hosts."""

    protocol: f.Protocol = "tcp"
    from_port: Annotated[f.Number, Field(ge=0, le=65_535)] | None = None
    to_port: Annotated[f.Number, Field(ge=0, le=65_535)] | None = None
    cidr: f.Cidr
    description: Annotated[f.Line, Field(max_length=255)]


ANYWHERE = tuple(
    EgressSettings(protocol="all", cidr=cidr, description="Out to anywhere")
    for cidr in ("0.0.0.0/0", "::/0")
)


class Settings(Model):
    """Everything that a stack declares. An empty text stands for: not set."""

    app: f.AppName = ""
    environment: f.EnvironmentName = ""
    repository: f.Repository = ""
    branch: f.Branch = "main"
    revision: f.Commit = ""
    generation: Annotated[f.Number, Field(ge=0, le=10**9)] = 0
    deploy_key: f.PrivateKey = Field("", repr=False)
    known_hosts: tuple[f.KnownHost, ...] = ()

    public_key: f.PublicKey = ""
    private_key: f.PrivateKey = Field("", repr=False)
    host_key_seed: f.Seed = Field("", repr=False)

    count: Annotated[f.Number, Field(ge=1, le=1000)] | None = None
    names: tuple[f.HostName, ...] = ()
    hosts: dict[f.HostName, HostSettings] = {}
    roll: tuple[f.HostName, ...] = ()
    instance_type: f.InstanceType = "t3.small"
    ami: f.Ami = ""
    ssh_user: f.LoginUser = "admin"
    root_volume_gb: Annotated[f.Number, Field(ge=8, le=16_384)] = 20
    tags: dict[f.TagKey, f.TagValue] = {}

    vpc_id: f.VpcId = ""
    subnet_id: f.SubnetId = ""
    connect: Literal["public", "private"] = "public"
    ssh_cidrs: tuple[f.Cidr, ...] = ()
    allow_ssh_from_anywhere: f.Switch = False
    egress: tuple[EgressSettings, ...] = ANYWHERE
    reach_seconds: Annotated[f.Number, Field(ge=1, le=3600)] = 300

    packages: tuple[f.Package, ...] = ()
    processes: dict[f.ProcessType, ProcessSettings] = {}
    build: tuple[f.Line, ...] = ()
    config: dict[f.EnvName, f.EnvValue] = Field({}, repr=False)
    keep_releases: Annotated[f.Number, Field(ge=1, le=100)] = 5
    gate_seconds: Annotated[f.Number, Field(ge=0, le=3600)] = 10
    max_unavailable: Annotated[f.Number, Field(ge=1, le=1000)] = 1

    def instance_names(self) -> tuple[str, ...]:
        """The names of the hosts that are EC2 instances."""
        return self.names or tuple(f"worker-{n}" for n in range(1, (self.count or 0) + 1))

    def existing(self) -> dict[str, HostSettings]:
        """The hosts that exist without us."""
        return {name: host for name, host in self.hosts.items() if host.address}

    @classmethod
    def load(cls) -> Settings:
        """This stack's settings; RunError lists every problem, before any resource is touched."""
        stack, secret = _read()
        stack.setdefault("environment", pulumi.get_stack())
        settings, found = validated(stack, secret)
        if found:
            many = f"{len(found)} problems" if len(found) > 1 else "1 problem"
            raise pulumi.RunError("\n  ".join([f"{many} in this stack's settings:", *found]))
        return settings


def validated(values: Mapping[str, Any], secret: frozenset[str]) -> tuple[Settings, list[str]]:
    """The settings that `values` give, and all problems; `secret`: the keys that are encrypted.

    With problems the settings hold what could be understood, and must not be used.
    """
    kept = {key: _parsed(key, value) for key, value in values.items() if value != ""}
    found = list(rules.encryption(kept, secret, ENCRYPTED))
    broken: frozenset[str] = frozenset()
    try:
        settings = Settings.model_validate(kept)
    except ValidationError as error:
        found += problems.lines(Settings, error, secret | ENCRYPTED | {"config"})
        broken = frozenset(str(e["loc"][0]) for e in error.errors(include_url=False))
        settings = Settings.model_validate(_without(kept, error))
    found += rules.across(settings, broken)
    return settings, sorted(found)


def _read() -> tuple[dict[str, Any], frozenset[str]]:
    """The stack's values of our namespace as they are, and which of them are secret."""
    prefix = NAMESPACE + ":"
    values = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    short = {key.removeprefix(prefix): v for key, v in values.items() if key.startswith(prefix)}
    return short, frozenset(key for key in short if pulumi_config.is_config_secret(prefix + key))


def _parsed(key: str, value: Any) -> Any:
    """Maps and lists arrive as JSON text, everything else as plain text."""
    field = Settings.model_fields.get(key)
    if field and get_origin(field.annotation) in (dict, tuple) and isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _without(values: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The values without the entries in error, so that the rules across settings see the rest."""
    bad = {e["loc"][:2] for e in error.errors(include_url=False)}
    whole = {path[0] for path in bad if len(path) == 1}
    rest: dict[str, Any] = {}
    for key, value in values.items():
        if key in whole:
            continue
        if isinstance(value, dict):
            rest[key] = {k: v for k, v in value.items() if (key, k) not in bad}
        elif isinstance(value, list):
            rest[key] = [v for n, v in enumerate(value) if (key, n) not in bad]
        else:
            rest[key] = value
    return rest
