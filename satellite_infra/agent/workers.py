"""Workers on this host: how one starts, and how its end is noticed.

No two live processes ever share a name: it carries host, machine and a part made at each start.
A note on disk is written before the process becomes the app's, and goes when the worker ended
cleanly, or when the jobs it held were given back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from . import backoff, limits, procfile, ruby, storage
from .layout import Layout
from .ledger import Ledger
from .manifest import Process, ReleaseManifest
from .system import CommandError, System, user_environment

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Note:
    """One started worker: its name, and what tells its process from any other."""

    name: str
    type: str
    number: int
    release: str
    shape: str  # what must be the same for the worker to be left alone
    pid: int
    started: str  # clock ticks since boot, of /proc/PID/stat
    boot: str
    lane: int = 0
    since: float = 0  # seconds since boot when it became the app's process
    on_kill: str = ""  # how its jobs are given back, in an environment with these variables
    env: Mapping[str, str] = field(default_factory=dict)

    def alive(self) -> bool:
        """The very process still runs."""
        return self.boot == boot_id() and self.started == process_start(self.pid)


def shape(release: str, process: Process) -> str:
    """What a worker was started from; not grace and signal, which systemd can change alone."""
    parts = [release, process.type, process.command, process.memory_max]
    # only where they are set: workers that an earlier agent started are the same still
    parts += [f"cpu {process.cpu}"] if process.cpu else []
    # earlier ones have their limits from a unit file that is there no more
    parts += ["limits of its own"] if process.memory_max or process.cpu else []
    parts += [f"on_kill {process.on_kill}"] if process.on_kill else []
    parts += [f"env {name}={value}" for name, value in sorted(process.env.items())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def notes(layout: Layout) -> list[Note]:
    """All notes, in the order of their names."""
    if not layout.notes.is_dir():
        return []
    found = (storage.read_json(path) for path in sorted(layout.notes.glob("*.json")))
    return [Note(**note) for note in found if note]


def live(layout: Layout) -> dict[str, Note]:
    """The notes of live workers, by unit."""
    return {layout.worker_unit(n.type, n.number, n.lane): n for n in notes(layout) if n.alive()}


def commands(release: Path, manifest: ReleaseManifest) -> dict[str, str]:
    """Process type -> command; ValueError names each that neither settings nor Procfile know."""
    known = procfile.read(release)
    wanted = {p.type: p.command or known.get(p.type, "") for p in manifest.processes}
    missing = [
        f"processes/{type_}: should be in the Procfile (it has: {', '.join(known) or 'nothing'}) "
        "or have a command"
        for type_, command in wanted.items()
        if not command
    ]
    if missing:
        raise ValueError("; ".join(missing))
    return wanted


def environment(layout: Layout, release: str, config: Mapping[str, str]) -> dict[str, str]:
    """What every process of the app sees: a login's variables, then the config vars."""
    return {
        **user_environment(layout.app, layout.home),
        "PATH": ruby.path(layout, release),
        "SATELLITE_RELEASE": release,
        **config,
    }


def work(layout: Layout, type_: str, number: int, lane: int, system: System) -> NoReturn:
    """Become the worker: write the note, drop root, replace this process by the app's command.

    One that ended early is kept waiting first; it has no note yet, so nothing takes it for alive.
    """
    unit = layout.worker_unit(type_, number, lane)
    _wait(layout, unit)
    ledger = Ledger(layout)
    release = ledger.current()
    if release is None:
        raise LookupError(f"{layout.current} points nowhere: there is no release to run")
    manifest = ReleaseManifest.parse(layout.manifest(release).read_text(encoding="utf-8"))
    directory = layout.releases / release
    process = manifest.process(type_)
    command = process.command or commands(directory, manifest)[type_]
    try:
        limits.apply(layout, unit, process, system)
    except CommandError as problem:
        if release not in {target.release for target in ledger.good()}:
            raise  # its gate shall know
        print(f"runs without its limits: {problem}", flush=True)
    identity = ledger.identity()
    name = ".".join(
        (identity["host"], identity["machine"], type_, str(number), os.urandom(4).hex())
    )
    env = {
        **environment(layout, release, {**ledger.config(release), **process.env}),
        **{
            key: os.environ[key] for key in ("INVOCATION_ID", "JOURNAL_STREAM") if key in os.environ
        },
        "PS": f"{type_}.{number}",
        "WORKER_NAME": name,
    }
    note = Note(
        name=name,
        type=type_,
        number=number,
        release=release,
        shape=shape(release, process),
        pid=os.getpid(),
        started=process_start(os.getpid()),
        boot=boot_id(),
        lane=lane,
        since=time.monotonic(),
        on_kill=process.on_kill,
        env=process.env,
    )
    storage.write_json(layout.notes / f"{name}.json", asdict(note))
    become(layout.app)
    os.chdir(directory)
    os.execve("/bin/bash", ["/bin/bash", "-c", command], env)


def ended(layout: Layout, type_: str, number: int, lane: int, system: System) -> None:
    """Called by systemd after a worker ended: forget a clean end, have other ends reaped."""
    me = (type_, number, lane)
    dead = [n for n in notes(layout) if (n.type, n.number, n.lane) == me and not n.alive()]
    clean = (os.environ.get("EXIT_CODE"), os.environ.get("EXIT_STATUS")) == ("exited", "0")
    unit = layout.worker_unit(*me)
    if clean:
        backoff.forget(layout, [unit])
    elif dead:
        _count(layout, unit, dead)
    if clean and not outlived(dead):
        for note in dead:
            storage.remove(layout.notes / f"{note.name}.json")
    elif dead:
        system.systemctl("start", "--no-block", layout.reap_unit)


def outlived(dead: Sequence[Note]) -> set[str]:
    """The names that processes still carry whose worker has ended, such as the child of a shell."""
    marks = {f"WORKER_NAME={note.name}".encode(): note.name for note in dead}
    found: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/environ") if marks else ():
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.update(marks[pair] for pair in path.read_bytes().split(b"\0") if pair in marks)
    return found


def boot_id() -> str:
    """Which boot of the machine this is."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def process_start(pid: int) -> str:
    """When the process started; empty where there is none. With pid and boot it is unique."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields: list[Any] = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else str(fields[19])


def _count(layout: Layout, unit: str, dead: Sequence[Note]) -> None:
    """Count an end that was no clean one; from the second in a row on the next start waits."""
    ran = time.monotonic() - max(note.since for note in dead)
    in_a_row = backoff.count(layout, unit, ran)
    if in_a_row > 1:
        how = os.environ.get("SERVICE_RESULT", "unknown")
        print(f"ended after {ran:.0f} s ({how}), {in_a_row} times in a row", flush=True)


def _wait(layout: Layout, unit: str) -> None:
    """Wait as long as the worker's last ends ask for, and say so; any signal ends it at once."""
    ends = backoff.ends(layout, unit)
    seconds = backoff.pause(ends) - backoff.FIRST
    if seconds > 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        text = f"ended early {ends} times in a row; starts again in {seconds} s"
        print(text, flush=True)
        backoff.show(text)
        time.sleep(seconds)
    if ends > 1:
        backoff.show(f"running; before, ended early {ends} times in a row")


def become(user: str) -> None:
    """Have this process be that user's."""
    entry = pwd.getpwnam(user)
    os.umask(0o022)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
