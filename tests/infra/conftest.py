"""Stack settings that are right, as the engine hands them to a program: every value is text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from satellite_infra import host_identity, keys

SEED = "a seed of at least thirty-two characters"
# any OpenSSH key will do; this one is made without a subprocess
LOGIN = host_identity.host_identity("the tests' own login key, not a host key", "login").private
LOGIN_PUBLIC = keys.public_line(LOGIN) + " team@example.com"
REVISION = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233"
SECRET = frozenset({"private_key", "host_key_seed", "deploy_key", "config"})


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
        "ssh_cidrs": json.dumps(["203.0.113.0/24"]),
        "processes": json.dumps({"worker": {"quantity": 2}}),
        "config": json.dumps({"DATABASE_URL": "postgresql://app:canary@db/app"}),
    }


@pytest.fixture
def values() -> dict[str, Any]:
    return stack_values()


def another_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()
