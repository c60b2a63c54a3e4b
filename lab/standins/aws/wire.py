"""How the provider's property names and tags are spelt in the AWS API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.standins.values import Properties


def capital(name: str) -> str:
    """`keyName` as the API spells it: `KeyName`."""
    return name[0].upper() + name[1:]


def lower(name: str) -> str:
    """`KeyName` as the provider spells it: `keyName`."""
    return name[0].lower() + name[1:]


def arguments(
    inputs: Properties, names: Iterable[str], renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The named inputs that are set, as boto3's keyword arguments."""
    renamed = renamed or {}
    return {
        renamed.get(name, capital(name)): inputs[name]
        for name in names
        if inputs.get(name) is not None
    }


def tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Tags as the API takes them, in a stable order."""
    return [{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())]


def tag_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as the provider shows them."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def filters(inputs: Properties) -> list[dict[str, Any]]:
    """A function's `filters` and `tags` as the API's filters."""
    named = [{"Name": f["name"], "Values": f["values"]} for f in inputs.get("filters") or []]
    tags = (inputs.get("tags") or {}).items()
    return named + [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags]
