"""KEEP=1: a shell in the lab while everything still stands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from demo.screen import Screen


def keep(screen: Screen, project: Path, hosts: Sequence[str]) -> None:
    """With KEEP=1, open a shell in `project` and wait for its end; elsewhere do nothing."""
    if os.environ.get("KEEP", "").lower() not in ("1", "yes", "true"):
        return
    if not sys.stdin.isatty():
        screen.say("KEEP=1 opens a shell here when it is typed on a terminal: make demo KEEP=1")
        return
    screen.say("The lab stays open until you leave this shell. In it:")
    for command in (*(f"ssh {host}" for host in hosts), "pulumi stack output", "pulumi up"):
        screen.command(command)
    subprocess.run([os.environ.get("SHELL") or "bash"], cwd=project, check=False)
