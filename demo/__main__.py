"""`make demo`: tell the story, say how it ended, and leave nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from demo import evidence, keep, story
from demo.failure import DemoError, expect
from demo.performance import perform
from demo.screen import Screen
from demo.stack import CHECKOUT
from lab.errors import LabError


def main() -> int:
    """The exit status: 0 when every promise was kept."""
    return perform("demo", _play)


def _play(screen: Screen, logs: Path) -> bool:
    """Whether every promise was kept."""
    before = _stack_files()
    scene = story.Scene.set(screen, logs)
    visited = False

    def interlude(scene: story.Scene) -> bool:
        nonlocal visited
        visited = _open(scene)
        return visited

    try:
        facts = _tell(scene, interlude)
        changed = sorted({name for name, _ in _stack_files() ^ before})
        if visited and changed:
            screen.say(f"changed in the checkout meanwhile: {', '.join(changed)}")
        else:
            expect("the demo should leave the checkout's stack files as they are", changed)
    except DemoError as failure:
        screen.failure(failure)
        evidence.collect(scene.lab, logs)
        if not visited:
            _open(scene)
        return False
    screen.summary("What happened", facts)
    return True


def _tell(scene: story.Scene, interlude: Callable[[story.Scene], bool]) -> list[tuple[str, str]]:
    try:
        return story.tell(scene, interlude)
    except LabError as error:
        raise DemoError("the lab could not do its part", str(error).splitlines()) from error


def _open(scene: story.Scene) -> bool:
    hosts = sorted(host.name for host in scene.lab.hosts())
    return keep.keep(scene.screen, scene.stack.project, hosts)


def _stack_files() -> set[tuple[str, str]]:
    """The checkout's stack files, which belong to the team, and what is in them."""
    return {(path.name, path.read_text()) for path in CHECKOUT.glob("Pulumi*.yaml")}


if __name__ == "__main__":
    sys.exit(main())
