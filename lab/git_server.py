"""git.lab: an SSH git server, as an organisation has one: one deploy key, bare repositories."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from pathlib import Path
from typing import Protocol

import asyncssh

HOST = "git.lab"
PORT = 22
USER = "git"
REPOSITORY = "app.git"
CHUNK = 1 << 16
SERVICES = ("git-upload-pack", "git-receive-pack")


class _Source(Protocol):
    async def read(self, n: int, /) -> bytes: ...


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


async def start(directory: Path, address: str) -> dict[str, str]:
    """Serve the repositories in `directory`/git on `address`. Returns the clients' environment."""
    repositories = directory / "git"
    _create(repositories / REPOSITORY)
    deploy_key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key_file, known_hosts = directory / "deploy_key", directory / "known_hosts"
    key_file.touch(mode=0o600)
    key_file.write_bytes(deploy_key.export_private_key())
    known_hosts.write_text(f"{HOST} {host_key.export_public_key().decode()}")
    await asyncssh.listen(
        address,
        PORT,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(
            deploy_key.export_public_key().decode()
        ),
        process_factory=lambda process: _serve(process, repositories),
        encoding=None,
        allow_pty=False,
    )
    ssh = f"/usr/bin/ssh -F none -i {shlex.quote(str(key_file))} -o IdentitiesOnly=yes"
    return {
        "LAB_GIT_URL": f"ssh://{USER}@{HOST}/{REPOSITORY}",
        "LAB_DEPLOY_KEY": str(key_file),
        "LAB_GIT_KNOWN_HOSTS": str(known_hosts),
        "GIT_SSH_COMMAND": f"{ssh} -o UserKnownHostsFile={shlex.quote(str(known_hosts))}",
    }


def _create(repository: Path) -> None:
    git = ["git", "-C", str(repository)]
    repository.mkdir(parents=True)
    subprocess.run([*git, "init", "--quiet", "--bare", "--initial-branch=main"], check=True)
    subprocess.run([*git, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)


async def _serve(process: asyncssh.SSHServerProcess[bytes], repositories: Path) -> None:
    try:
        service, repository = parse(process.command or "", repositories)
        if process.get_extra_info("username") != USER:
            raise ValueError(f"log in as {USER}")
    except ValueError as error:
        process.stderr.write(f"{HOST}: {error}\n".encode())
        process.exit(128)
        return
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *(service, str(repository)), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    feeding = asyncio.create_task(_pump(process.stdin, child.stdin, close=True))
    await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    status = await child.wait()
    feeding.cancel()
    process.exit(status)


async def _pump(source: _Source, sink: _Sink, close: bool = False) -> None:
    """Copy to the end. (asyncssh's own redirection breaks off on the first slow reader.)"""
    try:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    except OSError:
        return  # the other side is gone, and the process's status will say why
    finally:
        if close:
            sink.close()


def parse(command: str, repositories: Path) -> tuple[str, Path]:
    """What to run for a client's command such as `git-upload-pack '/app.git'`; else ValueError."""
    words = shlex.split(command)
    if len(words) != 2 or words[0] not in SERVICES:
        raise ValueError("no shell here, only git fetch and git push")
    repository = (repositories / words[1].lstrip("/")).resolve()
    if repository.parent != repositories.resolve() or not repository.is_dir():
        raise ValueError(f"no repository {words[1]!r}")
    return words[0], repository
