"""The distribution's packages."""

from __future__ import annotations

from collections.abc import Sequence

from . import apt, storage
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


def pins(names: Sequence[str]) -> str:
    """What keeps apt, unattended upgrades too, at the version of each `NAME=VERSION`."""
    pinned = (name.partition("=") for name in sorted(names))
    each = (
        # above 1000: also where a newer one is installed
        f"\nPackage: {name}\nPin: version {version}\nPin-Priority: 1001\n"
        for name, _, version in pinned
        if version
    )
    text = "".join(each)
    return f"# Written by Satellite: satellite:packages.\n{text}" if text else ""


def install(host: Preparation) -> bool:
    """Install what is missing; the network is asked only then."""
    text, path = pins(host.manifest.packages), host.layout.apt_pins
    changed = storage.write(path, text, 0o644) if text else storage.remove(path)
    missing = _missing(host, wanted(host.manifest))
    if missing:
        # a person may have made it a newer one, or want an older one now
        options = ["--allow-downgrades"] if any("=" in name for name in missing) else []
        argv = ("install", "--no-install-recommends", *options, "--", *missing)
        apt.get(host, "update")
        try:
            apt.get(host, *argv)
        except CommandError:
            apt.repair(host)
            apt.get(host, *argv)
    return changed or bool(missing)


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
