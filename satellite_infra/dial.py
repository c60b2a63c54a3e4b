"""Does a host answer on SSH, and as itself? What `reach` asks, standard library only."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from satellite_infra import tunnel
from satellite_infra.key_text import fingerprint
from satellite_infra.tunnel import Bastion, BastionError

TRY = 10.0
"""Seconds for one try: the connection, its banner, the keys."""
TOLD = 15.0
"""Seconds after which whoever waits is told so, again and again."""
LOOK = 0.2
"""Seconds between two looks at whether nobody waits any more."""
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
    user: str = ""
    bastion: Bastion | None = None

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
            user=environment["SATELLITE_USER"],
            bastion=Bastion.of(environment),
        )


@dataclass(frozen=True)
class _Peer:
    """Somebody to wait for: how to look at the host keys that it shows (within so many seconds:
    the keys, or none and why), which one is pinned, and what to say when it fails.
    """

    look: Callable[[float], tuple[list[str], str]]
    host_key: str
    silent: Callable[[str], str]
    stranger: Callable[[str], str]


def reach(target: Target, key: str = "", pause: float = 2.0) -> None:
    """Return when the target answers with the pinned key; UnreachedError when not in time.

    `key` opens the bastion, if there is one; without it, the user's own SSH agent does.
    """
    end = time.monotonic() + target.seconds
    bastion = target.bastion

    def look(seconds: float) -> tuple[list[str], str]:
        if not target.address:
            return [], "it has no such address; see satellite:connect, and add it to satellite:roll"
        if bastion is None:
            return keys_at(target.address, target.port, target.host_key, seconds)
        kind = target.host_key.split()[0]
        return tunnel.look(bastion, target.address, target.port, target.user, kind, seconds)

    host = _Peer(
        look,
        target.host_key,
        lambda problem: _silent(target, problem),
        lambda shown: _stranger(target, shown),
    )
    if bastion is None:
        _wait(host, end, pause)
        return
    _wait(_bastion(target, bastion), end, pause)
    try:
        with tunnel.key_in_agent(key, target.seconds):
            _wait(host, end, pause)
    except BastionError as problem:
        raise UnreachedError(_unhelpful(target, bastion, problem)) from None


@contextlib.contextmanager
def waited_for(target: Target, interrupted: str) -> Iterator[None]:
    """While this lasts, whoever waits for the target is told on standard error how long.

    UnreachedError as soon as there is a file of that name, if any is said: it ends what is under
    way, such as a connection. For the main thread.
    """
    began, due = time.monotonic(), TOLD

    def look(*_: object) -> None:
        nonlocal due
        if interrupted and Path(interrupted).exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt
        if (waited := time.monotonic() - began) >= due:
            from satellite_infra.agent.progress import MARK  # hardly anybody waits so long

            due += TOLD
            told = f"{MARK}no answer yet ({waited:.0f} of {target.seconds:g} s)"
            print(told, file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)
    try:
        yield
    except KeyboardInterrupt:
        raise UnreachedError(
            f"{target.name} is waited for no longer: the update was interrupted"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _bastion(target: Target, bastion: Bastion) -> _Peer:
    return _Peer(
        lambda seconds: keys_at(bastion.address, bastion.port, bastion.host_key, seconds),
        bastion.host_key,
        lambda problem: _silent_bastion(target, bastion, problem),
        lambda shown: _strange_bastion(target, bastion, shown),
    )


def _wait(peer: _Peer, end: float, pause: float) -> None:
    while True:
        shown, problem = peer.look(max(min(TRY, end - time.monotonic()), 0.1))
        if peer.host_key in shown:
            return
        if shown:
            raise UnreachedError(peer.stranger(shown[0]))
        if time.monotonic() + pause >= end:
            raise UnreachedError(peer.silent(problem))
        time.sleep(pause)


def keys_at(address: str, port: int, host_key: str, seconds: float) -> tuple[list[str], str]:
    """The host keys of the pinned kind that are shown there, or none and why."""
    end = time.monotonic() + seconds
    if problem := no_banner(address, port, seconds):
        return [], problem
    kind = host_key.split()[0]
    shown = _shown_keys(address, port, kind, max(min(TRY, end - time.monotonic()), 1))
    return shown, "" if shown else f"it speaks SSH, but shows no {kind} host key"


def no_banner(address: str, port: int, seconds: float) -> str:
    """Why the SSH port gives no banner; empty when it gives one."""
    end = time.monotonic() + seconds
    heard = b""
    try:
        with socket.create_connection((address, port), timeout=seconds) as peer:
            while b"SSH-" not in heard and len(heard) < 4096:
                peer.settimeout(max(end - time.monotonic(), 0.01))
                more = peer.recv(256)
                if not more:
                    return "it closes the connection without an SSH banner"
                heard += more
    except TimeoutError:
        return tunnel.NO_ANSWER
    except OSError as problem:
        return str(problem.strerror or problem).lower()
    return "" if b"SSH-" in heard else "something else than SSH listens there"


def _shown_keys(address: str, port: int, kind: str, seconds: float) -> list[str]:
    """The host keys of that kind, as `TYPE KEY`."""
    scanned = TYPES.get(kind, "ecdsa")
    command = ["ssh-keyscan", "-T", str(int(seconds)), "-t", scanned, "-p", str(port)]
    try:
        done = subprocess.run(
            [*command, "--", address],
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
    through, here = "", "this computer"
    if target.bastion:
        through, here = f" through the bastion {target.bastion.address}", "the bastion's address"
    return f"""\
{target.name} ({target.address}, port {target.port}) cannot be reached by SSH{through}, \
tried for {target.seconds:g} s: {problem}.
  - Is machine {target.machine} running? Look at its console output.
  - Is it open to {here}? SSH is open to: {target.opened_to}. (satellite:ssh_cidrs)
  - Did its address change? `pulumi refresh` reads it again.
  - Is it dead? Say so, and nothing waits for it any more:
      satellite lost {target.name}
    By Pulumi alone, which deploys the branch's head, too:
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
  - If you gave an existing host new keys, compare this one on the host itself, then set
    satellite:hosts.{target.name}.host_key.
  - If you rebuilt it, its old machine is gone and cannot be drained, which has to be said first:
      satellite lost {target.name}
    Then set its host_key, raise satellite:hosts.{target.name}.machine, and take that back:
      satellite lost {target.name} --undo
    By Pulumi alone it is satellite:hosts.{target.name}.lost each time, and `pulumi up`,
    which deploys the branch's head, too."""


