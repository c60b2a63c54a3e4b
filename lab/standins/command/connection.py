"""The SSH connection of a remote resource, dialled with much patience."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncssh

from lab.standins.values import Properties, plain

FIRST_WAIT, WAIT_GROWS, LONGEST_WAIT = 0.1, 1.5, 5.0  # seconds between two dials, as measured

Say = Callable[[str], None]


@contextlib.asynccontextmanager
async def connect(connection: Properties, say: Say) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect, through the proxy if there is one. `connection` is as `inputs.checked` leaves it."""
    connection = plain(connection)
    async with contextlib.AsyncExitStack() as both:
        tunnel, proxy = None, connection.get("proxy")
        try:
            if proxy:
                tunnel = await both.enter_async_context(await _dial(proxy, say, None))
            client = await _dial(connection, say, tunnel)
        except RuntimeError as error:
            if not proxy:
                raise
            raise RuntimeError(f"proxy: {error}") from error  # whichever end it was
        yield await both.enter_async_context(client)


async def _dial(
    connection: Properties, say: Say, tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    """Try again after any failure, a refused key and a wrong host key included.

    dialErrorLimit N is N + 1 attempts, -1 no limit. Raises RuntimeError after the last one.
    """
    async with _keys(connection) as keys:
        return await _dial_with(connection, {**_options(connection), **keys}, say, tunnel)


async def _dial_with(
    connection: Properties,
    options: dict[str, Any],
    say: Say,
    tunnel: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    limit, failed, wait = int(connection["dialErrorLimit"]), 0, FIRST_WAIT
    while True:
        try:
            return await asyncssh.connect(
                connection["host"], int(connection["port"]), tunnel=tunnel or (), **options
            )
        except (OSError, asyncssh.Error) as error:
            if -1 < limit <= failed:
                why = str(error) or type(error).__name__
                raise RuntimeError(f"after {failed} failed attempts: {why}") from error
        failed += 1
        say(f"Dial {failed}/{'inf' if limit == -1 else limit} failed: retrying")
        await asyncio.sleep(wait)
        wait = min(wait * WAIT_GROWS, LONGEST_WAIT)


@contextlib.asynccontextmanager
async def _keys(connection: Properties) -> AsyncIterator[dict[str, Any]]:
    """The options of the keys that are offered: the private key, then those of an SSH agent.

    An agent that does not answer ends it at once, also where nobody would need it; as the vendor's.
    """
    keys: list[Any] = []
    if text := connection.get("privateKey"):
        keys.append(asyncssh.import_private_key(text, connection.get("privateKeyPassword")))
    async with contextlib.AsyncExitStack() as stack:
        if path := connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK"):
            try:
                agent = await stack.enter_async_context(asyncssh.connect_agent(path))
            except OSError as error:
                raise RuntimeError(f"dial unix {path}: {error.strerror}") from error
            keys += await agent.get_keys()
        # None: no keys; an empty list would stand for the user's own key files
        yield {"client_keys": keys or None, "agent_path": None}


def _options(connection: Properties) -> dict[str, Any]:
    """The options, with none of the library's defaults: no key files, known_hosts, or config."""
    options: dict[str, Any] = {
        "username": connection["user"],
        "config": None,
        "known_hosts": None,  # without a hostKey, no host is verified; the vendor's does the same
        "connect_timeout": connection["perDialTimeout"] or None,
    }
    if password := connection.get("password"):
        options["password"] = password
    if text := connection.get("hostKey"):
        key = asyncssh.import_public_key(text)
        options["known_hosts"] = ([key], [], [])
        options["server_host_key_algs"] = [key.get_algorithm()]
    return options
