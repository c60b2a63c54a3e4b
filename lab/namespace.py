"""PID 1 of a lab: builds its namespaces, starts its services and the command, and ends with it.

All the lab's processes live in a PID namespace: when this process ends, the kernel kills every one
of them, and with the last of them mounts, network and names are gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from lab import kernel, network, relay, services
from lab.apt import Apt
from lab.base import Image
from lab.errors import LabError
from lab.rundir import Run

STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
WATCHED = (*STOPPING, signal.SIGCHLD, services.READY)
PATIENCE = 5  # seconds for the command to end after SIGTERM or SIGHUP
RESOLV_CONF = Path("/etc/resolv.conf")
HIDDEN = ("/run/systemd", "/run/netns", "/run/nscd")  # outer resolvers, outer machines


def main(run: Run, image: Image, apt: Apt, command: list[str]) -> NoReturn:
    """Run the command inside; ends with its exit status, 128 + N where signal N ended it."""
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        outside = {
            r.name: network.outside_address(i)
            for i, r in enumerate({r.name: r for r in apt.relays}.values())
        }
        _enter(run, apt, outside)
        service = os.fork()
        if service == 0:
            services.main(run, image, apt, outside)
        status = _Init(run, command, service).loop()
    except (LabError, OSError) as error:
        print(error if isinstance(error, LabError) else f"lab: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _enter(run: Run, apt: Apt, outside: dict[str, str]) -> None:
    outer_network = os.open("/proc/self/ns/net", os.O_RDONLY)
    kernel.unshare(kernel.NEWNET)
    network.build_gateway(outside.values())
    doors = [relay.listen(entry, outside[entry.name]) for entry in apt.relays]
    relay.start(doors, outer_network)
    os.close(outer_network)
    kernel.unshare(kernel.NEWNS)
    _mount("--make-rprivate", "/")
    _mount("-t", "proc", "proc", "/proc")
    for directory in HIDDEN:
        if directory == "/run/netns" or Path(directory).exists():
            Path(directory).mkdir(exist_ok=True)
            _mount("-t", "tmpfs", "tmpfs", directory)
    _use_our_dns(run.directory / "resolv.conf")


def _use_our_dns(ours: Path) -> None:
    ours.write_text(f"nameserver {network.GATEWAY}\n")
    target = RESOLV_CONF.resolve()  # often a link to what systemd-resolved writes, hidden by now
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount("--bind", str(ours), str(target))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


class _Init:
    """Waits in one place for whatever happens: children that end, signals, services' readiness."""

    def __init__(self, run: Run, command: list[str], service: int) -> None:
        self._run = run
        self._command = command
        self._service = service
        self._pid: int | None = None
        self._end: float | None = None

    def loop(self) -> int:
        while True:
            wait = 3600 if self._end is None else max(0.0, self._end - time.monotonic())
            info = signal.sigtimedwait(WATCHED, wait)
            if info is None:
                if self._end is not None:
                    return 128 + signal.SIGTERM
            elif info.si_signo == signal.SIGCHLD:
                if (status := self._reap()) is not None:
                    return status
            elif info.si_signo == services.READY:
                self._start()
            elif self._pid is None:
                return 128 + info.si_signo
            else:
                self._pass_on(info)

    def _reap(self) -> int | None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if pid == self._service:
                raise LabError(f"lab: its services ended; see above\n{self._run.said()}")

    def _start(self) -> None:
        variables = json.loads((self._run.directory / services.ENVIRONMENT).read_text())
        self._pid = os.fork()
        if self._pid == 0:
            own = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
            _execute(self._command, own | variables)

    def _pass_on(self, info: signal.struct_siginfo) -> None:
        assert self._pid is not None
        if info.si_code > 0:
            return  # typed at the terminal: the command has got it, too
        os.kill(self._pid, info.si_signo)
        if info.si_signo != signal.SIGINT:
            self._end = time.monotonic() + PATIENCE


def _execute(command: list[str], environment: dict[str, str]) -> NoReturn:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        print(f"lab: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)
