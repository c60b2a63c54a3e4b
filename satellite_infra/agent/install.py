"""This program itself: installed where releases and units find it."""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path

from . import orphans, own_units, storage, units
from .installed import contents
from .ledger import PREPARED, Ledger
from .preparation import Preparation, known


def agent(host: Preparation) -> bool:
    """Unpack it, whole or not at all."""
    launcher = host.layout.agent
    base = launcher.parent
    directory = base / host.manifest.agent
    if not (directory / ".complete").exists():
        storage.remove_tree(directory)
        with zipfile.ZipFile(host.archive) as contents:
            contents.extractall(directory)
        os.sync()  # it reaches the disk before the word that it is whole
        storage.write(directory / ".complete", "", 0o644)
    mended = _mend(directory, host.archive)
    mended = _compile(host, directory) or mended
    link = base / "current"
    before = link.readlink() if link.is_symlink() else directory
    changed = storage.point(link, directory) or mended
    changed = storage.write(launcher, units.template("launcher"), 0o755) or changed
    former = {path for path in base.iterdir() if path.is_dir() and not path.is_symlink()}
    if not _runs(launcher):
        for other in former - {directory, before}:
            storage.remove_tree(other)
    return changed


def _runs(launcher: Path) -> bool:
    """Whether any agent is at work, such as in a release of any app: it reads on where it began."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if str(launcher) in process.read_bytes().decode("utf-8", "replace").split("\0"):
                return True
    return False


def _mend(directory: Path, archive: Path) -> bool:
    """Make what somebody has changed there what it was, a file at a time: it is in use."""
    with zipfile.ZipFile(archive) as packed:
        wanted = {name: packed.read(name) for name in packed.namelist()}
    found = contents(directory)
    for name in found.keys() - wanted.keys():
        storage.remove(directory / name)
    for name, content in wanted.items():
        if found.get(name) != content:
            storage.write(directory / name, content.decode(), 0o644)
    return found != wanted


def _compile(host: Preparation, directory: Path) -> bool:
    """Have those of its modules compiled that are not: a start of the agent writes none.

    By the launcher's own Python; `python3` may be another one.
    """
    python = units.template("launcher").partition("\n")[0].removeprefix("#!").split()
    made: list[str] = []

    def say(line: str) -> None:
        made.append(line)
        host.say(line)

    host.system.run([*python, str(directory / "agent" / "compiled.py")], say)
    if made:
        os.sync()
    return bool(made)


def environment(host: Preparation) -> bool:
    """Refuse a host whose workers are another environment's, or nobody's; it changes nothing.

    A copied stack file may still name the address of the other's host. And what is written over an
    empty place looks like a new host.
    """
    layout, manifest = host.layout, host.manifest
    if not layout.identity.exists():
        orphans.check(layout, host.system)
    theirs = known(layout.identity, {}).get("environment", manifest.environment)
    # an instance is of the stack that made it: what it has of another one came with its image
    numbered = str(host.bundle["machine"]).isdigit()
    if theirs == manifest.environment or not numbered or _drained(host):
        return False
    raise ValueError(
        f"this host is prepared for {manifest.app} {theirs}, and this stack is "
        f"{manifest.environment}: correct satellite:hosts.{manifest.host}.address; to have this "
        "host here, destroy it there first; where only the environment's name is another, write it "
        f"into {layout.identity}"
    )


def identity(host: Preparation) -> bool:
    """Which host and machine this is: worker names carry it, and drain asks for it."""
    which = {
        "app": host.manifest.app,
        "environment": host.manifest.environment,
        "host": host.manifest.host,
        "machine": str(host.bundle["machine"]),
    }
    layout, before = host.layout, known(host.layout.identity, which)
    anew = before.get("environment", which["environment"]) != which["environment"]
    # else it is an instance whose stack was renamed, and whose workers run on
    if anew and (_drained(host) or before.get("machine") != which["machine"]):
        Ledger(layout).begin_anew(which["environment"])
    return storage.write_json(layout.identity, which)


def _drained(host: Preparation) -> bool:
    """Whether that was the last of it: of an environment that came since nothing has run here."""
    layout = host.layout
    (last,) = Ledger(layout).history()[-1:] or [{"outcome": ""}]
    idle = not (layout.good.exists() or layout.journal.exists())
    return last["outcome"] == "drained" or (last["outcome"] == PREPARED and idle)


def housekeeping(host: Preparation) -> bool:
    """The agent's own units, started at every boot."""
    layout, files = host.layout, units.housekeeping(host.layout)
    return own_units.enable(layout, files, [layout.wants / f.name for f in files], host.system)
