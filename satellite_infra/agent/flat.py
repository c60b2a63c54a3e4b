"""Flat text, `key: value` a line: what a reviewer reads in a diff that shows two lines of context."""

from __future__ import annotations

import json
from typing import Dict, Iterable, List, Tuple, Union

Value = Union[str, int]
END = "end: manifest"


def dump(pairs: Iterable[Tuple[str, Value]]) -> str:
    """One line for each pair, then the end line; a value that is not plain text on one line is JSON."""
    return "".join(f"{key}: {_encode(value)}\n" for key, value in pairs) + END + "\n"


def load(text: str) -> Dict[str, str]:
    """The pairs of a dumped text, values as text; ValueError names the line that cannot be read."""
    pairs: Dict[str, str] = {}
    # not splitlines(): it also splits at characters that a value may hold
    for number, line in enumerate(text.split("\n"), 1):
        if line == END:
            return pairs
        key, colon, value = line.partition(": ")
        if not colon or key in pairs:
            raise ValueError(f"line {number}: should be a new `key: value`, got {line!r}")
        pairs[key] = _decode(value)
    raise ValueError(f"the text ends without its last line, `{END}`")


def items(pairs: Dict[str, str], prefix: str) -> List[str]:
    """The values of `prefix.1`, `prefix.2`, ... in their order."""
    found: List[str] = []
    while f"{prefix}.{len(found) + 1}" in pairs:
        found.append(pairs[f"{prefix}.{len(found) + 1}"])
    return found


def numbered(prefix: str, values: Iterable[str]) -> List[Tuple[str, Value]]:
    """The pairs that `items` reads back."""
    return [(f"{prefix}.{n}", value) for n, value in enumerate(values, 1)]


def _encode(value: Value) -> str:
    text = str(value)
    plain = text and text == text.strip() and text.isprintable() and not text.startswith('"')
    return text if plain else json.dumps(text, ensure_ascii=True)


def _decode(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text
