"""A stack's settings as they stand in its file, before Pulumi makes values of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

WHOLE = r"0|-?[1-9]\d{0,17}"
"""A number that Pulumi reads, and writes again, as it was: of 64 bits."""
KINDS = {
    "bool": "true|True|TRUE|false|False|FALSE",
    "null": "|~|null|Null|NULL",
    "merge": "<<",
    "int": WHOLE,
}
"""What may stand without quotes, and is no text."""
RESOLVERS = {None: [(f"tag:yaml.org,2002:{k}", re.compile(f"({v})$")) for k, v in KINDS.items()]}


class Loader(yaml.SafeLoader):
    """Reads it as Pulumi does, to whom `on` and `yes` are words."""

    yaml_implicit_resolvers = RESOLVERS


def file_of(stack: str) -> Path | None:
    """The stack's file in the project that the current folder belongs to; None without either."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file():
            file = folder / f"Pulumi.{stack}.yaml"
            return file if file.is_file() else None
    return None


def values(file: Path) -> dict[str, Any]:
    """All that the file sets, by full names; what is encrypted as the map that stands there."""
    found = yaml.load(file.read_text("utf-8"), Loader) or {}
    return dict(found.get("config") or {})
