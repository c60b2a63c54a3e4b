"""Empty this host before it goes: no new work is taken, running jobs end within their grace."""

from __future__ import annotations

import errno
from pathlib import Path

from . import jobs, lanes, storage
from .converge import POLL, patience
from .layout import Layout
from .ledger import Ledger
from .system import Say, System

GIVE_BACK = 60  # seconds for the queue to answer


def drain(layout: Layout, host: str, machine: str, system: System, say: Say) -> str:
    """End all workers of the app on that machine; on another behind its address, nothing.

    A host that goes on under another name is another, too: its new one has just been released to.
    """
    if not layout.identity.is_file():
        return "not prepared: nothing to drain"
    found = Ledger(layout).identity()
    if (found["host"], found["machine"]) != (host, machine):
        here = f"{found['host']}, machine {found['machine']}"
        return f"this is {here}, not {host}, machine {machine}: nothing to drain"
    _end_rotation(layout, system, say)
    storage.write(layout.draining, "")
    try:
        return _drain(layout, system, say)
    finally:
        storage.remove(layout.draining)


def _drain(layout: Layout, system: System, say: Say) -> str:
    # a release on a machine that goes is of no use, and its recovery would start workers again
    end_release(layout, system, say)
    with storage.locked(layout.lock, "drain"):
        # not again at the next boot, should the machine be rebooted before it is terminated
        _remove(layout.wants / layout.target, say)
        _remove(layout.journal, say)  # nor by a recovery that waits for this
        system.systemctl("daemon-reload")
        units = lanes.running(system.units([layout.worker_units]), queued=True)
        if units:
            say(f"draining {len(units)} workers")
            system.systemctl("stop", "--no-block", "--", layout.target, *units)
            _wait(layout, units, system)
        _give_back(layout, system, say)
        Ledger(layout).record("drained", workers=len(units))
    return f"drained, {len(units)} workers ended"


def _give_back(layout: Layout, system: System, say: Say) -> None:
    """What workers held that did not end cleanly; with the machine, their names would be lost."""
    end = system.now() + GIVE_BACK
    while not jobs.reap(layout, system, say):
        if system.now() > end:
            raise TimeoutError(
                f"jobs that its workers held could not be given back within {GIVE_BACK} s: mend "
                "the queue and try again, or declare the host lost"
            )
        system.sleep(1)


def _end_rotation(layout: Layout, system: System, say: Say) -> None:
    """The token goes with its host, and nothing of its own starts a worker there again."""
    _remove(layout.heroku, say)
    if (layout.units / layout.rotate_timer).exists():
        _remove(layout.timers / layout.rotate_timer, say)
        system.systemctl("stop", "--", layout.rotate_timer, layout.rotate_unit)


def _remove(path: Path, say: Say) -> None:
    """Remove the file, unless its disk is read-only: no worker runs on for that."""
    try:
        storage.remove(path)
    except OSError as problem:
        if problem.errno != errno.EROFS:
            raise
        say(f"{path} cannot be removed: {problem.strerror}")


def end_release(layout: Layout, system: System, say: Say) -> bool:
    """End the release that runs here, its recovery included; False where there is none."""
    unit = system.units([layout.release_unit]).get(layout.release_unit)
    if unit is None or unit.active not in ("active", "activating"):
        return False
    say("ending the release that runs here")
    system.systemctl("stop", "--", layout.release_unit)
    return True


def _wait(layout: Layout, units: list[str], system: System) -> None:
    """Until all have ended; systemd sees to each one's grace, so this limit is for its hanging."""
    limit = patience(layout)
    end = system.now() + limit
    while lanes.running(system.units(units), queued=True):
        if system.now() > end:
            raise TimeoutError(f"workers still run {limit} s after they were told to end")
        system.sleep(POLL)
