"""Workers on this host: how one starts, how its end is noticed, whose jobs must be given back.

No two live processes ever share a name: it carries host, machine and a part made at each start.
A note on disk is written before the process becomes the app's, and goes when the worker ended
cleanly, or when the jobs it held were given back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import procfile, ruby, storage
from .layout import Layout
from .ledger import Ledger
from .manifest import Process, ReleaseManifest
from .system import CommandError, Say, System, user_environment
from .units import template

TOGETHER = 500  # dead workers in one run of an adapter; a crash loop leaves many
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

    def alive(self) -> bool:
        """The very process still runs."""
        return self.boot == boot_id() and self.started == process_start(self.pid)


def shape(release: str, process: Process) -> str:
    """What a running worker was started from; not its grace, which systemd can change alone."""
    parts = (release, process.type, process.command, process.memory_max)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def notes(layout: Layout) -> list[Note]:
    """All notes, in the order of their names."""
    if not layout.notes.is_dir():
        return []
    found = (storage.read_json(path) for path in sorted(layout.notes.glob("*.json")))
    return [Note(**note) for note in found if note]


def live(layout: Layout) -> dict[str, Note]:
    """The notes of live workers, by unit."""
    return {layout.worker_unit(n.type, n.number): n for n in notes(layout) if n.alive()}


def commands(release: Path, manifest: ReleaseManifest) -> dict[str, str]:
    """Process type -> command; ValueError names each that neither settings nor Procfile know."""
    path = release / "Procfile"
    known = procfile.parse(
        path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    )
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


def work(layout: Layout, type_: str, number: int) -> NoReturn:
    """Become the worker: write the note, drop root, replace this process by the app's command."""
    ledger = Ledger(layout)
    release = ledger.current()
    if release is None:
        raise LookupError(f"{layout.current} points nowhere: there is no release to run")
    manifest = ReleaseManifest.parse(layout.manifest(release).read_text(encoding="utf-8"))
    directory = layout.releases / release
    command = commands(directory, manifest)[type_]
    identity = ledger.identity()
    name = ".".join(
        (identity["host"], identity["machine"], type_, str(number), secrets.token_hex(4))
    )
    env = {
        **environment(layout, release, ledger.config(release)),
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
        shape=shape(release, manifest.process(type_)),
        pid=os.getpid(),
        started=process_start(os.getpid()),
        boot=boot_id(),
    )
    storage.write_json(layout.notes / f"{name}.json", asdict(note))
    _become(layout.app)
    os.chdir(directory)
    os.execve("/bin/bash", ["/bin/bash", "-c", command], env)


def ended(layout: Layout, type_: str, number: int, system: System) -> None:
    """Called by systemd after a worker ended: forget a clean end, have other ends reaped."""
    dead = [n for n in notes(layout) if (n.type, n.number) == (type_, number) and not n.alive()]
    clean = (os.environ.get("EXIT_CODE"), os.environ.get("EXIT_STATUS")) == ("exited", "0")
    if clean and not outlived(dead):
        for note in dead:
            storage.remove(layout.notes / f"{note.name}.json")
    elif dead:
        system.systemctl("start", "--no-block", layout.reap_unit)


def reap(layout: Layout, system: System, say: Say) -> bool:
    """Give back the jobs of every dead worker, and forget it; False when it could not be done."""
    done = True
    dead = [note for note in notes(layout) if not note.alive()]
    for name in sorted(outlived(dead)):
        say(f"{name}: ended, but processes that it started still run, maybe its job")
        dead = [note for note in dead if note.name != name]
        done = False
    for release in dict.fromkeys(note.release for note in dead):
        mine = [note.name for note in dead if note.release == release]
        for some in (mine[n : n + TOGETHER] for n in range(0, len(mine), TOGETHER)):
            try:
                give_back(layout, release, some, system, say)
            except (CommandError, OSError, LookupError) as problem:
                say(f"{', '.join(some)}: their jobs could not be given back yet: {problem}")
                done = False
            else:
                for name in some:
                    storage.remove(layout.notes / f"{name}.json")
    return done


def give_back(layout: Layout, release: str, names: Sequence[str], system: System, say: Say) -> None:
    """Have the queue release what exactly these dead workers held, where the queue is known."""
    ledger = Ledger(layout)
    here = release if (layout.releases / release).is_dir() else ledger.current()
    lock = layout.releases / str(here) / "Gemfile.lock"
    if here is None or not lock.is_file() or " delayed_job " not in lock.read_text("utf-8"):
        say(f"{', '.join(names)}: ended; no adapter for their queue")
        return
    app = environment(layout, here, ledger.config(here))
    system.run(
        ["bundle", "exec", "ruby", "-"],
        say,
        user=layout.app,
        cwd=layout.releases / here,
        env={**app, "DEAD_WORKERS": "\n".join(names)},
        stdin=template("unlock_delayed_job.rb"),
        timeout=60,
    )


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


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.umask(0o022)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
