"""A one-off process: a command of a person, in the current release and its environment."""

from __future__ import annotations

import os
from typing import NoReturn

from . import workers
from .layout import Layout
from .ledger import Ledger

FROM_HERE = ("TERM", "COLUMNS", "LINES")
"""What it sees of the connection that asks for it."""


def run(layout: Layout, command: str) -> NoReturn:
    """Become that shell command, as the app's user; LookupError where no release runs.

    The release is not pruned while a process stands in it.
    """
    ledger = Ledger(layout)
    release = ledger.current()
    if release is None:
        raise LookupError("no release runs here yet: deploy first")
    env = {
        **workers.environment(layout, release, ledger.config(release)),
        **{name: os.environ[name] for name in FROM_HERE if name in os.environ},
        "PS": f"run.{os.getpid()}",
    }
    workers.become(layout.app)
    os.chdir(layout.releases / release)
    os.execve("/bin/bash", ["/bin/bash", "-c", command], env)
