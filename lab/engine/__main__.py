"""Usage: python -m lab.engine check|found|build|standin|which

check     exit 0 if all is here or can be built; else say what to install, exit 1
found     exit 0 if nothing has to be built; else print what has to be, exit 1
build     build what has to be; print the CLI's path
standin   build the stand-in for the plugin `command`, also where the vendor's is installed
which     say which parts are the vendor's and which are stand-ins
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from lab.engine.build import STAND_IN, build, missing
from lab.engine.errors import EngineError
from lab.engine.parts import find


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    try:
        match arguments:
            case ["check"]:
                for work in missing(os.environ):
                    work.go(os.environ)
            case ["found"]:
                if needed := missing(os.environ):
                    print(" and ".join(work.what for work in needed))
                    return 1
            case ["build"]:
                print(build(os.environ))
            case ["standin"]:
                print(STAND_IN.build(os.environ))
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
