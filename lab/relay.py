"""A TCP relay to the apt mirrors: listens inside the lab's network, connects outside of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from typing import NoReturn

from lab import kernel
from lab.apt import Relay

CHUNK = 1 << 16
Door = tuple[socket.socket, Relay]


def listen(relay: Relay, address: str) -> Door:
    """Open the door inside, for `start`."""
    return socket.create_server((address, relay.port), backlog=128), relay


def start(doors: Sequence[Door], outer_network: int) -> int:
    """Fork a process that serves the doors from the outer network. It dies with its parent.

    `outer_network` is an open file of the outer network namespace. Returns the process id.
    """
    pid = os.fork()
    if pid == 0:
        _serve(doors, outer_network)
    for door, _ in doors:
        door.close()
    return pid


def _serve(doors: Sequence[Door], outer_network: int) -> NoReturn:
    try:
        os.setsid()
        kernel.die_with_parent()
        kernel.setns(outer_network, kernel.NEWNET)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        asyncio.run(_forever(doors))
    finally:
        os._exit(1)


async def _forever(doors: Sequence[Door]) -> None:
    servers = [await asyncio.start_server(_to(relay), sock=door) for door, relay in doors]
    await asyncio.gather(*(server.serve_forever() for server in servers))
    await asyncio.Event().wait()


def _to(relay: Relay):  # type: ignore[no-untyped-def]  # asyncio has no name for this type
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(relay.host, relay.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        for end in (writer, back):
            end.close()

    return connect


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
        target.write_eof()
    except OSError:
        target.close()
