"""The stack's login key, for as long as one command needs it: in an SSH agent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from satellite_cli.problems import SatelliteError
from satellite_infra import key_agent


@contextlib.contextmanager
def agent_with(private_key: str, folder: Path) -> Iterator[str]:
    """The socket of an agent of our own that holds it alone; SatelliteError where none does."""
    try:
        with key_agent.agent_with(private_key, folder, "satellite:private_key") as socket:
            yield socket
    except key_agent.KeyAgentError as problem:
        raise SatelliteError(str(problem)) from None


def own_agent(public_key: str) -> str:
    """The socket of the user's agent, which holds the key; SatelliteError where it does not."""
    from satellite_infra.ssh_agent import agent_problem  # brings Pulumi's SDK along

    if problem := agent_problem(public_key):
        raise SatelliteError(problem)
    return os.environ["SSH_AUTH_SOCK"]
