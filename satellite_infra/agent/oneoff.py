"""A one-off process: a command of a person, in the current release and its environment."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import Any, NoReturn

from . import workers
from .layout import Layout
from .ledger import Ledger

FROM_HERE = ("TERM", "COLUMNS", "LINES")
"""What it sees of the connection that asks for it."""
TELLING = (signal.SIGTERM, signal.SIGHUP)
TYPED = (signal.SIGINT, signal.SIGQUIT)
"""Signals that the command gets itself at a terminal."""
NOT_RUN = 126
"""Status of a command that could not be begun, as a shell has it."""
BY_SIGNAL = 128
"""And of one that a signal has ended, with the signal's number added: SSH would say 255 for it."""


def run(layout: Layout, command: str) -> int:
    """The exit status of that shell command, run as the app's user; LookupError without a release.

    The release is not pruned while a process stands in it. Where the connection ends first, the
    command is told so as by a terminal that is closed.
    """
    ledger = Ledger(layout)
    release = ledger.current()
    if release is None:
        raise LookupError("no release runs here yet: deploy first")
    env = {
        **workers.environment(layout, release, ledger.config(release)),
        **{name: os.environ[name] for name in FROM_HERE if name in os.environ},
    }
    apart = not os.isatty(0)  # a terminal tells its whole group by itself
    # until there is somebody to hand them on to
    signal.pthread_sigmask(signal.SIG_BLOCK, TELLING + TYPED)
    child = os.fork()
    if not child:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TELLING + TYPED)
            _become(layout, release, command, env, apart)
        except Exception as problem:  # noqa: BLE001 - this process ends here
            print(problem, file=sys.stderr, flush=True)
        finally:
            os._exit(NOT_RUN)
    return _ended(child, apart)


def _become(
    layout: Layout, release: str, command: str, env: dict[str, str], apart: bool
) -> NoReturn:
    if apart:
        os.setpgid(0, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what it becomes would
    workers.become(layout.app)
    os.chdir(layout.releases / release)
    env = {**env, "PS": f"run.{os.getpid()}"}
    os.execve("/bin/bash", ["/bin/bash", "-c", "--", command], env)


def _ended(child: int, apart: bool) -> int:
    """Wait for the command, and for the end of the connection."""

    def hand_on(number: int, _frame: Any = None) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            (os.killpg if apart else os.kill)(child, number)

    if apart:
        with contextlib.suppress(OSError):  # it has done so itself, and begun
            os.setpgid(child, child)
    for number in TYPED:
        signal.signal(number, signal.SIG_IGN)
    for number in TELLING:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TELLING + TYPED)
    watch = select.poll()
    with contextlib.suppress(OSError):  # it may be closed
        os.fstat(1)
        watch.register(1, 0)  # of a connection: nobody reads it any more
    end = os.pidfd_open(child)
    watch.register(end, select.POLLIN)
    while True:
        seen = {handle for handle, _ in watch.poll()}
        if end in seen:
            break
        watch.unregister(1)
        hand_on(signal.SIGHUP)
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else BY_SIGNAL + os.WTERMSIG(status)
