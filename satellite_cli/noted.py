"""What the engine has noted of a stack at its last updates: its resources, and their order."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from satellite_cli.project import engine

Key = tuple[str, str]
"""A resource's type and name."""
Order = Mapping[Key, Collection[Key]]
"""What each resource hung on."""


def resources(stack: str) -> list[dict[str, Any]]:
    """Of the last updates, without secrets in plain text."""
    state = json.loads(engine("stack", "export", "--stack", stack))["deployment"]
    found: list[dict[str, Any]] = state.get("resources") or []
    return found


def order(stack: str) -> Order:
    """Of what is not about to be deleted; a resource hangs on another by any of its inputs."""
    there = [one for one in resources(stack) if not one.get("delete")]
    return {_key(one["urn"]): {_key(urn) for urn in _needs(one)} for one in there}


def _key(urn: str) -> Key:
    return kind(urn), urn.rpartition("::")[2]


def _needs(resource: Mapping[str, Any]) -> Iterator[str]:
    yield from resource.get("dependencies") or ()
    for urns in (resource.get("propertyDependencies") or {}).values():
        yield from urns or ()
    yield from [resource["deletedWith"]] if resource.get("deletedWith") else ()


def kind(urn: str) -> str:
    """A resource's type, without those of its parents."""
    return urn.split("::")[2].rpartition("$")[2] if urn.count("::") >= 3 else ""
