"""SSH keys as text: what is wrong with one, which public key belongs to a private one."""

from __future__ import annotations

import re
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from satellite_infra.key_text import normal

OPENSSH = "BEGIN OPENSSH PRIVATE KEY"
PEM = re.compile(
    r"^-----BEGIN (.*)PRIVATE KEY-----\n(?:.*\n)*?-----END \1PRIVATE KEY-----$", re.MULTILINE
)
OTHER = ": an old ssh reads no other form, and a new `ssh-keygen -p -f FILE` makes this of it"


def new_private_key() -> str:
    """A new ed25519 key as an OpenSSH file without a passphrase, which was never in a file."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def private_key_problem(private_key: str) -> str | None:
    """The rule that this text breaks, or None; never a part of the text.

    Also of what is a key to this program, and none to ssh.
    """
    try:
        key = _load(private_key)
    except (ValueError, UnsupportedAlgorithm):
        return "should be an SSH private key, BEGIN and END lines included"
    except TypeError:
        return "should be a private key without a passphrase"
    own, found = OPENSSH in private_key, PEM.search(normal(private_key))
    if not found or (own and found.start()):
        return (
            "should have the lines of its file, from -----BEGIN to END-----, and nothing before: "
            "pulumi config set --secret KEY < FILE keeps them"
        )
    try:
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except ValueError:
        return "should be a key of a kind that ssh has, ed25519 or RSA"
    if isinstance(key, Ed25519PrivateKey) and not own:
        return f"should begin with -----{OPENSSH}-----, as ssh-keygen writes an ed25519 key{OTHER}"
    return None


def public_key_problem(line: str) -> str | None:
    """The rule that this line breaks, or None."""
    try:
        load_ssh_public_key(bare(line).encode())
    except (ValueError, UnsupportedAlgorithm):
        return "should be a public key as one line: TYPE KEY [COMMENT]"
    return "should be one line" if len(line.strip().splitlines()) > 1 else None


def public_line(private_key: str) -> str:
    """`TYPE KEY` of the public key that belongs to a private one."""
    public = _load(private_key).public_key()
    return str(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def short(private_key: str) -> str:
    """The same key in the shortest form that every SSH client reads: it is kept eight times a host.

    For ed25519 that is PKCS #8 (RFC 8410), 119 bytes instead of 400.
    """
    key = _load(private_key)
    if not isinstance(key, Ed25519PrivateKey):
        return normal(private_key)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return str(pem.decode())


def bare(line: str) -> str:
    """`TYPE KEY` of a public line, without its comment."""
    return " ".join(line.split()[:2])


def same_public(line: str, other: str) -> bool:
    """Whether two lines hold the same key, whatever their comments."""
    return bare(line) == bare(other)


def _load(private_key: str) -> Any:
    data = normal(private_key).encode()
    if OPENSSH.encode() in data:
        return load_ssh_private_key(data, None)
    return load_pem_private_key(data, None)
