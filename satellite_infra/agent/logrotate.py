"""The logs that the app writes into shared/log, rotated.

A release's own log is not among them: it has its file, and prune keeps the newest.
"""

from __future__ import annotations

from . import storage
from .layout import Layout
from .preparation import Preparation
from .units import fill


def render(layout: Layout) -> str:
    """What logrotate is told."""
    return fill("logrotate", layout, LOGS=str(layout.shared / "log"))


def rotate(host: Preparation) -> bool:
    """Have the app's logs rotated."""
    return storage.write(host.layout.logrotate, render(host.layout), 0o644)
