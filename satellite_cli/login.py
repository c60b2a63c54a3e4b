"""The stack's login key, for as long as one command needs it: in an SSH agent of its own.

The key is on no disk and in no command line. The agent ends with this process, however that ends:
its own command reads a pipe that only this process holds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from satellite_cli.problems import SatelliteError
from satellite_infra.key_text import normal

HELD = 3600
"""Seconds after which the agent forgets the key; a connection needs it at its beginning only."""

LONGEST = 103
"""Bytes of the path of a socket, on the system with the least (Linux: 107)."""

SAYS = 'echo "$SSH_AGENT_PID"; exec cat'


def place() -> str | None:
    """Where a folder for the agent is made: the usual place, unless its socket's path is too long.

    ssh knows no other way to an agent than that path.
    """
    socket = Path(tempfile.gettempdir()) / "satellite-12345678" / "agent"
    return "/tmp" if len(os.fsencode(socket)) > LONGEST else None


@contextlib.contextmanager
def agent_with(private_key: str, folder: Path) -> Iterator[str]:
    """The socket, in this folder of ours, of an agent that holds this key alone."""
    socket = str(folder / "agent")
    try:
        process = subprocess.Popen(
            ["ssh-agent", "-a", socket, "-t", str(HELD), "sh", "-c", SAYS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is not for it
        )
    except FileNotFoundError:
        raise SatelliteError(
            "ssh-agent is not installed here: apt install openssh-client"
        ) from None
    with process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            if not (pid := process.stdout.readline()):
                said = process.stderr.read().strip()
                raise SatelliteError(f"ssh-agent does not start: {said}")
            done = subprocess.run(
                ["ssh-add", "-q", "-"],
                input=normal(private_key),
                env={**os.environ, "SSH_AUTH_SOCK": socket},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SatelliteError(
                    f"ssh-add does not take satellite:private_key: {done.stderr.strip()}"
                )
            try:
                yield socket
            finally:
                os.kill(int(pid), signal.SIGTERM)  # by itself it looks every ten seconds
        finally:
            process.stdin.close()


def own_agent(public_key: str) -> str:
    """The socket of the user's agent, which holds the key; SatelliteError where it does not."""
    from satellite_infra.ssh_agent import agent_problem  # brings Pulumi's SDK along

    if problem := agent_problem(public_key):
        raise SatelliteError(problem)
    return os.environ["SSH_AUTH_SOCK"]
