"""apt, run so that it waits for its turn and restarts nothing."""

from __future__ import annotations

from .preparation import Preparation
from .system import CommandError

LIMIT = 1800  # seconds
# needrestart would restart services, workers among them, after any apt run (Ubuntu 24.04's default)
ENV = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
PATIENCE = 300  # seconds that another apt is waited for
AGAIN = 5  # seconds between two attempts
HELD = "Could not get lock"
"""What apt says at once of the lock of its lists, for which it has no time-out of its own."""
OPTIONS = ("-q", "-y", "-o", f"DPkg::Lock::Timeout={PATIENCE}", "-o", "Acquire::Retries=3")
REPAIR = ("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")


def get(host: Preparation, *argv: str) -> None:
    """Run apt-get, again while another apt is at work; CommandError when it fails."""
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        host.say(line)

    end = host.system.now() + PATIENCE
    while True:
        said.clear()
        try:
            host.system.run(["apt-get", *OPTIONS, *argv], hear, env=ENV, timeout=LIMIT)
            return
        except CommandError:
            if not any(HELD in line for line in said) or host.system.now() > end:
                raise
        host.system.sleep(AGAIN)


def repair(host: Preparation) -> None:
    """Finish what a power cut left half configured: apt refuses everything until then."""
    host.system.run(REPAIR, host.say, env=ENV, timeout=LIMIT)
