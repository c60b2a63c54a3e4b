"""Emulated EC2 (moto, in this process) whose instances have machines: moto's events move the fleet.

Nothing is polled: the methods that change an instance, its groups or its addresses are wrapped.
"""

from __future__ import annotations

import base64
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lab import firewall
from lab.firewall import Guarded, Rule
from lab.fleet import Fleet
from lab.machine import Seed
from lab.network import GATEWAY

PORT = 4566
REGION = "us-east-1"
ACCOUNT = "123456789012"
AMI = "ami-0deb1200000000012"
PENDING_STATES = {"stopping": ("stopped", 80), "shutting-down": ("terminated", 48)}
ON_FIREWALL = {  # what can change who may talk to whom, or which public address is whose
    "SecurityGroupBackend": (
        "authorize_security_group_ingress authorize_security_group_egress "
        "revoke_security_group_ingress revoke_security_group_egress modify_security_group_rules"
    ),
    "InstanceBackend": "modify_instance_security_groups modify_instance_attribute",
    "NetworkInterfaceBackend": "modify_network_interface_attribute",
    "ElasticAddressBackend": "associate_address disassociate_address release_address",
}


class Ec2:
    """The emulated region. `start` serves it; before that, nothing of moto is imported."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._fleet: Fleet | None = None
        self._backend: Any = None
        self._lock = threading.RLock()

    def start(self, fleet: Fleet) -> None:
        """Serve the AWS API on the gateway, and let its instances be machines of `fleet`."""
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
        from moto.ec2.models import ec2_backends

        from lab import emulated_aws

        logging.basicConfig(filename=self._log, level=logging.INFO)
        self._fleet = fleet
        self._backend = ec2_backends[ACCOUNT][REGION]
        self._register_image()
        self._hook()
        self.refresh()
        emulated_aws.serve(GATEWAY, PORT)

    def place(self) -> dict[str, str]:
        """Where instances are that ask for no other place, as variables."""
        subnets = self._backend.get_default_subnets()
        subnet = subnets[min(subnets)]
        return {"LAB_VPC": subnet.vpc_id, "LAB_SUBNET": subnet.id}

    def resolve(self, name: str) -> str | None:
        """The private address of the running instance with this id, Name tag or EC2 host name."""
        for instance in self._running():
            names = {instance.id, _name(instance), instance.private_dns_name}
            names |= {instance.private_dns_name.split(".")[0], instance.public_dns_name}
            if name in {str(known).lower() for known in names if known}:
                return str(instance.private_ip)
        return None

    def refresh(self) -> None:
        """Bring the firewall in line with the groups and addresses of the instances."""
        with self._lock:
            instances = list(self._running())
            firewall.apply([_guarded(instance, instances) for instance in instances])

    def powered_off(self, instance_id: str) -> None:
        """The machine ended by itself: on EC2 that stops or terminates the instance."""
        instance = self._backend.get_instance_by_id(instance_id)
        if instance is not None and instance.state == "running":
            if instance.instance_initiated_shutdown_behavior == "terminate":
                instance.terminate()
            else:
                instance.stop()

    def _running(self) -> Iterable[Any]:
        if self._backend is None:
            return ()
        alive = ("running", "stopping", "shutting-down")
        return [i for i in self._backend.all_instances() if i.state in alive]

    def _register_image(self) -> None:
        image = self._backend.register_image("debian-lab", "The lab's base image")
        del self._backend.amis[image.id]
        image.id, image.root_device_name, image.root_device_type = AMI, "/dev/xvda", "ebs"
        image.virtualization_type, image.architecture = "hvm", "x86_64"
        self._backend.amis[AMI] = image

    def _hook(self) -> None:
        from moto.ec2 import models
        from moto.ec2.models.instances import (
            Instance,
            InstanceBackend,
        )

        _before(InstanceBackend, "run_instances", self._choose_subnet)
        _after(InstanceBackend, "run_instances", self._launched)
        _after(Instance, "start", self._started)
        _after(Instance, "stop", self._stopped)
        _after(Instance, "terminate", self._terminated)
        _after(Instance, "reboot", self._rebooted)
        for owner, methods in ON_FIREWALL.items():
            for method in methods.split():
                _after(getattr(models, owner), method, lambda *_: self.refresh())

    def _choose_subnet(self, backend: Any, arguments: dict[str, Any]) -> None:
        """As EC2 does: without a subnet, the default one of the first (or the wanted) zone."""
        interfaces = arguments.get("nics") or []
        if arguments.get("subnet_id") or any("SubnetId" in nic for nic in interfaces):
            return
        subnets = backend.get_default_subnets()
        zone = arguments.get("placement") or min(subnets, default=None)
        if zone in subnets:
            arguments["subnet_id"] = subnets[zone].id

    def _launched(self, _: Any, reservation: Any) -> None:
        self.refresh()
        for instance in reservation.instances:
            if self._ours(instance):
                assert self._fleet is not None
                self._fleet.launch(instance.id, instance.private_ip, self._seed(instance))

    def _started(self, instance: Any, _: Any) -> None:
        self.refresh()
        if self._ours(instance):
            assert self._fleet is not None
            self._fleet.start(instance.id, self._seed(instance))

    def _stopped(self, instance: Any, _: Any) -> None:
        if self._ours(instance):
            assert self._fleet is not None
            _enter(instance, "stopping", 64)
            self._fleet.stop(instance.id, lambda: self._settle(instance, "stopping"))

    def _terminated(self, instance: Any, _: Any) -> None:
        if self._ours(instance):
            assert self._fleet is not None
            _enter(instance, "shutting-down", 32)
            self._fleet.terminate(instance.id, lambda: self._settle(instance, "shutting-down"))

    def _rebooted(self, instance: Any, _: Any) -> None:
        if self._ours(instance):
            assert self._fleet is not None
            self._fleet.reboot(instance.id, self._seed(instance))

    def _settle(self, instance: Any, pending: str) -> None:
        if instance.state != pending:
            return  # something else was ordered in the meantime
        if pending == "shutting-down":  # moto would keep the address for ever
            subnet = self._backend.get_subnet(instance.subnet_id)
            subnet.del_subnet_ip(instance.private_ip)
        _enter(instance, *PENDING_STATES[pending])
        self.refresh()

    def _ours(self, instance: Any) -> bool:
        return instance.ec2_backend is self._backend

    def _seed(self, instance: Any) -> Seed:
        pair = self._backend.key_pairs.get(instance.key_name)
        return Seed(
            hostname=instance.private_dns_name.split(".")[0],
            public_keys=(pair.public_key.strip(),) if pair else (),
            user_data=base64.b64decode(str(instance.user_data or "")),
        )


def _guarded(instance: Any, instances: list[Any]) -> Guarded:
    groups = instance.nics[0].group_set
    return Guarded(
        address=instance.private_ip,
        public=instance.public_ip,
        ingress=tuple(_rule(rule, instances) for g in groups for rule in g.ingress_rules),
        egress=tuple(_rule(rule, instances) for g in groups for rule in g.egress_rules),
    )


def _rule(rule: Any, instances: list[Any]) -> Rule:
    group = rule.source_group.get("GroupId")
    members = tuple(
        instance.private_ip
        for instance in instances
        if any(g.id == group for g in instance.nics[0].group_set)
    )
    peers = (rule.cidr_ipv4,) if rule.cidr_ipv4 else members
    return Rule(rule.ip_protocol, rule.from_port, rule.to_port, peers)


def _name(instance: Any) -> str | None:
    return next((tag["value"] for tag in instance.get_tags() if tag["key"] == "Name"), None)


def _enter(instance: Any, state: str, code: int) -> None:
    instance._state.name, instance._state.code = state, code


def _before(owner: Any, method: str, act: Callable[[Any, dict[str, Any]], None]) -> None:
    original = getattr(owner, method)

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        act(self, kwargs)
        return original(self, *args, **kwargs)

    setattr(owner, method, wrapped)


def _after(owner: Any, method: str, act: Callable[[Any, Any], None]) -> None:
    original = getattr(owner, method)

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        act(self, result)
        return result

    setattr(owner, method, wrapped)
