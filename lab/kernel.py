"""System calls that Python 3.11 does not wrap."""

from __future__ import annotations

import ctypes
import os
import signal

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWPID = 0x20000000
NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move this process (NEWPID: its next children) into new namespaces."""
    _check(_libc.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """Join the namespace that an open file of /proc/PID/ns stands for."""
    _check(_libc.setns(descriptor, kind))


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends, however it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
