"""KEEP=1: a shell in the lab while everything still stands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from demo.screen import Screen

TRY = (
    ("satellite ps", "the workers; `satellite` lists all commands"),
    ("satellite logs --follow", "what they say, until Ctrl-C"),
    ("cd ../app", "the app: change it, git commit -a, git push"),
    ("cd ../project", "the stack: here `satellite` works"),
    ("satellite deploy", "shows what would change, asks, does it"),
    ("satellite releases", "what was released, by whom, how it ended"),
    ("satellite rollback", "back to the good release before"),
    ("satellite scale worker=3", "so many workers on each host"),
    ("satellite run ruby -v", "a one-off command, with the config vars"),
    ("ssh worker-2 poweroff", "then: satellite info"),
    ("satellite lost worker-2", "a dead host: nobody waits for it any more"),
    ("satellite roll worker-2", "a new machine of that name"),
)
"""What a person may want to type, and what comes of it."""
WIDTH = 24
"""Of the commands' column; what is longer goes beyond it."""


def keep(screen: Screen, project: Path, hosts: Sequence[str]) -> bool:
    """With KEEP=1, open a shell in `project` and wait for its end; else nothing, and False.

    Nothing either where no host stands, not yet or no more.
    """
    if not hosts or os.environ.get("KEEP", "").lower() not in ("1", "yes", "true"):
        return False
    if not sys.stdin.isatty():
        screen.say("KEEP=1 opens a shell here when it is typed on a terminal: make demo KEEP=1")
        return False
    screen.say("The lab stays open until you leave this shell: exit")
    screen.say(f"The stack `demo` is selected; its hosts: {', '.join(hosts)}. To try:")
    for command, what in TRY:
        screen.command(f"{command:{WIDTH}}  # {what}")
    subprocess.run([os.environ.get("SHELL") or "bash"], cwd=project, check=False)
    return True
