"""Whether this host follows Heroku by itself: its token, and the timer of its turns."""

from __future__ import annotations

import json

from . import own_units, storage, units
from .preparation import Preparation
from .turns import Turns


def set_up(host: Preparation) -> bool:
    """Have the timer run with what the manifest says, or have neither timer nor token."""
    layout, rotation = host.layout, host.manifest.rotation
    token = str(host.bundle.get("heroku_host_token") or "")
    if bool(token) != bool(rotation):
        raise ValueError(
            "heroku_host_token: the manifest and the bundle should both have one or neither"
        )
    if rotation is None:
        return _remove(host)
    turns = Turns(rotation.minutes, rotation.place, rotation.hosts)
    asked = {"app": rotation.app, "token": token, **turns._asdict()}
    text = json.dumps(asked, indent=1, sort_keys=True) + "\n"
    files = units.rotation(layout, turns.calendar())
    changed = own_units.enable(layout, files, [layout.timers / layout.rotate_timer], host.system)
    stopped = not host.system.runs(layout.rotate_timer)  # perhaps by hand
    if changed or stopped or not storage.same(layout.heroku, text, 0o600):
        host.system.systemctl("start", "--", layout.rotate_timer)
    # last: a run that was cut off before has the next one start the timer
    return storage.write(layout.heroku, text) or stopped or changed


def _remove(host: Preparation) -> bool:
    layout = host.layout
    names, known = (layout.rotate_timer, layout.rotate_unit), (layout.rotation, layout.heroku)
    if not any(path.exists() for path in (*known, *(layout.units / name for name in names))):
        return False
    # a turn that is under way ends by itself: it may wait for a release
    own_units.disable(layout, names, host.system, go_on=[layout.rotate_unit])
    # last: while they are there, a run that was cut off goes on here
    for path in known:
        storage.remove(path)
    return True
