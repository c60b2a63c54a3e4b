"""A real ssh-agent on a socket of the test's own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def ssh_agent(socket: Path, *private_keys: str) -> Iterator[Path]:
    """An agent that holds these keys, which never are in a file; yields its socket."""
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as own:
        try:
            for _ in range(100):
                if socket.exists():
                    break
                time.sleep(0.05)
            for key in private_keys:
                subprocess.run(
                    ["ssh-add", "-q", "-"],
                    env={"SSH_AUTH_SOCK": str(socket), "PATH": "/usr/bin:/bin"},
                    input=key,
                    text=True,
                    check=True,
                )
            yield socket
        finally:
            own.terminate()
