"""The app's directories in Capistrano's shape, and what root alone may read."""

from __future__ import annotations

from . import storage
from .preparation import Preparation


def make(host: Preparation) -> bool:
    """Releases is root's, so that no job can swap one; what is in each is the app's."""
    layout, root, owner = host.layout, host.root(), host.app()
    shared = [layout.shared / name for name in (".", "log", "pids", "config")]
    private = [layout.state.parent, layout.state, layout.notes, layout.logs]
    changed = [storage.directory(path, 0o755, root) for path in (layout.base, layout.releases)]
    changed += [storage.directory(path, 0o755, owner) for path in shared]
    changed += [storage.directory(path, 0o700, root) for path in private]
    return any(changed)
