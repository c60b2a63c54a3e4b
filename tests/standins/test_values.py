"""The engine's value encoding and its diff."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.standins.values import (
    SIGNATURE,
    UNKNOWN,
    differences,
    pack,
    plain,
    root,
    secret,
    unknown,
    unpack,
)

leaves = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | inner.map(secret)
    ),
    max_leaves=10,
)
properties = st.dictionaries(st.text(min_size=1, max_size=3), values, max_size=4)


@given(properties)
def test_what_is_packed_comes_back_without_what_is_none(given: dict[str, Any]) -> None:
    assert unpack(pack(given)) == {k: v for k, v in given.items() if v is not None}


@given(properties)
def test_nothing_differs_from_itself(given: dict[str, Any]) -> None:
    assert list(differences(given, given)) == []


@given(properties)
def test_no_secret_is_left_in_plain(given: dict[str, Any]) -> None:
    assert SIGNATURE not in repr(plain(given))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("a", "UPDATE")]),
        ({"a": 1}, {"b": 1}, [("a", "DELETE"), ("b", "ADD")]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, [("a.b.c", "UPDATE")]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("a[1]", "UPDATE"), ("a[2]", "ADD")]),
        ({"a": [1, 2]}, {"a": [1]}, [("a[1]", "DELETE")]),
        ({"a": [1]}, {"a": {"b": 1}}, [("a", "UPDATE")]),
        ({"a": secret({"b": 1})}, {"a": secret({"b": 2})}, [("a", "UPDATE")]),
        ({"a": secret(1)}, {"a": 1}, []),
        ({"a": 1}, {"a": UNKNOWN}, [("a", "UPDATE")]),
    ],
)
def test_differences_are_leaves_and_a_secret_is_one(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert list(differences(old, new)) == expected


def test_what_is_not_known_is_found_anywhere_and_never_made_secret() -> None:
    assert unknown({"a": [{"b": UNKNOWN}]})
    assert not unknown({"a": [{"b": "known"}]})
    assert secret(UNKNOWN) == UNKNOWN
    assert secret(secret(1)) == secret(1)


def test_the_root_of_a_path() -> None:
    assert [root(path) for path in ("a", "a.b.c", "a[0].b")] == ["a", "a", "a"]
