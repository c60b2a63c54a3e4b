"""A host's identity is OpenSSH's own, and never changes by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from satellite_infra.host_identity import derived, host_identity
from satellite_infra.key_text import fingerprint
from satellite_infra.keys import private_key_problem, public_line

from .conftest import SEED


def test_the_private_half_is_what_openssh_reads(tmp_path: Path) -> None:
    identity = host_identity(SEED, "worker-1")
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(identity.private)
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == identity.public
    assert private_key_problem(identity.private) is None
    assert public_line(identity.private) == identity.public


def test_the_fingerprint_is_what_openssh_prints(tmp_path: Path) -> None:
    identity = host_identity(SEED, "worker-1")
    path = tmp_path / "key.pub"
    path.write_text(identity.public + "\n")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[1] == fingerprint(identity.public)


def test_it_depends_on_seed_and_name_alone() -> None:
    first = host_identity(SEED, "worker-1")
    # written down: another value here would lock every deployer out of every running host
    assert first.public == (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKy0DbMsqxgxmXEz5CBHWjGGRQmRRPyRBuqDYDpvc4Er"
    )
    assert host_identity(SEED, "worker-1") == first
    others = {host_identity(SEED, "worker-2").public, host_identity(SEED + "!", "worker-1").public}
    assert len({first.public, *others}) == 3
    assert derived(SEED, "digests") != derived(SEED, "host key of worker-1")


def test_user_data_is_a_cloud_config_with_this_key_and_nothing_else() -> None:
    identity = host_identity(SEED, "worker-1")
    text = identity.user_data()
    assert text.splitlines()[0] == "#cloud-config"
    assert yaml.safe_load(text) == {
        "ssh_keys": {"ed25519_private": identity.private, "ed25519_public": identity.public}
    }


def test_no_private_half_in_a_repr() -> None:
    identity = host_identity(SEED, "worker-1")
    assert repr(identity) == f"HostIdentity(public={identity.public!r})"
