"""SSH keys as text, for those that need nothing of the mathematics in them: standard library."""

from __future__ import annotations

import base64
import binascii
import hashlib


def normal(private_key: str) -> str:
    """The key as every reader wants it: Unix line ends, one at the end."""
    return "\n".join(line.rstrip() for line in private_key.strip().splitlines()) + "\n"


def fingerprint(line: str) -> str:
    """`SHA256:...` of a public line, as ssh-keygen -l prints it; ValueError when it is no key."""
    try:
        blob = base64.b64decode(line.split()[1], validate=True)
    except (IndexError, binascii.Error):
        raise ValueError("should be TYPE KEY") from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
