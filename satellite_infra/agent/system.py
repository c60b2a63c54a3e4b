"""The one place that runs other programs."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, NamedTuple

if TYPE_CHECKING:
    import subprocess

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Say = Callable[[str], None]
REFUSED = "Failed to restart "
"""How `systemctl` begins what it says of a unit that it has not even tried to start anew. Jobs that
have failed, and a connection that was lost (systemd executed itself anew), it words otherwise."""
GONE = (
    "Transport endpoint is not connected",
    "disconnected from message bus",
    "Connection reset by peer",
    "Connection refused",
    "Failed to connect to bus",
    "Connection timed out",
)
"""What it says where systemd does not listen, for a moment."""
ANEW = 15  # seconds that systemd may take to execute itself anew
AGAIN = 0.2  # seconds between two questions meanwhile
LATE = 124
"""Status of a program that had to be killed; as coreutils' `timeout` says it."""
MOMENT = 1.0  # seconds for the last words of what a program has started, once that has ended
EACH = 1.0  # second between two looks at what may happen meanwhile
CHUNK = 1 << 16  # bytes that are read at once


class CommandError(Exception):
    """A program ended with a status other than 0; the text says which and how."""


class UnitState(NamedTuple):
    """What systemd knows of one unit."""

    name: str
    active: str  # active, inactive, activating, deactivating, failed
    sub: str
    pid: int
    restarts: int
    invocation: str
    job: bool  # a start or stop is queued or under way
    result: str = "success"
    memory: int = 0  # bytes, with cached files; 0 where systemd does not know
    stale: bool = False  # its files are others now than systemd has read
    control: int = 0  # the process of what is run before its start or after its end
    group: str = ""  # its control group; empty where it has none


class System:
    """Programs, systemd and time; tests have another."""

    def run(
        self,
        argv: Sequence[str],
        say: Say,
        *,
        user: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | Path | None = None,
        timeout: float = 1800,
    ) -> None:
        """Run a program, hand on its output by the line; CommandError when it fails or is late.

        It has ended when it has, whatever it leaves behind; `timeout` is in seconds.
        """
        import subprocess  # slow to load, and a worker's start and end run no other program

        with _source(stdin) as source:
            process = subprocess.Popen(
                list(argv),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={"PATH": PATH, "LANG": "C.UTF-8", **(env or {})},
                start_new_session=True,
                **_identity(user),
            )
        late = _hear(process, say, timeout)
        status = process.wait()
        if late:
            raise CommandError(f"`{argv[0]}` did not end within {timeout:.0f} s")
        if status:
            how = f"status {status}" if status > 0 else signal.Signals(-status).name
            raise CommandError(f"`{' '.join(argv)}` ended with {how}")

    def own(self, path: Path, user: str) -> None:
        """Give the directory to that user."""
        os.chown(path, *self.ids(user))

    def ids(self, user: str) -> tuple[int, int]:
        """That user's own number, and that of its group."""
        entry = pwd.getpwnam(user)
        return entry.pw_uid, entry.pw_gid

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        """The exit status and the output of a short program that runs as root.

        As `subprocess` has it, which is slow to load; who only asks needs nothing else of it.
        """
        reads, writes = os.pipe()
        with os.fdopen(reads, encoding="utf-8", errors="replace") as output:
            try:
                pid = _begun(argv, writes)
            finally:
                os.close(writes)
            try:
                text = output.read()
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text

    def systemctl(self, *argv: str) -> str:
        """The output of `systemctl`; CommandError with its own words.

        Where systemd executes itself anew, as after its own upgrade, it is asked again: whatever it
        may have done by then is the same when it is done twice.
        """
        end = self.now() + ANEW
        while True:
            status, text = self.output(["systemctl", *argv])
            if not status:
                return text
            if self.now() > end or not any(words in text for words in GONE):
                raise CommandError(f"`systemctl {' '.join(argv)}`: {text.strip()}")
            self.sleep(AGAIN)

    def runs(self, unit: str) -> bool:
        """Whether that unit is active."""
        return self.output(["systemctl", "is-active", "--quiet", "--", unit])[0] == 0

    def restart(
        self, names: Sequence[str], seconds: float, meanwhile: Callable[[], None] | None = None
    ) -> bool:
        """Have these units start anew; True once all have, if they do within so many seconds.

        CommandError with systemd's own words where it does not even try. It tells `systemctl` when
        they are there, which costs far less than to ask again and again. `meanwhile` is called once
        a second.
        """
        if not seconds:
            self.systemctl("restart", "--no-block", "--", *names)
            return False
        argv = ["systemctl", "restart", "--", *names]
        status, text = _in_time(argv, seconds, meanwhile or (lambda: None))
        if any(line.startswith(REFUSED) for line in text.splitlines()):
            raise CommandError(f"`{' '.join(argv)}`: {text.strip()}")
        return not status  # a job that failed or was replaced: the units say more

    def reload(self, names: Iterable[str], changed: bool) -> bool:
        """Have systemd read these units' files where they changed; True if it had to.

        `changed` says so, or systemd: a run that was cut off may have changed them.
        """
        if not changed:
            text = self.systemctl("show", "--property=NeedDaemonReload", "--", *names)
            changed = "NeedDaemonReload=yes" in text
        if changed:
            self.systemctl("daemon-reload")
        return changed

    def units(self, names: Iterable[str]) -> dict[str, UnitState]:
        """The state of the named units (patterns match loaded ones), by name."""
        wanted = list(names)
        if not wanted:
            return {}
        properties = "Id,ActiveState,SubState,MainPID,NRestarts,InvocationID,Job,Result"
        properties += ",MemoryCurrent,NeedDaemonReload,ControlPID,ControlGroup"
        found = (_unit(pairs) for pairs in self.show(wanted, properties))
        return {unit.name: unit for unit in found}

    def show(self, names: Iterable[str], properties: str) -> list[dict[str, str]]:
        """These properties of the named units (patterns match loaded ones), as systemd says."""
        text = self.systemctl("show", f"--property={properties}", "--", *names)
        blocks = (block.split("\n") for block in text.split("\n\n") if block.strip())
        return [dict(line.split("=", 1) for line in lines if "=" in line) for lines in blocks]

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970, on the clock that all hosts share."""
        return time.time()


def _source(stdin: str | Path | None) -> BinaryIO:
    """What a program reads; a text from memory, where nobody waits for the program to read it."""
    if not isinstance(stdin, str):
        return (stdin or Path(os.devnull)).open("rb")
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(stdin.encode("utf-8", "replace"))
    file.seek(0)
    return file


def _hear(process: subprocess.Popen[bytes], say: Say, limit: float) -> bool:
    """Hand on what it prints until it ends; after so many seconds kill it. True where it was late.

    What it has started may hold the pipe for as long as it likes: that is heard a moment longer.
    """
    import select

    from .printed import Printed

    printed, poll, late, end = Printed(say), select.poll(), False, time.monotonic() + limit
    assert process.stdout
    with process.stdout as output, os.fdopen(os.pidfd_open(process.pid), "rb", 0) as ended:
        waits = {output.fileno(), ended.fileno()}
        for handle in waits:
            poll.register(handle, select.POLLIN)
        while waits:
            left = end - time.monotonic()
            if left <= 0:
                if ended.fileno() not in waits:
                    break
                os.killpg(process.pid, signal.SIGKILL)
                late, left, end = True, MOMENT, time.monotonic() + MOMENT
            for handle, _ in poll.poll(left * 1000):
                if handle == output.fileno() and (data := os.read(handle, CHUNK)):
                    printed.take(data)
                    continue
                poll.unregister(handle)
                waits.remove(handle)
                if handle == ended.fileno():
                    end = time.monotonic() + MOMENT
    printed.end()
    return late


def _begun(argv: Sequence[str], output: int) -> int:
    """The number of the program's process, the first on PATH that can be started."""
    problem: OSError | None = None
    for place in PATH.split(":"):
        try:
            return os.posix_spawn(
                Path(place, argv[0]),
                list(argv),
                {"PATH": PATH, "LANG": "C.UTF-8"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as found:
            problem = found if not isinstance(found, FileNotFoundError) else problem
    raise problem or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])