def _silent_bastion(target: Target, bastion: Bastion, problem: str) -> str:
    return f"""\
The bastion ({bastion.address}, port {bastion.port}) on the way to {target.name} cannot be reached \
by SSH, tried for {target.seconds:g} s: {problem}.
  {target.name} itself was not tried.
  - Is the bastion running, and is its SSH port open to this computer?
  - Is satellite:bastion right about its address and port?"""


def _strange_bastion(target: Target, bastion: Bastion, shown: str) -> str:
    return f"""\
The bastion ({bastion.address}, port {bastion.port}) on the way to {target.name} shows another \
host key than the pinned one. Nothing was sent to either.
  pinned: {_print(bastion.host_key)}
  shown:  {_print(shown)}
  - If nobody changed this machine or its keys, another machine answers there: find out which one.
  - If the bastion was rebuilt, compare the new key on the bastion itself, then set
    satellite:bastion.host_key."""


def _unhelpful(target: Target, bastion: Bastion, problem: BastionError) -> str:
    return f"""\
The bastion ({bastion.address}, port {bastion.port}) answers as itself, but is no way to \
{target.name}: {problem}.
  {target.name} itself was not tried. The key is satellite:private_key, or with satellite:ssh_agent
  one that `ssh-add -l` shows here; the user is satellite:bastion.user, or satellite:ssh_user."""


def _print(key: str) -> str:
    return f"{key.split()[0]} {fingerprint(key)}"
