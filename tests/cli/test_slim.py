"""Pulumi's AWS types are the same ones, whichever way they were loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from satellite_cli.inline import AWS, SERVICES, USED

CHECKOUT = Path(__file__).parents[2]
PROGRAM = "".join(path.read_text() for path in (CHECKOUT / "satellite_infra").glob("*.py"))


def python(program: str) -> list[str]:
    """What a process of its own prints, in words."""
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def loaded(service: str) -> str:
    """A program's expression: how many of a service's modules are loaded."""
    return f"sum(name.startswith('{AWS}.{service}.') for name in sys.modules)"


def names(service: str) -> set[str]:
    """What the program uses of a service."""
    return set(re.findall(rf"\b{service}\.([A-Za-z_]+)\(", PROGRAM))


def test_what_the_program_uses_is_found_without_all_the_rest() -> None:
    for service in SERVICES:
        assert names(service)
        many, *modules = python(f"""\
import sys
from satellite_cli.slim import slim
slim("{AWS}.{service}")
from {AWS} import {service}
found = [getattr({service}, name) for name in {sorted(names(service))}]
print({loaded(service)}, *[f"{{one.__module__}}:{{one.__name__}}" for one in found])
""")
        # arguments, outputs and enums of the whole service, and a module for each name
        assert int(many) <= len(names(service)) + 3
        assert {module.rpartition(":")[2] for module in modules} == names(service)


def test_what_is_loaded_beforehand_is_used() -> None:
    for service, name in USED.items():
        assert name in names(service)


def test_all_of_it_is_there_for_whoever_asks() -> None:
    few, *rest = python(f"""\
import sys
from satellite_cli.slim import slim
slim("{AWS}.ec2")
import {AWS} as aws
from {AWS} import ec2
before = ec2.Instance, ec2.get_ami, ec2.InstanceRootBlockDeviceArgs
print({loaded("ec2")})
print(ec2.InstanceType.__name__, ec2.outputs.__name__, ec2.vpc.__name__)  # an enum; modules
print(len(ec2.__all__) if hasattr(ec2, "__all__") else {loaded("ec2")} > 100)
print(before == (ec2.Instance, ec2.get_ami, ec2.InstanceRootBlockDeviceArgs), aws.ec2 is ec2)
from {AWS}.ec2 import *
print(get_ami.__module__, hasattr(ec2, "Nonsense"))
""")
    assert int(few) < 8
    assert rest == [
        *("InstanceType", f"{AWS}.ec2.outputs", f"{AWS}.ec2.vpc", "True", "True", "True"),
        *(f"{AWS}.ec2.get_ami", "False"),
    ]


def test_what_is_loaded_already_stays_what_it_is() -> None:
    same, again = python(f"""\
import sys
from {AWS} import ec2
from satellite_cli.slim import slim
instance = ec2.Instance
slim("{AWS}.ec2")
print(sys.modules["{AWS}.ec2"] is ec2)
from {AWS}.ec2 import Instance
print(Instance is instance)
""")
    assert (same, again) == ("True", "True")
