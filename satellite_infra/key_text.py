"""A private key as text, for those that need nothing of what is in it."""

from __future__ import annotations


def normal(private_key: str) -> str:
    """The key as every reader wants it: Unix line ends, one at the end."""
    return "\n".join(line.rstrip() for line in private_key.strip().splitlines()) + "\n"
