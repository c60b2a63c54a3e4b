"""Whether this host follows Heroku by itself: its token, and the timer of its turns."""

from __future__ import annotations

import json

from . import storage, units
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
    changed = [storage.write(layout.units / file.name, file.content, 0o644) for file in files]
    wants = layout.timers / layout.rotate_timer
    wants.parent.mkdir(exist_ok=True)
    changed.append(storage.point(wants, layout.units / layout.rotate_timer))
    read = host.system.reload([file.name for file in files], any(changed))
    stopped = not host.system.runs(layout.rotate_timer)  # perhaps by hand
    if read or stopped or not storage.same(layout.heroku, text, 0o600):
        host.system.systemctl("start", "--", layout.rotate_timer)
    # last: a run that was cut off before has the next one start the timer
    return storage.write(layout.heroku, text) or stopped or any(changed)


def _remove(host: Preparation) -> bool:
    layout = host.layout
    wants = layout.timers / layout.rotate_timer
    timer, unit = (layout.units / name for name in (layout.rotate_timer, layout.rotate_unit))
    if not any(path.exists() for path in (layout.heroku, layout.rotation, timer, unit)):
        return False
    if timer.exists():
        host.system.systemctl("stop", "--", layout.rotate_timer)
    for path in (wants, timer, unit):
        storage.remove(path)
    host.system.systemctl("daemon-reload")
    # last: while they are there, a run that was cut off goes on here
    for path in (layout.rotation, layout.heroku):
        storage.remove(path)
    return True
