"""What the steps of one bootstrap share: a machine, and what it shall become."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

from . import storage
from .bootstrap_manifest import BootstrapManifest
from .layout import Layout
from .system import Say, System


class Preparation(NamedTuple):
    """One bootstrap; `archive` is the zip that this program runs from."""

    manifest: BootstrapManifest
    bundle: Mapping[str, Any]
    archive: Path
    layout: Layout
    system: System
    say: Say

    def app(self) -> tuple[int, int]:
        """The app's user as (uid, gid); KeyError before there is one."""
        entry = pwd.getpwnam(self.manifest.app)
        return entry.pw_uid, entry.pw_gid

    def root(self) -> tuple[int, int]:
        """Whoever runs this: root, but for tests."""
        return os.geteuid(), os.getegid()


def known(path: Path, default: Any) -> Any:
    """What a bootstrap before has noted; the default where that is damaged, and made anew."""
    try:
        return storage.read_json(path, default)
    except ValueError:
        return default


Step = Callable[[Preparation], bool]
"""Makes one thing true; True when it was not."""
