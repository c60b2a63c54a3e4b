"""One command over one SSH connection, its environment asked for as the vendor's does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

import asyncssh
from asyncssh.packet import String

from lab.standins.command.inputs import Ended, Heard, Variable

Refused = Callable[[Variable], None]  # may raise

# private, hence the pinned version
_ask: Callable[..., Awaitable[bool | None]] = asyncssh.SSHClientChannel._make_request


_environments: WeakKeyDictionary[object, tuple[list[Variable], Refused]] = WeakKeyDictionary()


async def _ask_with_environment(
    channel: asyncssh.SSHClientChannel[Any], request: bytes, *arguments: Any
) -> bool | None:
    """The library does not wait for the answer to `env`; the vendor's provider does: ask here."""
    if request == b"exec":
        variables, refused = _environments.get(channel._conn, ([], lambda _: None))
        for variable in variables:
            name, value = String(variable.name), String(variable.value)
            if not await _ask(channel, b"env", name, value):
                refused(variable)
    return await _ask(channel, request, *arguments)


asyncssh.SSHClientChannel._make_request = _ask_with_environment  # type: ignore[assignment, method-assign]


async def execute(
    connection: asyncssh.SSHClientConnection,
    command: str,
    stdin: str,
    environment: list[Variable],
    refused: Refused,
    heard: Heard,
) -> Ended:
    """Run the command to its end, with `stdin` then end of file, reporting lines as they come."""
    _environments[connection] = environment, refused
    async with connection.create_process(command, encoding="utf-8", errors="replace") as process:

        async def read(stream: asyncssh.SSHReader[str], name: str) -> str:
            lines = []
            while line := await stream.readline():
                lines.append(line)
                await asyncio.to_thread(heard, name, line)
            return "".join(lines)

        stdout, stderr, _ = await asyncio.gather(
            read(process.stdout, "stdout"), read(process.stderr, "stderr"), _feed(process, stdin)
        )
        await process.wait_closed()
        return Ended(_failure(process), stdout, stderr)


async def _feed(process: asyncssh.SSHClientProcess[str], stdin: str) -> None:
    try:
        process.stdin.write(stdin)
        await process.stdin.drain()
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionError, asyncssh.Error):
        pass  # it ended without reading all; its exit status decides


def _failure(process: asyncssh.SSHClientProcess[str]) -> str:
    if process.exit_signal:
        name = process.exit_signal[0]
        number = 128 + getattr(signal, f"SIG{name}", 0)
        return f"Process exited with status {number} from signal {name}"
    if process.exit_status is None:
        return "wait: remote command exited without exit status"
    return f"Process exited with status {process.exit_status}" if process.exit_status else ""
