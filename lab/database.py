"""db.lab: a PostgreSQL server out of the base image; nothing is installed on this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from lab import paths
from lab.errors import LabError

PORT = 5432
CREATE = paths.package() / "image/database.sql"
HBA = "host all all 0.0.0.0/0 scram-sha-256\n"
# The data lives as long as the run: it has to survive nothing, so nothing is flushed to the disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # what it does between two tests would be chance
    "autovacuum": "off",
    "max_connections": "200",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "jit": "off",
}


def make_template(root: Path, cluster: Path) -> None:
    """Write an empty cluster with database and superuser `app` to `cluster`. Takes 2 s."""
    cluster.mkdir(mode=0o700)
    _run(root, cluster, "root", "chown", "postgres:postgres", "/mnt")
    initdb = "initdb --pgdata=/mnt --encoding=UTF8 --locale=C.UTF-8 --auth=trust --no-sync"
    _run(root, cluster, "postgres", *_program(root, *initdb.split()))
    single = "postgres --single -D /mnt postgres"
    _run(root, cluster, "postgres", *_program(root, *single.split()), stdin=CREATE.read_bytes())
    (cluster / "pg_hba.conf").write_text(HBA)


def start(root: Path, template: Path, directory: Path, address: str) -> subprocess.Popen[bytes]:
    """Start the server on `address` with its data in `directory`; it answers within 0.3 s.

    Returns the running server; see `wait`.
    """
    shutil.copytree(template, directory, copy_function=shutil.copy2)
    for path in (directory, *directory.rglob("*")):
        shutil.chown(path, template.stat().st_uid, template.stat().st_gid)
    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    server = _program(root, "postgres", "-D", "/mnt", f"--listen_addresses={address}", *options)
    return subprocess.Popen(
        _inside(root, directory, "postgres", *server),
        stdin=subprocess.DEVNULL,
        stdout=(directory.parent / "database.log").open("wb"),
        stderr=subprocess.STDOUT,
    )


def wait(server: subprocess.Popen[bytes], address: str, seconds: float = 20) -> None:
    """Return once the server takes connections; LabError if it ended or takes too long."""
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((address, PORT), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise LabError("lab: PostgreSQL did not start; see database.log")


def _program(root: Path, name: str, *arguments: str) -> list[str]:
    (found,) = root.glob(f"usr/lib/postgresql/*/bin/{name}")
    return ["/" + str(found.relative_to(root)), *arguments]


def _inside(root: Path, data: Path, user: str, *command: str) -> list[str]:
    return [str(paths.package() / "image/chroot.sh"), str(root), str(data), user, *command]


def _run(root: Path, data: Path, user: str, *command: str, stdin: bytes = b"") -> None:
    done = subprocess.run(_inside(root, data, user, *command), input=stdin, capture_output=True)
    if done.returncode:
        text = (done.stdout + done.stderr).decode(errors="replace")
        raise LabError(f"lab: {command[0]} failed in the base image:\n{text}")
