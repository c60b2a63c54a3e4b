"""Hosts that agree to everything that is not refused: one SSH server that is many, one on each
loopback address.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import asyncssh


class _Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False  # no key is asked for


@contextlib.contextmanager
def hosts(folder: Path, refused: Collection[str] = ()) -> Iterator[tuple[int, str]]:
    """Serve on all loopback addresses; the port and the `TYPE KEY` of every host's key. A command
    fails while anything in it is `refused`.
    """
    folder.mkdir()
    key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def agree(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await process.stdin.read()
        process.exit(int(any(words in (process.command or "") for words in refused)))

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "",
            0,
            family=2,  # IPv4 has many loopback addresses
            server_factory=_Anybody,
            server_host_keys=[key],
            process_factory=agree,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder).encode()),
            encoding=None,
        )

    async def stop(acceptor: Any) -> None:
        acceptor.close()
        await acceptor.wait_closed()

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    public = " ".join(key.export_public_key().decode().split()[:2])
    try:
        yield acceptor.get_port(), public
    finally:
        asyncio.run_coroutine_threadsafe(stop(acceptor), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
