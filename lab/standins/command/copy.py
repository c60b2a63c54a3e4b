"""`remote.CopyToRemote`: a file, a text or a folder to a host, over SFTP."""

from __future__ import annotations

import asyncio
import os
import posixpath
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lab.standins.command.inputs import checked
from lab.standins.provider import Failure, Resource
from lab.standins.values import Properties, identity, is_file, plain, unknown

if TYPE_CHECKING:
    import asyncssh


class CopyToRemote(Resource):
    """Copied when made, and again when its content or target changed; not when the host did.

    No owner and no mode are set, nothing is ever removed.
    """

    replace_on: ClassVar[frozenset[str]] = frozenset({"triggers"})

    def check(
        self,
        inputs: Properties,
        old_inputs: Properties,
        failures: list[Failure],
    ) -> Properties:
        source = plain(inputs.get("source"))
        if not (unknown(source) or is_file(source)):
            failures.append(("asset", "either asset or archive must be set"))
        if inputs.get("remotePath") is None:
            failures.append(("remotePath", "missing required property"))
        return checked(inputs, failures)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        asyncio.run(self._copy(plain(inputs)))
        return secrets.token_hex(4), inputs

    def update(
        self,
        resource_id: str,
        inputs: Properties,
        old_state: Properties,
        old_inputs: Properties,
    ) -> Properties:
        new, old = plain(inputs), plain(old_state)
        if _what_and_where(new) != _what_and_where(old):
            asyncio.run(self._copy(new))
        return inputs

    async def _copy(self, inputs: Properties) -> None:
        from lab.standins.command.connection import connect  # brings the SSH library along

        def say(message: str) -> None:
            self.provider.log(self.urn, message)

        async with (
            connect(inputs["connection"], say) as connection,
            connection.start_sftp_client() as sftp,
        ):
            await _put(sftp, inputs["source"], inputs["remotePath"])


def _what_and_where(inputs: Properties) -> tuple[object, object]:
    return identity(inputs["source"]), inputs["remotePath"]


async def _put(sftp: asyncssh.SFTPClient, source: Properties, target: str) -> None:
    """Go by what the source is and whether the target is a folder, as `scp -r` would."""
    if "text" in source:
        if await sftp.isdir(target):
            raise RuntimeError(
                f"remote path {target} is a directory; when using a text asset, "
                "remotePath must be a file path"
            )
        await _write(sftp, source["text"].encode(), target)
    elif "assets" in source:
        await sftp.makedirs(target, exist_ok=True)
        for name, member in source["assets"].items():
            await _put(sftp, member, posixpath.join(target, name))
    elif "path" in source:
        await _put_path(sftp, source["path"], target)
    else:
        raise NotImplementedError("an asset from a URI: not in this stand-in")


async def _put_path(sftp: asyncssh.SFTPClient, source: str, target: str) -> None:
    name = os.path.basename(source)  # noqa: PTH119 - empty after a trailing slash, which counts
    if Path(source).is_dir():
        await _put_tree(sftp, Path(source), posixpath.join(target, name) if name else target)
    else:
        into = await sftp.isdir(target)
        data = await asyncio.to_thread(Path(source).read_bytes)
        await _write(sftp, data, posixpath.join(target, name) if into else target)


async def _put_tree(sftp: asyncssh.SFTPClient, source: Path, target: str) -> None:
    await sftp.makedirs(target, exist_ok=True)
    for entry in sorted(source.iterdir()):
        to = posixpath.join(target, entry.name)
        if entry.is_dir():
            await _put_tree(sftp, entry, to)
        else:
            await _write(sftp, entry.read_bytes(), to)


async def _write(sftp: asyncssh.SFTPClient, data: bytes, target: str) -> None:
    await sftp.makedirs(posixpath.dirname(target) or ".", exist_ok=True)
    async with sftp.open(target, "wb") as file:
        await file.write(data)
