"""Keep config values out of logs and messages, whatever a build prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from . import urls

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


def secrets(config: Mapping[str, str], environment: str) -> dict[str, str]:
    """The config vars without those that say the environment's name, which units and texts bear."""
    return {name: value for name, value in config.items() if value != environment}


def _spellings(value: str) -> Iterable[str]:
    parts = {value, *(line.strip() for line in value.splitlines())}  # a log is read line by line
    parts |= urls.passwords(value)
    found = {spelling for part in parts for spelling in _escaped(part)}
    return [text for text in found if len(text) >= SHORTEST]


def _escaped(text: str) -> Iterable[str]:
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    return (
        *(text, quote(text, safe=""), repr(text)[1:-1]),
        *(json.dumps(text)[1:-1], inner, re.sub(r"#(?=[{$@])", r"\\#", inner)),  # JSON, Ruby
        *(
            text.replace("'", q) for q in ("'\\''", "'\"'\"'")
        ),  # `set -x` and `export -p` of a shell
        re.sub(r'([\\"$`])', r"\\\1", text),
    )
