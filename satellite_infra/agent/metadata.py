"""A wall between the app's processes and the instance's metadata, from which its role speaks.

It is made of the machine's own firewall, in a table of its own, and stands before workers start.
"""

from __future__ import annotations

from . import own_units, storage, units
from .layout import Layout
from .preparation import Preparation
from .system import CommandError, System


def set_up(host: Preparation) -> bool:
    """Whether the app reaches the instance's metadata."""
    if host.manifest.app_metadata == "allowed":
        return allow(host.layout, host.system)
    return block(host.layout, host.app()[0], host.system)


def block(layout: Layout, uid: int, system: System) -> bool:
    """Let no packet of that user out to the metadata addresses; True when one could get out."""
    unit, rules = units.wall(layout), layout.metadata_rules
    changed = storage.write(rules, units.wall_rules(layout, uid))
    new = own_units.enable(layout, [unit], [layout.wants / unit.name], system)
    if not changed and not new and stands(layout, system) and system.runs(unit.name):
        return False
    status, text = system.output(["nft", "-f", str(rules)])  # its own words, should it fail
    if status:
        raise CommandError(
            f"nft cannot keep {layout.app} from the instance's metadata: {text.strip()}; on a "
            "machine without such metadata set satellite:app_metadata to allowed"
        )
    system.systemctl("restart", unit.name)
    return True


def allow(layout: Layout, system: System) -> bool:
    """Take the wall away; True when there was one."""
    if not layout.metadata_rules.exists():
        return False
    own_units.disable(layout, [layout.metadata_unit], system)
    if stands(layout, system):
        status, text = system.output(["nft", "delete", "table", "inet", layout.table])
        if status:
            raise CommandError(f"nft cannot delete table {layout.table}: {text.strip()}")
    storage.remove(layout.metadata_rules)  # last: a run that is cut off is made again
    return True


def stands(layout: Layout, system: System) -> bool:
    """Whether the firewall has the app's table; none where its program was purged."""
    try:
        return system.output(["nft", "list", "table", "inet", layout.table])[0] == 0
    except FileNotFoundError:
        return False
