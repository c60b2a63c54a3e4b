"""A private key that is accepted is one that this computer's own ssh reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from satellite_infra import keys
from satellite_infra.key_agent import KeyAgentError, agent_with

OWN = keys.new_private_key()
LINES = OWN.splitlines()
PKCS8, PKCS1 = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
RSA = rsa.generate_private_key(65537, 2048)


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey,
    form: PrivateFormat,
) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def read_by_ssh(text: str, folder: Path) -> bool:
    try:
        with agent_with(text, folder, "it"):
            return True
    except KeyAgentError:
        return False


@pytest.mark.parametrize(
    "text",
    [
        OWN,
        OWN.replace("\n", "\r\n").strip(),
        f"{OWN}and more",
        "\n".join([LINES[0], "".join(LINES[1:-1]), LINES[-1]]),
        pem(RSA, PKCS8),
        pem(RSA, PKCS1),
        pem(RSA, PrivateFormat.OpenSSH),
        f"Bag Attributes\n{pem(RSA, PKCS8)}",
        pem(ec.generate_private_key(ec.SECP256R1()), PKCS8),
    ],
)
def test_what_ssh_reads_is_right(text: str, tmp_path: Path) -> None:
    assert keys.private_key_problem(text) is None
    assert read_by_ssh(text, tmp_path)


FILE = "should have the lines of its file"
KIND = "should be a key of a kind that ssh has"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ".join(LINES), FILE),
        (f"\ufeff{OWN}", FILE),
        (f"Comment: mine\n{OWN}", FILE),
        ("\n".join(f"  {line}" for line in LINES), FILE),
        (" ".join(pem(RSA, PKCS1).splitlines()), FILE),
        (pem(x25519.X25519PrivateKey.generate(), PKCS8), KIND),
        (pem(ec.generate_private_key(ec.SECP256K1()), PKCS8), KIND),
    ],
)
def test_what_ssh_does_not_read_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    found = keys.private_key_problem(text)
    assert found
    assert found.startswith(problem)
    assert not read_by_ssh(text, tmp_path)


def test_an_ed25519_key_is_in_openssh_s_own_form() -> None:
    """Some ssh reads PKCS #8 of it, too."""
    found = keys.private_key_problem(keys.short(OWN))
    assert found
    assert found.startswith("should begin with -----BEGIN OPENSSH PRIVATE KEY-----, as ssh-keygen")
