"""Around a program that plays in the lab: is it there, where its logs go, how it ended."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from demo.screen import Screen


def perform(name: str, play: Callable[[Screen, Path], bool]) -> int:
    """The exit status of `make NAME`: 0 when every promise was kept, as `play` says.

    The folder that it gets for logs is kept unless they were.
    """
    if "SATELLITE_LAB" not in os.environ:
        print(f"it runs inside the lab: make {name}", file=sys.stderr)
        return 2
    screen = Screen.standard()
    logs = Path(tempfile.mkdtemp(prefix=f"satellite-{name}-"))
    kept = False
    try:
        kept = play(screen, logs)
    except KeyboardInterrupt:
        screen.say("interrupted")
    finally:
        if kept:
            shutil.rmtree(logs)
        else:
            screen.say(f"What the commands and the hosts said is kept in {logs}")
    return 0 if kept else 1
