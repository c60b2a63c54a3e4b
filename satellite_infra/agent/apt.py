"""apt, run so that it waits for its turn and restarts nothing."""

from __future__ import annotations

from .preparation import Preparation

LIMIT = 1800  # seconds
# needrestart would restart services, workers among them, after any apt run (Ubuntu 24.04's default)
ENV = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
OPTIONS = ("-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
REPAIR = ("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")


def get(host: Preparation, *argv: str) -> None:
    """Run apt-get; CommandError when it fails."""
    host.system.run(["apt-get", *OPTIONS, *argv], host.say, env=ENV, timeout=LIMIT)


def repair(host: Preparation) -> None:
    """Finish what a power cut left half configured: apt refuses everything until then."""
    host.system.run(REPAIR, host.say, env=ENV, timeout=LIMIT)
