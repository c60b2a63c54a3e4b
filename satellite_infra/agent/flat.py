"""Flat text, `key: value` a line: readable in a diff that shows two lines of context."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from . import sha256

if TYPE_CHECKING:
    from typing import Union

    Value = Union[str, int]
END = "end: manifest"
FORMAT = 1


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


def head(kind: str) -> tuple[str, Value]:
    """The first pair of a manifest of that kind."""
    return "manifest", f"{kind} {FORMAT}"


def read(text: str, kind: str) -> dict[str, str]:
    """The pairs of a manifest of that kind; ValueError says what is wrong."""
    pairs = _Required(load(text))
    key, wanted = head(kind)
    if pairs[key] != wanted:
        raise ValueError(
            f"{key}: should be `{wanted}`, got `{pairs[key]}`; "
            "this host's agent is of another version: bootstrap it again"
        )
    return pairs


def digests(pairs: Mapping[str, str]) -> dict[str, str]:
    """A digest of each value, by its key: two texts can be compared, and neither is told."""
    return {key: sha256.hexdigest(f"{key}\0{value}".encode())[:16] for key, value in pairs.items()}


def items(pairs: dict[str, str], prefix: str) -> list[str]:
    """The values of `prefix.1`, `prefix.2`, ... in their order."""
    found: list[str] = []
    while f"{prefix}.{len(found) + 1}" in pairs:
        found.append(pairs[f"{prefix}.{len(found) + 1}"])
    return found


def names(pairs: Iterable[str], prefix: str) -> list[str]:
    """Each NAME of `prefix.NAME.KEY` once, in their order."""
    begin = prefix + "."
    rests = (key[len(begin) :] for key in pairs if key.startswith(begin))
    return list(dict.fromkeys(rest.partition(".")[0] for rest in rests))


def numbered(prefix: str, values: Iterable[str]) -> list[tuple[str, Value]]:
    """The pairs that `items` reads back."""
    return [(f"{prefix}.{n}", value) for n, value in enumerate(values, 1)]


class _Required(dict[str, str]):
    """A dictionary whose missing key is the reader's error, not a traceback."""

    def __missing__(self, key: str) -> str:
        raise ValueError(f"{key}: is missing")


def _encode(value: Value) -> str:
    text = str(value)
    plain = text and text == text.strip() and text.isprintable() and not text.startswith('"')
    return text if plain else json.dumps(text, ensure_ascii=True)


def _decode(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text
