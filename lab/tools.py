"""Programs that the lab calls, and how to get them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import NoReturn

from lab import paths
from lab.errors import LabError

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "git": "git",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
SYSTEM_PATH = "/usr/sbin:/sbin"  # Debian leaves these out of a user's PATH
RUNNING = ("systemd-nspawn", "nft", "ip", "ssh", "git", "unshare", "nsenter")
BUILDING = ("mmdebstrap", "unshare")


def need(programs: Iterable[str]) -> None:
    """Raise LabError naming the packages of those programs that are not installed."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    missing = [program for program in programs if not shutil.which(program, path=path)]
    if missing:
        packages = " ".join(sorted({PACKAGES[program] for program in missing}))
        raise LabError(
            f"lab: not installed: {', '.join(missing)}. Install with:\n  apt-get install {packages}"
        )


def as_root(argv: list[str]) -> None:
    """Return where we are root; otherwise start again under sudo, with this environment.

    The cache stays the caller's own.
    """
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SYSTEM_PATH}"
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise LabError("lab: machines, mounts and networks need root, and there is no sudo here")
    os.environ["SATELLITE_CACHE"] = str(paths.cache())
    environment = [f"PATH={os.environ['PATH']}", f"HOME={os.environ.get('HOME', '/root')}"]
    _sudo(["--preserve-env", "env", *environment, sys.executable, "-m", "lab", *argv])


def _sudo(argv: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execvp("sudo", ["sudo", *argv])
