"""The logs that the app writes into shared/log, rotated.

A release's own log is not among them: it has its file, and prune keeps the newest.
"""

from __future__ import annotations

import grp

from . import storage
from .layout import Layout
from .preparation import Preparation
from .units import fill


def render(layout: Layout, group: str) -> str:
    """What logrotate is told; `group`: the app's user's."""
    return fill("logrotate", layout, LOGS=str(layout.shared / "log"), GROUP=group)


def rotate(host: Preparation) -> bool:
    """Have the app's logs rotated."""
    group = grp.getgrgid(host.app()[1]).gr_name  # another one where the user was there before
    return storage.write(host.layout.logrotate, render(host.layout, group), 0o644)
