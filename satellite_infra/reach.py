"""Does this host answer on SSH, and as itself? `python3 -m satellite_infra.reach`, by the engine.

Runs before anything connects: the command provider's SSH client waits for a banner without end, and
tries a wrong host key again and again. What to reach comes in the environment, SATELLITE_*.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

TRY = 10.0
"""Seconds for one try: the connection, its banner, the keys."""
TYPES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}
"""What ssh-keyscan calls a kind of key; anything else here is ecdsa."""


class UnreachedError(Exception):
    """The host cannot be worked with; the text says why, and what to do."""


@dataclass(frozen=True)
class Target:
    """One host as the stack knows it; `seconds`: how long it may take to answer."""

    name: str
    machine: str
    address: str
    port: int
    host_key: str
    seconds: float
    opened_to: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Target:
        """The target that the variables describe; KeyError names a missing one."""
        return cls(
            name=environment["SATELLITE_HOST"],
            machine=environment["SATELLITE_MACHINE"],
            address=environment["SATELLITE_ADDRESS"],
            port=int(environment["SATELLITE_PORT"]),
            host_key=environment["SATELLITE_HOST_KEY"],
            seconds=float(environment["SATELLITE_REACH_SECONDS"]),
            opened_to=environment["SATELLITE_OPENED_TO"],
        )


def reach(target: Target, pause: float = 2.0) -> None:
    """Return when the target answers with the pinned key; UnreachedError when not in time."""
    end = time.monotonic() + target.seconds
    while True:
        left = end - time.monotonic()
        problem = _no_banner(target, max(min(TRY, left), 0.1))
        if not problem:
            shown = _shown_keys(target, max(min(TRY, end - time.monotonic()), 1))
            if target.host_key in shown:
                return
            if shown:
                raise UnreachedError(_stranger(target, shown[0]))
            problem = f"it speaks SSH, but shows no {target.host_key.split()[0]} host key"
        if time.monotonic() + pause >= end:
            raise UnreachedError(_silent(target, problem))
        time.sleep(pause)


def _no_banner(target: Target, seconds: float) -> str:
    """Why the SSH port gives no banner; empty when it gives one."""
    if not target.address:
        return "it has no such address; see satellite:connect, and add it to satellite:roll"
    end = time.monotonic() + seconds
    heard = b""
    try:
        with socket.create_connection((target.address, target.port), timeout=seconds) as peer:
            while b"SSH-" not in heard and len(heard) < 4096:
                peer.settimeout(max(end - time.monotonic(), 0.01))
                more = peer.recv(256)
                if not more:
                    return "it closes the connection without an SSH banner"
                heard += more
    except TimeoutError:
        return "no answer: packets are dropped, or the peer accepts and stays silent"
    except OSError as problem:
        return str(problem.strerror or problem).lower()
    return "" if b"SSH-" in heard else "something else than SSH listens there"


def _shown_keys(target: Target, seconds: float) -> list[str]:
    """The host keys of the pinned kind that it shows, as `TYPE KEY`."""
    kind = TYPES.get(target.host_key.split()[0], "ecdsa")
    command = ["ssh-keyscan", "-T", str(int(seconds)), "-t", kind, "-p", str(target.port)]
    try:
        done = subprocess.run(
            [*command, "--", target.address],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + 5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return []
    except FileNotFoundError:
        raise UnreachedError(
            "ssh-keyscan is not installed here: apt install openssh-client"
        ) from None
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    return [" ".join(line[1:3]) for line in lines if len(line) >= 3]


def _silent(target: Target, problem: str) -> str:
    return f"""\
{target.name} ({target.address}, port {target.port}) cannot be reached by SSH, \
tried for {target.seconds:g} s: {problem}.
  - Is machine {target.machine} running? Look at its console output.
  - Is it open to this computer? SSH is open to: {target.opened_to}. (satellite:ssh_cidrs)
  - Did its address change? `pulumi refresh` reads it again.
  - Is it dead? Say so, and nothing waits for it any more:
      pulumi config set --path 'satellite:hosts.{target.name}.lost' true && pulumi up"""


def _stranger(target: Target, shown: str) -> str:
    return f"""\
{target.name} ({target.address}, port {target.port}) shows another host key than the pinned one. \
Nothing was sent to it.
  pinned: {_print(target.host_key)}
  shown:  {_print(shown)}
  - If nobody changed this machine or its keys, another machine answers there: find out which one.
  - An EC2 instance has its key from satellite:host_key_seed since its first boot. If the seed was
    changed, put the old one back, or replace the machine: add {target.name} to satellite:roll.
  - If you rebuilt an existing host, compare the new key on the host itself, then set
    satellite:hosts.{target.name}.host_key, and raise satellite:hosts.{target.name}.machine."""


def _print(key: str) -> str:
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"{key.split()[0]} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def main() -> int:
    """0 when the host is reached; else 1 and one message on stderr."""
    try:
        reach(Target.of(os.environ))
    except UnreachedError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
