"""Workers on this host: how one starts.

No two live processes ever share a name: it carries host, machine and a part made at each start.
A note on disk is written before the process becomes the app's, and goes when the worker ended
cleanly, or when the jobs it held were given back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from . import backoff, limits, notes, procfile, sha256, storage
from .layout import Layout
from .ledger import Ledger
from .release_manifest import Process, ReleaseManifest
from .system import PATH, CommandError, System, user_environment

PIPED = re.compile(r"[|&;\n]")
"""In a command whose shell may end well although its worker does not."""


def shape(release: str, process: Process) -> str:
    """What a worker was started from; not grace and signal, which systemd can change alone."""
    parts = [release, process.type, process.command, process.memory_max]
    # only where they are set: workers that an earlier agent started are the same still
    parts += [f"cpu {process.cpu}"] if process.cpu else []
    # earlier ones have their limits from a unit file that is there no more
    parts += ["limits of its own"] if process.memory_max or process.cpu else []
    parts += [f"on_kill {process.on_kill}"] if process.on_kill else []
    parts += [f"env {name}={value}" for name, value in sorted(process.env.items())]
    return sha256.hexdigest("\0".join(parts).encode())[:16]


def commands(release: Path, manifest: ReleaseManifest) -> dict[str, str]:
    """Process type -> command; ValueError names each that neither settings nor Procfile know."""
    known = procfile.read(release)
    wanted = {p.type: p.command or known.get(p.type, "") for p in manifest.processes}
    missing = [
        f"processes/{type_}: should be in the Procfile ({procfile.told(release)}) or have a command"
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
        "PATH": _path(layout, release),
        "SATELLITE_RELEASE": release,
        **config,
    }


def _path(layout: Layout, release: str) -> str:
    """PATH of a release's processes: its Ruby comes first."""
    try:
        text = layout.manifest(release).read_text(encoding="utf-8")
    except FileNotFoundError:
        return PATH
    version = ReleaseManifest.parse(text).ruby
    return f"{layout.ruby(version) / 'bin'}:{PATH}" if version else PATH


def work(layout: Layout, type_: str, number: int, lane: int, system: System) -> NoReturn:
    """Become the worker: write the note, drop root, replace this process by the app's command.

    One that ended early is kept waiting first; it has no note yet, so nothing takes it for alive.
    """
    unit = layout.worker_unit(type_, number, lane)
    notes.left_end(layout, type_, number, lane, system)
    _wait(layout, unit)
    begins = notes.unnoted(layout, unit)
    with contextlib.suppress(OSError):  # it is about alarms alone
        storage.write(begins, "")
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
    note = notes.Note(
        name=name,
        type=type_,
        number=number,
        release=release,
        shape=shape(release, process),
        pid=os.getpid(),
        started=notes.process_start(os.getpid()),
        boot=notes.boot_id(),
        lane=lane,
        since=time.monotonic(),
        on_kill=process.on_kill,
        env=process.env,
        invocation=os.environ.get("INVOCATION_ID", ""),
    )
    try:
        _note(layout, note, command)
    except OSError as problem:
        # what is held for a way back is no longer needed for one, unless one is due
        due = layout.journal.is_file()
        if problem.errno != errno.ENOSPC or due or not storage.remove(layout.reserve):
            raise
        _note(layout, note, command)
    storage.remove(begins)
    become(layout.app)
    os.chdir(directory)
    os.execve("/bin/bash", ["/bin/bash", "-c", command], env)


def _note(layout: Layout, note: notes.Note, command: str) -> None:
    if PIPED.search(command):
        storage.write(notes.piped(layout, note.name), "")
    storage.write_json(layout.notes / f"{note.name}.json", note._asdict())


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
