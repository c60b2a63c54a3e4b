"""Stack settings that are right, as the engine hands them to a program: every value is text."""

from __future__ import annotations

import importlib
import json
import warnings
from typing import Any

from satellite_infra import host_identity, keys
from satellite_infra.settings import ENCRYPTED, MAY_BE_ENCRYPTED

with warnings.catch_warnings():
    # both SDKs warn of their own deprecated parts when they are imported, whoever uses them
    warnings.simplefilter("ignore", DeprecationWarning)
    for module in (
        "pulumi_aws.cloudwatch",
        "pulumi_aws.ec2",
        "pulumi_aws.iam",
        "pulumi_aws.sns",
        "pulumi_aws.vpc",
        "pulumi_command.local",
        "pulumi_command.remote",
    ):
        getattr(importlib.import_module(module), "__all__", None)  # they load when they are used

SEED = "a seed of at least thirty-two characters"
# any OpenSSH key will do; this one is made without a subprocess
LOGIN = host_identity.host_identity("the tests' own login key, not a host key", "login").private
LOGIN_PUBLIC = keys.public_line(LOGIN) + " team@example.com"
REVISION = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233"
ARMOURED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\ncanary\n-----END PGP PUBLIC KEY BLOCK-----\n"
SECRET = ENCRYPTED | MAY_BE_ENCRYPTED


def stack_values() -> dict[str, Any]:
    """Two EC2 hosts that run an app of one process type."""
    return {
        "app": "shop",
        "environment": "staging",
        "repository": "https://git.example.com/shop.git",
        "revision": REVISION,
        "public_key": LOGIN_PUBLIC,
        "private_key": LOGIN,
        "host_key_seed": SEED,
        "count": "2",
        "ami": "ami-0123456789abcdef0",
        "connect": "private",
        "vpc_id": "vpc-0123456789abcdef0",
        "subnet_ids": json.dumps(["subnet-0123456789abcdef0"]),
        "ssh_cidrs": json.dumps(["203.0.113.0/24"]),
        "processes": json.dumps({"worker": {"quantity": 2}}),
        "config": json.dumps({"DATABASE_URL": "postgresql://app:canary@db/app"}),
    }
