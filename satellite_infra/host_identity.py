"""Each EC2 host's own SSH host key, derived from one secret seed and the host's name."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KIND = b"ssh-ed25519"


@dataclass(frozen=True)
class HostIdentity:
    """An ed25519 host key: the private half as an OpenSSH file, the public half as `TYPE KEY`."""

    private: str = field(repr=False)
    public: str

    def user_data(self) -> str:
        """The cloud-config that installs this key, and no other, before sshd first answers."""
        keys = {"ed25519_private": self.private, "ed25519_public": self.public}
        return "#cloud-config\n" + json.dumps({"ssh_keys": keys}, indent=2) + "\n"  # JSON is YAML


def host_identity(seed: str, name: str) -> HostIdentity:
    """The identity of the host of that name; the same text at every call and on every machine."""
    secret = derived(seed, f"host key of {name}")
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    blob = _strings(KIND, raw)
    line = f"{KIND.decode()} {base64.b64encode(blob).decode()}"
    return HostIdentity(private=_openssh(blob, raw, secret), public=line)


def derived(seed: str, purpose: str) -> bytes:
    """32 secret bytes that belong to the purpose alone."""
    return HKDF(SHA256(), length=32, salt=b"satellite", info=purpose.encode()).derive(seed.encode())


def _openssh(blob: bytes, public: bytes, secret: bytes) -> str:
    """The file that ssh-keygen would write; its two check numbers are random there, zero here."""
    inner = struct.pack(">II", 0, 0) + _strings(KIND, public, secret + public, b"")
    inner += bytes(range(1, 1 + -len(inner) % 8))
    outer = b"openssh-key-v1\0" + _strings(b"none", b"none", b"")
    outer += struct.pack(">I", 1) + _strings(blob, inner)
    text = base64.b64encode(outer).decode()
    lines = [text[i : i + 70] for i in range(0, len(text), 70)]
    marks = ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----")
    return "\n".join([marks[0], *lines, marks[1], ""])


def _strings(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
