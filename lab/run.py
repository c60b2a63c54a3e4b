"""The outer side of a lab: three processes outside of its namespaces, and who ends what.

supervisor (this process)   what the caller waits for, signals, and may kill
  ├─ watcher                removes what is left on disk and in cgroups, also after a kill -9
  └─ PID 1 of the lab       lab.namespace; the kernel kills it when the supervisor ends
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from typing import NoReturn

from lab import apt, base, kernel, namespace, rundir, tools
from lab.base import Image
from lab.rundir import Run

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 4096  # about seven per machine; kernels start with 128 for all of a user's
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run(command: list[str]) -> int:
    """Run the command in a new lab and return its exit status. We are root."""
    tools.need(tools.RUNNING)
    configuration = apt.read()
    image = base.ensure()
    collect()
    _raise_inotify_limit()
    signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, signal.SIGCHLD))
    lab, _lock = rundir.create()
    lab.group.create()
    lab.group.weigh()
    lifeline, ours = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        os.close(ours)
        _watch(lab, lifeline)
    os.close(lifeline)
    init = _start_init(lab, image, configuration, command, ours)
    os.write(ours, f"{init}\n".encode())
    status = _supervise(init)
    os.close(ours)
    os.waitpid(watcher, 0)
    return status


def collect() -> list[Run]:
    """Remove what labs left behind that were killed together with their watchers."""
    found = list(rundir.left_over())
    for lab in found:
        lab.sweep()
    return found


def _start_init(
    lab: Run, image: Image, configuration: apt.Apt, command: list[str], lifeline: int
) -> int:
    """Fork PID 1. It goes on only while we live, whichever moment we are killed at."""
    wait, go = os.pipe()
    kernel.unshare(kernel.NEWPID)
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.close(lifeline)
        kernel.die_with_parent()
        if not os.read(wait, 1):
            os._exit(1)
        os.close(wait)
        namespace.main(lab, image, configuration, command)
    os.write(go, b"\n")
    os.close(go)
    os.close(wait)
    return pid


def _supervise(init: int) -> int:
    """Wait for PID 1; hand on the signals that we are sent, but not those of the terminal.

    That a terminal is gone, however, the kernel tells the first process of a session alone.
    """
    while True:
        info = signal.sigwaitinfo((*FORWARDED, signal.SIGCHLD))
        if info.si_signo != signal.SIGCHLD:
            if info.si_code <= 0 or info.si_signo == signal.SIGHUP:
                os.kill(init, info.si_signo)
            continue
        pid, status = os.waitpid(init, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _watch(lab: Run, lifeline: int) -> NoReturn:
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        with os.fdopen(lifeline) as messages:
            first = messages.readline()
            process = os.pidfd_open(int(first)) if first else None
            messages.read()  # until the supervisor is gone
        if process is not None:
            signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
            _wait_for(process)
        lab.sweep()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _wait_for(process: int) -> None:
    """Wait until PID 1 has ended: the kernel lets it go last of all its namespace."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()


def _raise_inotify_limit() -> None:
    """Without it the eighteenth machine or so fails; where it is not ours to set, fewer must do."""
    try:
        if int(INOTIFY.read_text()) < INOTIFY_WANTED:
            INOTIFY.write_text(str(INOTIFY_WANTED))
    except OSError:
        return
