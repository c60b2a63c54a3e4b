"""Workers that run here although the host remembers no release that was good: that is elsewhere."""

from __future__ import annotations

import contextlib

from .layout import Layout
from .ledger import PREPARED, Ledger
from .system import System

ENDED = ("inactive", "failed", "deactivating")
STATE = "runs what it ran before"
"""What the host does after that."""


class OrphansError(LookupError):
    """Whatever is begun beside them has no way back, and its failure would stop them."""


def check(layout: Layout, system: System) -> None:
    """OrphansError where there are such workers; it changes nothing. Call it with none begun."""
    ledger = Ledger(layout)
    if ledger.last_good() or ledger.lost():
        return
    loaded = system.units([layout.worker_units]).values()
    running = (unit for unit in loaded if layout.slot(unit.name)[1] and unit.active not in ENDED)
    if any(running) and not _known(layout, ledger):
        raise OrphansError(
            f"nothing was changed: workers of {layout.app} run here, and no release that was good "
            f"is known in {layout.state} and on disk in {layout.releases}: is a disk not mounted "
            "(findmnt, /etc/fstab)? Mount it, and all is as it was. Where it is lost for good, "
            f"`systemctl disable --now {layout.target}` here ends them, each within its grace; "
            "then satellite up --again, or, of an instance, satellite roll --again"
        )


def _known(layout: Layout, ledger: Ledger) -> bool:
    """Whether it is remembered all the same what they run, though it was never good here."""
    current = ledger.current()
    if current and layout.manifest(current).is_file():  # a first release, whose journal is lost
        return True
    with contextlib.suppress(OSError):
        # since this host became this environment's: they came with its image
        anew = any(event["outcome"] == PREPARED for event in ledger.history())
        return anew and not ledger.ever_good()
    return False
