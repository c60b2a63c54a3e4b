"""Keep config values out of logs and messages, whatever a build prints."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote

from . import urls

SHORTEST = 4  # a shorter value is a part of ordinary words


class Redactor:
    """Replaces every config value, in its usual spellings, by its name in brackets."""

    def __init__(self, config: Mapping[str, str]):
        self._names = {
            spelling: name for name, value in config.items() for spelling in _spellings(value)
        }
        self._alike: dict[str, list[str]] = {}  # by how they begin, the longest first
        for spelling in sorted(self._names, key=len, reverse=True):
            self._alike.setdefault(spelling[:SHORTEST], []).append(spelling)
        # not of all that they are: an expression of a long value takes seconds to compile
        self._begins = re.compile(_any_of(self._alike) or r"(?!)")

    def __call__(self, text: str) -> str:
        """The text without values."""
        shown, done, at = "", 0, 0
        while match := self._begins.search(text, at):
            at = match.start()
            alike = self._alike[match.group()]
            found = next((spelling for spelling in alike if text.startswith(spelling, at)), "")
            if found:
                shown += f"{text[done:at]}[{self._names[found]}]"
                done = at + len(found)
            at = max(done, at + 1)
        return shown + text[done:]


def secrets(config: Mapping[str, str], environment: str) -> dict[str, str]:
    """The config vars without those that say the environment's name, which units and texts bear."""
    return {name: value for name, value in config.items() if value != environment}


def _any_of(texts: Iterable[str]) -> str:
    """An expression for each of them.

    By their first characters: all in one row would be tried one by one all along a log.
    """
    rests: dict[str, list[str]] = {}
    for text in texts:
        rests.setdefault(text[0], []).append(re.escape(text[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in rests.items())


def _spellings(value: str) -> Iterable[str]:
    parts = {value, *(line.strip() for line in value.splitlines())}  # a log is read line by line
    parts |= urls.passwords(value)
    # a short one has long spellings, such as &amp;
    found = {spelling for part in parts if len(part) >= SHORTEST for spelling in _escaped(part)}
    logins = {unquote(login) for login in urls.logins(value)}
    # such as what Bundler takes for a server of gems
    logins |= {value} if ":" in value and len(value) >= SHORTEST else set()
    # as HTTP's Basic sends it
    found |= {binascii.b2a_base64(login.encode(), newline=False).decode() for login in logins}
    return [text for text in found if len(text) >= SHORTEST]


def _escaped(text: str) -> Iterable[str]:
    return (text, repr(text)[1:-1], *_json(text), *_percent(text), *_html(text), *_shell(text))


def _json(text: str) -> Iterable[str]:
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    for found in (inner, json.dumps(text)[1:-1]):
        yield from (found, found.replace("/", "\\/"))  # PHP
        yield re.sub("[&<>]", lambda sign: f"\\u{ord(sign.group()):04x}", found)  # Rails, Go
    yield re.sub(r"#(?=[{$@])", r"\\#", inner)  # Ruby


def _percent(text: str) -> Iterable[str]:
    # the last is `encode_www_form` of Ruby
    form = quote_plus(text), quote_plus(text, safe="*").replace("~", "%7E")
    for found in (quote(text, safe=""), quote(text), *form):
        yield from (found, re.sub("%..", lambda byte: byte.group().lower(), found))


def _html(text: str) -> Iterable[str]:
    # as `html` does, which loads the names of all signs
    found = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quoted = found.replace('"', "&quot;")
    yield from (found, quoted.replace("'", "&#x27;"), quoted.replace("'", "&#39;"))  # Rails


def _shell(text: str) -> Iterable[str]:
    # `set -x` and `export -p` of a shell
    yield from (text.replace("'", quoted) for quoted in ("'\\''", "'\"'\"'"))
    yield re.sub(r'([\\"$`])', r"\\\1", text)
    # `printf %q` of bash, and Ruby's Shellwords
    yield re.sub(r"""([] \t'"\\|&;()<>!{}*[?^$`,]|^[#~]|(?<=[=:])~)""", r"\\\1", text)
    yield re.sub(r"([^A-Za-z0-9_.,:+/@-])", r"\\\1", text)
