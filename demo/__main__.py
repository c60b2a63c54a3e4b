"""`make demo`: tell the story, say how it ended, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo import evidence, keep, story
from demo.failure import DemoError, expect
from demo.screen import Screen
from demo.stack import CHECKOUT


def main() -> int:
    """The exit status: 0 when every promise was kept."""
    if "SATELLITE_LAB" not in os.environ:
        print("the demo runs inside the lab: make demo", file=sys.stderr)
        return 2
    screen = Screen.standard()
    logs = Path(tempfile.mkdtemp(prefix="satellite-demo-"))
    status = 1
    try:
        _play(screen, logs)
        status = 0
    except DemoError as failure:
        screen.failure(failure)
    except KeyboardInterrupt:
        screen.say("interrupted")
    finally:
        if status:
            screen.say(f"What the commands and the hosts said is kept in {logs}")
        else:
            shutil.rmtree(logs)
    return status


def _play(screen: Screen, logs: Path) -> None:
    before = _status()
    scene = story.Scene.set(screen, logs)
    try:
        facts = story.tell(scene, interlude=_open)
    except DemoError as failure:
        evidence.collect(scene.lab, logs)
        if keep.wanted():
            screen.failure(failure)
            _open(scene)
        raise
    expect("the demo should leave the checkout as it is", sorted(_status() ^ before))
    screen.table("What happened", ["", ""], facts)


def _open(scene: story.Scene) -> None:
    keep.keep(scene.screen, scene.stack.project, sorted(host.name for host in scene.lab.hosts()))


def _status() -> set[str]:
    """What git says about the checkout; nothing where it is not one, or there is no git."""
    command = ["git", "-C", str(CHECKOUT), "-c", "safe.directory=*", "status", "--porcelain"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return set(done.stdout.splitlines())


if __name__ == "__main__":
    sys.exit(main())
