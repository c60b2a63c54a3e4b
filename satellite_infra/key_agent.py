"""A private key, for as long as one thing needs it: in an SSH agent of its own.

The key is on no disk and in no command line. The agent ends with this process, however that ends:
its own command reads a pipe that only this process holds. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from satellite_infra.key_text import normal

HELD = 3600
"""Seconds after which the agent forgets the key; a connection needs it at its beginning only."""

LONGEST = 103
"""Bytes of the path of a socket, on the system with the least (Linux: 107)."""

PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
"""A path that means itself in a shell and in ssh's own files, which quote it here and not there."""

SAYS = 'echo "$SSH_AGENT_PID"; exec cat'


class KeyAgentError(Exception):
    """No agent holds that key; the text says why."""


def place() -> str | None:
    """Where a folder for the agent is made: the usual place, where ssh can use its path.

    It knows no other way to an agent, and hands the path of its own settings on unquoted.
    """
    socket = Path(tempfile.gettempdir()) / "satellite-12345678" / "agent"
    fits = len(os.fsencode(socket)) <= LONGEST and PLAIN.fullmatch(str(socket))
    return None if fits else "/tmp"


@contextlib.contextmanager
def agent_with(private_key: str, folder: Path, setting: str) -> Iterator[str]:
    """The socket, in this folder of ours, of an agent that holds this key alone.

    KeyAgentError where it cannot, which names the setting that the key is.
    """
    if missing := [name for name in ("ssh-agent", "ssh-add") if not shutil.which(name)]:
        raise KeyAgentError(f"{missing[0]} is not installed here: apt install openssh-client")
    socket = str(folder / "agent")
    with subprocess.Popen(
        ["ssh-agent", "-a", socket, "-t", str(HELD), "sh", "-c", SAYS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is not for it
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            if not (pid := process.stdout.readline()):
                said = process.stderr.read().strip()
                raise KeyAgentError(f"ssh-agent does not start: {said}")
            done = subprocess.run(
                ["ssh-add", "-q", "-"],
                input=normal(private_key),
                env={**os.environ, "SSH_AUTH_SOCK": socket},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise KeyAgentError(f"ssh-add does not take {setting}: {done.stderr.strip()}")
            try:
                yield socket
            finally:
                os.kill(int(pid), signal.SIGTERM)  # by itself it looks every ten seconds
        finally:
            process.stdin.close()
