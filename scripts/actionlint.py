"""Usage: python -m scripts.actionlint [ARGUMENT...]

Run actionlint: the one on PATH, or one built from its Go module at a pinned version (half a minute,
once).
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from lab.engine.errors import EngineError
from lab.engine.go import find_go
from lab.engine.go_tool import GoTool

TOOL = GoTool(
    name="actionlint",
    folder=Path(__file__).parent / "actionlint",
    module="github.com/rhysd/actionlint",
    source="github.com/rhysd/actionlint",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    disk=1 << 30,  # measured: 0.1 GB, and the toolchain
)


def find() -> Path:
    """Where actionlint is, built if need be; EngineError where that cannot be."""
    if found := shutil.which("actionlint"):
        return Path(found)
    if (ours := TOOL.target(os.environ)).exists():
        return ours
    if go := find_go(os.environ):
        return TOOL.build(go, os.environ)
    raise EngineError("there is no actionlint here, and no Go 1.21 or later to build it with")


def main(arguments: list[str]) -> None:
    """Become actionlint."""
    try:
        program = find()
    except EngineError as error:
        sys.exit(f"error: {error}")
    os.execv(program, ["actionlint", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
