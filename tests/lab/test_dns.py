"""The DNS server's answers, byte for byte."""

from __future__ import annotations

import pytest

from lab import dns

ADDRESSES = {"git.lab": "172.31.0.1"}


def query(*labels: bytes, kind: int = 1) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0" + name + kind.to_bytes(2, "big") + b"\0\1"


def answer(asked: bytes) -> bytes:
    return dns.answer(asked, ADDRESSES.get)


def test_known_name() -> None:
    asked = query(b"Git", b"lab")
    assert answer(asked) == (
        b"\x12\x34\x85\x80\0\1\0\1\0\0\0\0"
        + asked[12:]
        + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xac\x1f\0\1"
    )


def test_known_name_has_no_other_records() -> None:
    asked = query(b"git", b"lab", kind=28)
    assert answer(asked) == b"\x12\x34\x85\x80\0\1\0\0\0\0\0\0" + asked[12:]


def test_unknown_name_is_told_at_once() -> None:
    asked = query(b"example", b"com")
    assert answer(asked) == b"\x12\x34\x85\x83\0\1\0\0\0\0\0\0" + asked[12:]


def test_additional_records_of_the_query_are_left_out() -> None:
    asked = query(b"example", b"com")
    assert answer(asked + b"\0\0\x29\x04\xd0\0\0\0\0\0\0") == answer(asked)


@pytest.mark.parametrize(
    "broken", [b"", b"\0" * 12, query(b"x")[:-4], b"\0" * 12 + b"\xc0\x0c\0\1"]
)
def test_malformed(broken: bytes) -> None:
    with pytest.raises(ValueError, match="question"):
        answer(broken)
