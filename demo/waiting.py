"""Waiting for what must come, which all that happens on machines needs, and many a test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from demo.failure import DemoError
from lab.errors import LabError

LOOK = 0.1
"""Seconds between two looks."""


def wait_until(what: str, true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that must come, also on a machine that boots; DemoError with its name."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(LabError):
            if true():
                return
        if time.monotonic() >= end:
            raise DemoError(f"{what}: not within {seconds:g} s")
        time.sleep(LOOK)
