"""What is wrong with a stack's settings, as lines that a person can act on: path, rule, value."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

CONFIG_VAR = re.compile("[A-Z][A-Z0-9_]*")
"""How one looks, and none of our settings."""
RULES = {
    "missing": "is missing",
    "greater_than_equal": "should be at least {ge}",
    "less_than_equal": "should be at most {le}",
    "multiple_of": "should be a multiple of {multiple_of}",
    "string_type": "should be text",
    "string_unicode": "should be valid Unicode text",
    "dict_type": "should be a map",
    "model_type": "should be a map",
    "tuple_type": "should be a list",
    "literal_error": "should be {expected}",
}


def line(place: Iterable[str | int], rule: str, *got: Any) -> str:
    """`satellite:path/inside: rule, got value`; without `got` no value is shown."""
    shown = f", got {_shown(got[0])}" if got else ""
    parts = [p if (p := str(part)).isprintable() else json.dumps(p) for part in place]
    return f"satellite:{'/'.join(parts)}: {rule}{shown}"


def lines(model: type[BaseModel], error: ValidationError, hidden: frozenset[str]) -> Iterator[str]:
    """One line for each of the model's complaints; values below the `hidden` keys stay unseen."""
    for e in error.errors(include_url=False):
        place = [part for part in e["loc"] if part != "[key]"]
        context = e.get("ctx", {})
        if e["type"] == "extra_forbidden":
            yield line(place, "unknown key" + _meant(model, place))
        elif "[key]" in e["loc"] or e["type"] == "missing":
            yield line(place, _rule(e, context))
        elif place[0] in hidden or context.get("hide"):
            yield line(place, _rule(e, context)) + ", got [secret]"
        else:
            yield line(place, _rule(e, context), e["input"])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean ...?`, or nothing when no known word is near."""
    return like(word.lower().replace("-", "_"), known)


def like(word: str, known: Iterable[str]) -> str:
    """The same, of words in which case matters."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _meant(model: type[BaseModel], place: list[Any]) -> str:
    """What an unknown key may have been meant to be."""
    name = str(place[-1])
    whole, *rest = re.split(r"[.[]", name, maxsplit=1)
    if len(place) == 1 and rest and _has_parts(model, whole):
        way = f"pulumi config set --path 'satellite:{name}'"
        if whole == "config":  # which that would leave in the open
            way = "satellite config set " + re.sub(r"\W", "", rest[0])
        return (
            f"; a part of another one is set by {way}, and this one taken away by "
            f"pulumi config rm 'satellite:{name}'"
        )
    if near := did_you_mean(name, _keys_at(model, place[:-1])):
        return near
    if len(place) == 1 and CONFIG_VAR.fullmatch(name):
        return (
            f"; a config var of the app: satellite config set {name}, which encrypts it, and take "
            f"this one away: pulumi config rm satellite:{name}"
        )
    return ""


def _has_parts(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    kinds = (get_origin(field.annotation), *get_args(field.annotation)) if field else ()
    return any(kind in (dict, tuple) or hasattr(kind, "model_fields") for kind in kinds)


def _rule(error: Any, context: dict[str, Any]) -> str:
    template = RULES.get(error["type"])
    rule = template.format(**context) if template else str(error["msg"])
    quote = error["type"] == "string_type" and isinstance(error["input"], int | float)
    if error["type"] == "literal_error":
        rule = rule.replace("'", "")
    return rule + (": write it in quotes" if quote else "")


def _shown(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w./:@+-]{1,60}", value):
        return value
    text = json.dumps(value, ensure_ascii=not str(value).isprintable(), default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_at(model: Any, place: list[Any]) -> list[str]:
    """The keys that the model knows below a path of names, map keys and list indexes."""
    for part in place:
        fields = getattr(model, "model_fields", {})
        model = fields[part].annotation if part in fields else _inner(model)
        if NoneType in get_args(model):  # a part that may be left out
            model = _inner(model)
    return list(model.model_fields)


def _inner(annotation: Any) -> Any:
    """What a list or map holds, or what may be left out."""
    return [a for a in get_args(annotation) if a not in (..., NoneType)][-1]
