"""Programs that a test puts where others are looked for."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def executable(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    """A program of that text, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def in_python(path: Path, text: str) -> Path:
    """The same of a Python program; a first line that names the interpreter takes no blank."""
    return executable(path, f'#!/bin/sh\nexec {shlex.join((sys.executable, "-c", text))} "$@"\n')
