"""The release phase: the Procfile's `release`, run to its end before any worker restarts."""

from __future__ import annotations

from . import procfile, workers
from .deadlines import PHASE_LIMIT
from .layout import Layout
from .ledger import Target
from .system import Say, System

TYPE = "release"


def run(layout: Layout, target: Target, config: dict[str, str], system: System, say: Say) -> str:
    """Run it in the release's directory as the app user; what was done. CommandError on failure."""
    directory = layout.releases / target.release
    command = procfile.read(directory).get(TYPE)
    if command is None:
        return f"the Procfile has no process `{TYPE}`: nothing to run"
    say(f"$ {command}")
    env = {**workers.environment(layout, target.release, config), "PS": f"{TYPE}.1"}
    argv = ["/bin/bash", "-c", command]
    system.run(argv, say, user=layout.app, cwd=directory, env=env, timeout=PHASE_LIMIT)
    return "the release phase succeeded"
