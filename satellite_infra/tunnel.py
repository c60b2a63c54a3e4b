"""A look through a bastion at the host behind it, by this computer's own `ssh`.

The login key is in an SSH agent: no file, command line or environment holds it. Standard library
only, as `reach` is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ALGORITHMS = {"ssh-rsa": "rsa-sha2-512,rsa-sha2-256"}
"""What a key of this type signs with; any other type is its own algorithm."""
ALONE = ("-F", "none", "-T", "-o", "BatchMode=yes")
"""Nobody's own configuration, and no questions."""
NO_ANSWER = "no answer: packets are dropped, or the peer accepts and stays silent"
FORBIDS = "its sshd forbids the way on: set AllowTcpForwarding yes (or local)"


@dataclass(frozen=True)
class Bastion:
    """The machine between; `host_key` is `TYPE KEY`."""

    address: str
    port: int
    user: str
    host_key: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Bastion | None:
        """The bastion that the variables describe, or None; KeyError names a missing one."""
        if "SATELLITE_BASTION" not in environment:
            return None
        return cls(
            address=environment["SATELLITE_BASTION"],
            port=int(environment["SATELLITE_BASTION_PORT"]),
            user=environment["SATELLITE_BASTION_USER"],
            host_key=environment["SATELLITE_BASTION_HOST_KEY"],
        )


class BastionError(Exception):
    """The bastion itself does not do its part; the text says which."""


@contextlib.contextmanager
def key_in_agent(key: str, seconds: float) -> Iterator[None]:
    """Have the agent that this program was started by hold the key, and end with it.

    Without a key, the agent is the user's own. BastionError when it does not take the key.
    """
    if not key:
        yield
        return
    try:
        command = ["ssh-add", "-q", "-t", str(int(seconds) + 60), "-"]  # should we be killed
        done = subprocess.run(command, input=key, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BastionError(
                f"ssh-add does not take satellite:private_key: {done.stderr.strip()}"
            )
        yield
    finally:
        os.kill(int(os.environ["SSH_AGENT_PID"]), signal.SIGTERM)


def look(
    bastion: Bastion, address: str, port: int, user: str, kind: str, seconds: float
) -> tuple[list[str], str]:
    """The host keys of that kind that are shown there, as `TYPE KEY`; or none, and why.

    Nobody logs in to the host. BastionError when it is the bastion that does not want.
    """
    with tempfile.TemporaryDirectory() as folder:
        known, shown, log = (Path(folder, name) for name in ("known", "shown", "log"))
        known.write_text(f"bastion {bastion.host_key}\n", encoding="utf-8")
        jump = _jump(bastion, known, log, seconds)
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        command = shlex.join([*jump, "-W", target, "--", bastion.address]).replace("%", "%%")
        options = {
            "ProxyCommand": command,
            "StrictHostKeyChecking": "accept-new",  # it is we who compare
            "UserKnownHostsFile": f'"{shown}"',
            "GlobalKnownHostsFile": "/dev/null",
            "HashKnownHosts": "no",
            "HostKeyAlias": "host",
            "HostKeyAlgorithms": ALGORITHMS.get(kind, kind),
            "PreferredAuthentications": "none",
            "LogLevel": "ERROR",
            "ConnectTimeout": str(max(int(seconds), 1)),
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        said = _run(["ssh", *ALONE, *words, "-l", user, "--", address, "true"], seconds + 2)
        lines = [line.split() for line in _text(shown).splitlines()]
        keys = [" ".join(line[1:3]) for line in lines if len(line) >= 3]
        return keys, "" if keys else _problem(bastion, _text(log), said, kind)


def _jump(bastion: Bastion, known: Path, log: Path, seconds: float) -> list[str]:
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{known}"',
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": "bastion",
        "IdentityFile": "none",  # the agent's keys alone
        "ConnectTimeout": str(max(int(seconds), 1)),
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", *ALONE, *words, "-E", str(log), "-p", str(bastion.port), "-l", bastion.user]


def _run(command: list[str], seconds: float) -> str:
    """What it says; both programs are gone afterwards."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "timed out"
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _problem(bastion: Bastion, tunnel: str, said: str, kind: str) -> str:
    """Why there is no key, out of what the two programs said."""
    if "Permission denied" in tunnel:
        raise BastionError(f"it does not let {bastion.user} log in with this key")
    if "administratively prohibited" in tunnel:
        raise BastionError(FORBIDS)
    if found := re.search(r"open failed: (?:connect failed: )?(.+)", tunnel):
        return found[1].strip().lower()
    if "timed out" in said or "timed out" in tunnel:
        return NO_ANSWER
    if "no matching host key type" in said:
        return f"it speaks SSH, but shows no {kind} host key"
    words = [*tunnel.split("\n"), *said.split("\n")]
    return next((line.strip() for line in words if line.strip()), "it closes the connection")


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.exists() else ""
