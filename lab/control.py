"""What can befall a machine and EC2 has no word for, ordered through a socket."""

from __future__ import annotations

import asyncio
import json
import socket

from lab.errors import LabError
from lab.fleet import Fleet
from lab.machine import Machine

SOCKET = "\0satellite-lab"  # no file: the name is the lab's network's own, unseen by machines
ACTIONS = {"kill": Machine.kill, "pause": Machine.pause, "resume": Machine.resume}


async def serve(fleet: Fleet) -> None:
    """Take orders from `order` until the lab ends."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            machine = fleet.machine(request["instance"])
            await asyncio.to_thread(ACTIONS[request["action"]], machine)
            reply = {}
        except (LookupError, ValueError, OSError, LabError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()

    await asyncio.start_unix_server(take, SOCKET)


def order(action: str, instance: str) -> None:
    """Have the lab do one of ACTIONS to a machine; LabError if it could not."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        connection.sendall(json.dumps({"action": action, "instance": instance}).encode() + b"\n")
        reply = json.loads(connection.makefile().readline())
    if "error" in reply:
        raise LabError(f"lab: {action} {instance}: {reply['error']}")