def _in_time(argv: Sequence[str], limit: float, meanwhile: Callable[[], None]) -> tuple[int, str]:
    """The exit status and the output of a program, which is killed after so many seconds."""
    import subprocess

    end = time.monotonic() + limit
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"PATH": PATH, "LANG": "C.UTF-8"},
    ) as process:
        try:
            while (left := end - time.monotonic()) > 0:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    text, _ = process.communicate(timeout=min(left, EACH))
                    return process.returncode, text
                meanwhile()
            return LATE, ""
        finally:
            process.kill()  # nothing where it has ended


def user_environment(user: str, home: Path) -> dict[str, str]:
    """What a login would set for that user."""
    return {
        "PATH": PATH,
        "HOME": str(home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
    }


def _identity(user: str | None) -> dict[str, Any]:
    if user is None or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    groups: list[int] = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups, "umask": 0o022}


def _unit(pairs: Mapping[str, str]) -> UnitState:
    return UnitState(
        name=pairs["Id"],
        active=pairs["ActiveState"],
        sub=pairs["SubState"],
        pid=int(pairs.get("MainPID") or 0),
        restarts=int(pairs.get("NRestarts") or 0),
        invocation=pairs.get("InvocationID", ""),
        job=bool(pairs.get("Job")) and pairs["Job"] != "0",
        result=pairs.get("Result", "success"),
        memory=whole(pairs.get("MemoryCurrent")),
        stale=pairs.get("NeedDaemonReload") == "yes",
        control=int(pairs.get("ControlPID") or 0),
        group=pairs.get("ControlGroup", ""),
    )


def whole(text: str | None) -> int:
    """A number of systemd's; 0 for none, which some of its versions write as the largest one."""
    return int(text) if text and text.isdigit() and len(text) < 20 else 0
