"""Make a machine a host: a list of steps, each of which says whether it changed something.

None restarts or stops a worker. Each can be the last thing that happens: the next run finishes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from . import (
    accounts,
    apt_sources,
    cloud_init,
    directories,
    install,
    logrotate,
    metadata,
    monit,
    needrestart,
    packages,
    progress,
    queue_metrics,
    repository_access,
    rotation,
    ruby,
    seals,
    sshd,
    storage,
    sudoers,
    upgrades,
)
from .preparation import Preparation, Step
from .system import CommandError

STEPS: tuple[tuple[str, Step], ...] = (
    ("cloud-init", cloud_init.wait),
    ("environment", install.environment),
    ("login keys", accounts.login_keys),
    ("needrestart", needrestart.leave_workers),
    ("package sources", apt_sources.declare),
    ("packages", packages.install),
    ("user", accounts.user),
    ("app keys", accounts.app_keys),
    ("directories", directories.make),
    ("repository access", repository_access.grant),
    ("sudo", sudoers.allow),
    ("log rotation", logrotate.rotate),
    ("sshd", sshd.protect),
    ("unattended upgrades", upgrades.set_up),
    ("agent", install.agent),
    ("identity", install.identity),
    ("units", install.housekeeping),
    ("metadata", metadata.set_up),
    ("ruby", ruby.install),
    ("monit", monit.set_up),
    ("rotation", rotation.set_up),
    ("queue metrics", queue_metrics.set_up),
)


def bootstrap(host: Preparation, begin: Callable[[str], None] = lambda _: None) -> str:
    """Do what is not done yet; a line for each step, and a last one that sums up.

    `begin` hears each step's name before it, and for whom it waits.
    """
    done: list[tuple[str, bool]] = []
    lock, why = host.layout.bootstrap_lock, f"bootstrap of {host.manifest.app}"
    old = lock.with_name("bootstrap")  # an older agent's, where an app of that name has a folder
    if old.is_file():
        storage.remove(old)
    with storage.locked(lock, why, lambda holder: begin(f"{progress.WAITS}{holder}")):
        for name, step in STEPS:
            begin(name)
            try:
                done.append((name, step(host)))
            except (CommandError, OSError, ValueError, LookupError) as problem:
                raise CommandError(f"bootstrap FAILED in step `{name}`: {problem}") from problem
        seals.put(host)  # follows from the others, and is no step of its own
    lines = [f"{name}: {'changed' if changed else 'already right'}" for name, changed in done]
    return "\n".join([*lines, summary(done)])


def summary(done: Sequence[tuple[str, bool]]) -> str:
    """What changed, and what was already right, in one line."""
    changed = ", ".join(name for name, change in done if change) or "nothing"
    right = ", ".join(name for name, change in done if not change) or "nothing"
    return f"changed: {changed}; already right: {right}"
