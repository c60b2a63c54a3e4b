"""An SSH server on loopback whose commands run as the tests' own user, in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import asyncssh
import asyncssh.packet


class SshServer:
    """A context manager. `accept_env` names the variables that it takes, as sshd's AcceptEnv.

    `logins` counts accepted keys, `refused` refused ones; `forwarded` lists where others went on to
    through this one, which `forwards` allows. Relative paths are below `home`.
    """

    def __init__(self, home: Path, port: int = 0) -> None:
        self.home = home
        self.port = port  # 0: any free one
        self.logins = self.refused = 0
        self.accept_env: set[str] = set()
        self.forwards = True
        self.banner = ""
        self.forwarded: list[tuple[str, int]] = []
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._private_key = self.client_key.export_private_key().decode()  # never twice the same
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")

    def connection(self, **changed: Any) -> dict[str, Any]:
        """The connection as pulumi-command takes it, host key pinned."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "tester",
            "private_key": self._private_key,
            "host_key": self.host_key.export_public_key().decode().strip(),
            "dial_error_limit": 0,
            **changed,
        }

    def __enter__(self) -> SshServer:
        self.home.mkdir()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._acceptor.get_port()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            reuse_port=bool(self.port),  # which whoever chose it keeps for us until now
            server_factory=lambda: _Session(self),
            server_host_keys=[self.host_key],
            process_factory=self._process,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=None),
            encoding=None,
        )

    async def _close(self) -> None:
        self._acceptor.close()
        await self._acceptor.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(tasks, timeout=5) if tasks else None

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        environment = dict(process.env)
        child = await asyncio.create_subprocess_shell(
            process.command or "",
            cwd=self.home,
            env={"PATH": os.environ["PATH"], **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert child.stdin
        assert child.stdout
        assert child.stderr
        feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
        await asyncio.gather(
            _pass(child.stdout, process.stdout), _pass(child.stderr, process.stderr)
        )
        status = await child.wait()
        feeding.cancel()
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)


class _Session(asyncssh.SSHServer):
    """One connection: only the server's one client key is let in."""

    def __init__(self, server: SshServer) -> None:
        self._server, self._counted = server, False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        _accepted[conn] = self._server.accept_env
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if self._server.banner:
            self._connection.send_auth_banner(self._server.banner)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = key.public_data == self._server.client_key.public_data
        if not known and not self._counted:  # asked twice: without and with a signature
            self._counted = True
            self._server.refused += 1
        return known

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        """Whether somebody who is in may go on to there."""
        if not self._server.forwards:  # in sshd's words
            prohibited = asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            raise asyncssh.ChannelOpenError(prohibited, "open failed")
        self._server.forwarded.append((dest_host, dest_port))
        return True

    def auth_completed(self) -> None:
        self._server.logins += 1


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    """To the end of the source, or until the command reads no more."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def _pass(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()


_accepted: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()
_take = asyncssh.SSHServerChannel._process_env_request


def _take_if_accepted(
    channel: asyncssh.SSHServerChannel[Any], packet: asyncssh.packet.SSHPacket
) -> bool:
    """The library takes every variable; sshd only those that AcceptEnv names."""
    before = set(channel._env)
    _take(channel, packet)
    new = set(channel._env) - before
    refused = {name for name in new if name.decode() not in _accepted[channel._conn]}
    for name in refused:
        del channel._env[name]
    return not refused


asyncssh.SSHServerChannel._process_env_request = _take_if_accepted  # type: ignore[assignment, method-assign]
