"""The engine's encoding of property values (secrets, the unknown), and their diff."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from google.protobuf import json_format, struct_pb2

# A property value is JSON data; special values are objects that say their kind under SIGNATURE.
Properties = dict[str, Any]
Kind = Literal["ADD", "UPDATE", "DELETE"]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # known only after the update; previews carry it


def unpack(struct: struct_pb2.Struct) -> Properties:
    """A Struct as plain Python: secrets stay wrapped, whole numbers become ints."""
    unpacked: Properties = _with_ints(json_format.MessageToDict(struct))
    return unpacked


def _with_ints(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ints(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def pack(properties: Properties) -> struct_pb2.Struct:
    """The opposite of unpack; properties that are None are left out."""
    present = {key: value for key, value in properties.items() if value is not None}
    return json_format.ParseDict(present, struct_pb2.Struct())


def secret(value: Any) -> Any:
    """The value as a secret; what is not known yet stays as it is."""
    if value == UNKNOWN or is_secret(value):
        return value
    return {SIGNATURE: SECRET, "value": value}


def is_secret(value: Any) -> bool:
    """Whether the value itself is a secret; one that merely holds secrets is not."""
    return isinstance(value, dict) and value.get(SIGNATURE) == SECRET


def plain(value: Any) -> Any:
    """The value with every secret's wrapper taken off."""
    if is_secret(value):
        return plain(value["value"])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def unknown(value: Any) -> bool:
    """Whether the value, or anything in it, is known only after the update."""
    if isinstance(value, dict):
        return any(map(unknown, value.values()))
    return any(map(unknown, value)) if isinstance(value, list) else bool(value == UNKNOWN)


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield (path, kind) of each leaf that differs, e.g. ("tags.Name", "ADD").

    A secret is one leaf, whatever is in it: a path that went on would show what is inside.
    """
    if is_secret(old) or is_secret(new):
        if plain(old) != plain(new):
            yield path, "UPDATE"
    elif _is_map(old) and _is_map(new):
        for key in sorted(old.keys() | new.keys()):
            yield from _member(old, new, key, f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list):
        by_index = dict(enumerate(old)), dict(enumerate(new))
        for index in range(max(len(old), len(new))):
            yield from _member(*by_index, index, f"{path}[{index}]")
    elif old != new:
        yield path, "UPDATE"


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and SIGNATURE not in value


def _member(
    old: dict[Any, Any], new: dict[Any, Any], key: Any, path: str
) -> Iterator[tuple[str, Kind]]:
    if key not in old:
        yield path, "ADD"
    elif key not in new:
        yield path, "DELETE"
    else:
        yield from differences(old[key], new[key], path)


def root(path: str) -> str:
    """The top-level property of a path: `tags` of `tags.Name`."""
    return path.split(".")[0].split("[")[0]
