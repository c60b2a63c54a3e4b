"""How this host reads the app's repository."""

from __future__ import annotations

from . import storage
from .preparation import Preparation


def grant(host: Preparation) -> bool:
    """The deploy key and the git server's pinned host keys, for root alone."""
    layout, key = host.layout, str(host.bundle.get("deploy_key") or "")
    if bool(key) != bool(host.manifest.deploy_key):
        raise ValueError("deploy_key: the manifest and the bundle should both have one or neither")
    lines = "".join(f"{line}\n" for line in host.manifest.known_hosts)
    changed = storage.write(layout.known_hosts, lines)
    if key:
        return storage.write(layout.deploy_key, key.rstrip("\n") + "\n") or changed
    return storage.remove(layout.deploy_key) or changed
