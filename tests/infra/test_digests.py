"""Digests tell that a secret changed, and nothing else."""

from __future__ import annotations

from satellite_infra.digests import Digests

from .conftest import SEED


def test_digests_are_keyed_named_and_short() -> None:
    digests = Digests.of(SEED)
    shown = digests.each({"B": "canary", "A": "canary", "C": ""})
    assert list(shown) == ["A", "B", "C"]
    assert len(set(shown.values())) == 3
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in shown.values())
    assert shown["A"] == Digests.of(SEED).one("A", "canary")
    assert shown["A"] != Digests.of(SEED + "!").one("A", "canary")
    assert repr(digests) == "Digests()"
