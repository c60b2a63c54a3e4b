"""needrestart, which would restart workers after an upgrade of a library, leaves them alone.

Ubuntu installs it, and runs it after unattended upgrades too. Where it is not, the file waits.
"""

from __future__ import annotations

from . import storage, units
from .preparation import Preparation


def leave_workers(host: Preparation) -> bool:
    """Tell it so."""
    return storage.write(host.layout.needrestart, units.template("needrestart.conf"), 0o644)
