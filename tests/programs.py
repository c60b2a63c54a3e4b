"""Programs that a test puts where others are looked for."""

from __future__ import annotations

from pathlib import Path


def executable(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    """A program of that text, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
