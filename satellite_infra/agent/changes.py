"""What a release changes of what ran before, for the history: names and counts, nothing secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import flat
from .release_manifest import ReleaseManifest

APART = ("config.", "processes.")
"""Told by their own rules; digests of config vars can differ where values do not."""
ASIDE = ("host", "revision")
COMMIT = "commit"
"""Said of a release of another commit, and of the first one."""


Told = tuple[ReleaseManifest, Mapping[str, str]]
"""What a host shall run, and the values of its config vars."""


def between(before: Told, after: Told) -> list[str]:
    """In the order of what people look for: `commit`, `worker 2 -> 4`, `config A, B`, `build`."""
    sides = (before[0], after[0])
    found = [COMMIT] if before[0].revision != after[0].revision else []
    old, new = ({process.type: process for process in side.processes} for side in sides)
    for type_ in {**old, **new}:
        was, shall = (of[type_].quantity if type_ in of else 0 for of in (old, new))
        found += [f"{type_} {was} -> {shall}"] if was != shall else []
    names = _differ(before[1], after[1])
    found += [f"config {', '.join(names)}"] if names else []
    for type_ in old.keys() & new.keys():
        found += _differ(*(dict(of[type_]._replace(quantity=0).pairs()) for of in (old, new)))
    keys = _differ(*(flat.load(side.text()) for side in sides))
    return found + list(dict.fromkeys(_setting(key) for key in keys if _other(key)))


def told(event: Mapping[str, Any]) -> str:
    """What the history keeps of that, as people read it: a commit by its first line, too."""
    subject = event.get("subject")
    words = event.get("changed", ())
    return "; ".join(f"{w}: {subject}" if subject and w == COMMIT else w for w in words)


def _differ(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return sorted(key for key in {**old, **new} if old.get(key) != new.get(key))


def _other(key: str) -> bool:
    return key not in ASIDE and not key.startswith(APART)


def _setting(key: str) -> str:
    """What a line of the manifest belongs to: `build` of `build.2`, a file of its mode."""
    file = re.fullmatch(r"(config_files\..+)\.(mode|owner|template)", key)
    return file[1] if file else re.sub(r"\.[0-9]+$", "", key)
