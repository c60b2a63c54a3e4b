"""The agent's own files as they are on a host, and what tells one agent from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from .layout import Layout


def installed(layout: Layout) -> str | None:
    """The digest by which the agent was installed."""
    link = layout.agent.parent / "current"
    return link.readlink().name if link.is_symlink() else None


def contents(directory: Path) -> dict[str, bytes]:
    """The files of an installed agent, in the order of its archive."""
    names = sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".complete"
    )
    return {name: (directory / name).read_bytes() for name in names}


def digest(files: Mapping[str, bytes]) -> str:
    """16 hex digits over names and contents."""
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]
