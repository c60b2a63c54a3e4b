"""Keep config values out of logs and messages, whatever a build prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

SHORTEST = 4  # a shorter value is a part of ordinary words


class Redactor:
    """Replaces every config value, in its usual spellings, by its name in brackets."""

    def __init__(self, config: Mapping[str, str]):
        names = {spelling: name for name, value in config.items() for spelling in _spellings(value)}
        longest_first = sorted(names, key=len, reverse=True)
        self._names = names
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def __call__(self, text: str) -> str:
        """The text without values."""
        return self._pattern.sub(lambda match: f"[{self._names[match.group()]}]", text)


def _spellings(value: str) -> Iterable[str]:
    found: set[str] = {value, json.dumps(value)[1:-1], quote(value, safe=""), repr(value)[1:-1]}
    found.update(line.strip() for line in value.splitlines())  # a log is read line by line
    return [text for text in found if len(text) >= SHORTEST]
