"""The distribution's packages."""

from __future__ import annotations

from . import apt
from .bootstrap_manifest import BootstrapManifest
from .preparation import Preparation
from .system import CommandError

ALWAYS = ("ca-certificates", "git", "logrotate", "openssh-client", "tar")
QUERY = "--showformat=${Package} ${Architecture} ${Version} ${db:Status-Status}\\n"


def wanted(manifest: BootstrapManifest) -> list[str]:
    """What the app, this program and the settings need, each as apt is told it."""
    wall = () if manifest.app_metadata == "allowed" else ("nftables",)
    upgrades = ("unattended-upgrades",) if manifest.unattended_upgrades else ()
    monit = ("monit",) if manifest.monit else ()
    return sorted({*ALWAYS, *wall, *upgrades, *monit, *manifest.packages})


def install(host: Preparation) -> bool:
    """Install what is missing; the network is asked only then."""
    missing = _missing(host, wanted(host.manifest))
    if missing:
        argv = ("install", "--no-install-recommends", "--", *missing)
        apt.get(host, "update")
        try:
            apt.get(host, *argv)
        except CommandError:
            apt.repair(host)
            apt.get(host, *argv)
    return bool(missing)


def _missing(host: Preparation, names: list[str]) -> list[str]:
    """Those that are not installed; `NAME=VERSION` is one that another version does not fulfil."""
    argv = ["dpkg-query", "--show", QUERY, *(name.partition("=")[0] for name in names)]
    _, text = host.system.output(argv)
    present: set[str] = set()
    for words in (line.split() for line in text.splitlines() if line.endswith(" installed")):
        name, architecture, version, _ = words
        both = (name, f"{name}:{architecture}")
        present.update((*both, *(f"{one}={version}" for one in both)))
    return [name for name in names if name not in present]
