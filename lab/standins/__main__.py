"""Start a stand-in plugin: `python lab/standins language|command|quiet|aws ... ENGINE_ADDRESS`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

MODULES = {
    "language": "lab.standins.language.host",
    "command": "lab.standins.command.provider",
    "quiet": "lab.standins.command.quiet",
    "aws": "lab.standins.aws.provider",
}

if __name__ == "__main__":
    # run as a folder, so that no variable needs to say where this checkout is
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    import_module(MODULES[sys.argv[1]]).main(sys.argv[-1])
