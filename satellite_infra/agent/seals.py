"""The app's own files of a bootstrap, as they were at its end."""

from __future__ import annotations

from . import seal
from .preparation import Preparation


def put(host: Preparation) -> bool:
    """Write down how they are; the machine's own files are other apps', too."""
    layout = host.layout
    files = [layout.sudoers, layout.logrotate, layout.monit, layout.metadata_rules, layout.apt_pins]
    files += [layout.identity, layout.deploy_key, layout.known_hosts, layout.heroku, layout.queue]
    own = (layout.recover_unit, layout.reap_unit, layout.metadata_unit)
    timed = (layout.rotate_unit, layout.rotate_timer, layout.queue_unit, layout.queue_timer)
    files += [layout.units / unit for unit in (*own, *timed)]
    files += sorted(layout.apt_source("any").parent.glob(f"satellite-{layout.app}.*.sources"))
    return seal.write(layout.seal, files)
