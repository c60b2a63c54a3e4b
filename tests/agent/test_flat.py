"""Flat text survives any value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satellite_infra.agent import flat

KEYS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)


@given(st.dictionaries(KEYS, st.text()))
def test_any_text_comes_back(pairs: dict[str, str]) -> None:
    assert flat.load(flat.dump(pairs.items())) == pairs


def test_plain_values_are_written_as_they_are() -> None:
    pairs: list[tuple[str, flat.Value]] = [
        ("quantity", 5),
        ("command", 'echo "a b"'),
        ("empty", ""),
        ("two", "a\nb"),
    ]
    assert flat.dump(pairs) == (
        'quantity: 5\ncommand: echo "a b"\nempty: ""\ntwo: "a\\nb"\nend: manifest\n'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "line 2: should be a new `key: value`, got ''"),
        ("a: 1", "the text ends without its last line, `end: manifest`"),
        ("a: 1\na: 2\nend: manifest\n", "line 2: should be a new `key: value`, got 'a: 2'"),
        ("nonsense\nend: manifest\n", "line 1: should be a new `key: value`, got 'nonsense'"),
    ],
)
def test_a_text_that_cannot_be_read_says_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(") + "$"):
        flat.load(text)
