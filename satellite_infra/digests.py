"""Digests that may be shown: without the stack's seed nobody can test a guess against them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from satellite_infra.host_identity import derived


@dataclass(frozen=True)
class Digests:
    """Makes 16 hex digits of a named secret; the same value under two names looks different."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, seed: str) -> Digests:
        """The digests of a stack, keyed by its host-key seed."""
        return cls(derived(seed, "digests"))

    def one(self, name: str, value: str) -> str:
        """The digest of one value."""
        return hmac.new(self.key, f"{name}\0{value}".encode(), hashlib.sha256).hexdigest()[:16]

    def each(self, values: Mapping[str, str]) -> dict[str, str]:
        """The digest of each value, by name."""
        return {name: self.one(name, value) for name, value in sorted(values.items())}
