"""Flat text, `key: value` a line: readable in a diff that shows two lines of context."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Union

Value = Union[str, int]
END = "end: manifest"


def dump(pairs: Iterable[tuple[str, Value]]) -> str:
    """One line for each pair, then the end line; a value that is no plain line is JSON."""
    return "".join(f"{key}: {_encode(value)}\n" for key, value in pairs) + END + "\n"


def load(text: str) -> dict[str, str]:
    """The pairs of a dumped text, values as text; ValueError names the line that cannot be read."""
    pairs: dict[str, str] = {}
    # not splitlines(): it also splits at characters that a value may hold
    for number, line in enumerate(text.split("\n"), 1):
        if line == END:
            return pairs
        key, colon, value = line.partition(": ")
        if not colon or key in pairs:
            raise ValueError(f"line {number}: should be a new `key: value`, got {line!r}")
        pairs[key] = _decode(value)
    raise ValueError(f"the text ends without its last line, `{END}`")


def digests(pairs: Mapping[str, str]) -> dict[str, str]:
    """A digest of each value, by its key: two texts can be compared, and neither is told."""
    import hashlib  # slow to load, and not at every start of the agent

    return {
        key: hashlib.sha256(f"{key}\0{value}".encode()).hexdigest()[:16]
        for key, value in pairs.items()
    }


def items(pairs: dict[str, str], prefix: str) -> list[str]:
    """The values of `prefix.1`, `prefix.2`, ... in their order."""
    found: list[str] = []
    while f"{prefix}.{len(found) + 1}" in pairs:
        found.append(pairs[f"{prefix}.{len(found) + 1}"])
    return found


def numbered(prefix: str, values: Iterable[str]) -> list[tuple[str, Value]]:
    """The pairs that `items` reads back."""
    return [(f"{prefix}.{n}", value) for n, value in enumerate(values, 1)]


def _encode(value: Value) -> str:
    text = str(value)
    plain = text and text == text.strip() and text.isprintable() and not text.startswith('"')
    return text if plain else json.dumps(text, ensure_ascii=True)


def _decode(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text
