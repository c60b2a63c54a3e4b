"""SHA-256 by Python's own code: `hashlib` loads OpenSSL, which takes as long as Python itself.

Each start and each end of a worker would wait for that. As `random` of the standard library does.
"""

from __future__ import annotations

import contextlib


def hexdigest(content: bytes) -> str:
    """64 hex digits."""
    for module in ("_sha256", "_sha2"):  # until Python 3.11, and since
        with contextlib.suppress(ImportError):
            return str(__import__(module).sha256(content).hexdigest())
    import hashlib  # a Python without either

    return hashlib.sha256(content).hexdigest()
