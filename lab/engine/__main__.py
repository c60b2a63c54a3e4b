"""Usage: python -m lab.engine check|found|build|which

check   exit 0 if a Pulumi CLI is here or can be built; else say what to install, exit 1
found   exit 0 if a Pulumi CLI is here
build   build the CLI unless one is here; print its path
which   say which parts are the vendor's and which are stand-ins
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from lab.engine.cli import build, builder, find_cli
from lab.engine.errors import EngineError
from lab.engine.parts import find


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    try:
        match arguments:
            case ["check"]:
                if not find_cli(os.environ):
                    builder(os.environ)
            case ["found"]:
                return 0 if find_cli(os.environ) else 1
            case ["build"]:
                print(build(os.environ))
            case ["which"]:
                print(find(os.environ))
            case _:
                print(__doc__, end="", file=sys.stderr)
                return 2
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # so that a build's folder is removed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))
