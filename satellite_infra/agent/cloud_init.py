"""The image's own first boot, which holds apt's lock and writes keys."""

from __future__ import annotations

import shutil

from .preparation import Preparation
from .system import CommandError


def wait(host: Preparation) -> bool:
    """Wait until it is over; CommandError where it failed."""
    if shutil.which("cloud-init"):
        status, text = host.system.output(["cloud-init", "status", "--wait"])
        if status == 1:  # 2 means: done, with warnings
            raise CommandError(f"{text.strip()}; see /var/log/cloud-init.log")
    return False
