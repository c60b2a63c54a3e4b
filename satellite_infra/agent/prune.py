"""Which releases stay on disk: good ones, the current one, and any that a process still uses."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from . import notes, storage
from .layout import Layout
from .ledger import Ledger
from .system import CommandError, Say, System

KEEP_LOGS = 30
LIMIT = 600  # seconds for the removal of one release; the next prune goes on with it


def prune(layout: Layout, ledger: Ledger, keep: int, say: Say) -> None:
    """Keep the newest good release of each of `keep` commits, and whatever is in use.

    A commit may have many: each other set of config vars is another release. Of the newest commit
    the one before stays, too, so that a change of them is undone by a switch.
    """
    good = ledger.good()
    builds: dict[str, list[str]] = {}
    for target in reversed(good):
        builds.setdefault(target.manifest.revision, []).append(target.release)
    newest = list(builds.values())[:keep]
    kept = {*(each[0] for each in newest), *in_use(layout, ledger)}
    if keep > 1:
        kept.update(*(each[:2] for each in newest[:1]))
    # in this order a kill leaves an unknown directory, never a good release without one
    ledger.keep([target for target in good if target.release in kept])
    discard_unknown(layout, ledger, say)
    logs(layout)


def logs(layout: Layout) -> None:
    """Keep the newest logs of releases, of release phases and of rotations, each for themselves."""
    kinds: dict[str, list[Path]] = {}
    for log in sorted(layout.logs.glob("*.log")):
        kinds.setdefault(re.split(r"-(?=\d)", log.name)[0], []).append(log)
    for found in kinds.values():
        for log in found[:-KEEP_LOGS]:
            storage.remove(log)


def discard_unknown(layout: Layout, ledger: Ledger, say: Say) -> None:
    """Remove every release that is neither good, built nor in use: failed or interrupted ones.

    Of the state's alone: beside them may be another tool's. And none where no good one is left of
    those that were: a list that is lost, or a disk that is not mounted, tells nothing of others.
    """
    ours = _names(layout.state / "releases")
    if ledger.last_good() is None and ledger.ever_good():
        if ours:
            say(f"no good release is on disk: nothing in {layout.releases} is removed")
        return
    prepared = ledger.prepared()
    kept = {target.release for target in [*ledger.good(), *([prepared] if prepared else [])]}
    kept |= in_use(layout, ledger)
    for name in sorted(ours - kept):
        say(f"removing {name}")
        discard(layout, name, say)


def discard(layout: Layout, name: str, say: Say) -> None:
    """Remove one release from disk, its config vars first; only say what stays.

    Its place in the state goes last: by that it is known to be ours.
    """
    # by a program: the app may have made a tree that is deeper than Python's stack
    argv = ["rm", "-rf", "--one-file-system", "--", str(layout.releases / name)]
    said: deque[str] = deque(maxlen=1)
    try:
        storage.remove(layout.good_mark(name))
        storage.remove(layout.config(name))
        storage.remove(layout.templates(name))
        storage.remove_tree(layout.config_files(name))
        System().run(argv, said.append, timeout=LIMIT)
        for path in (layout.before(name), layout.release_seal(name), layout.manifest(name)):
            path.unlink(missing_ok=True)
        storage.remove_tree(layout.manifest(name).parent)
    except (CommandError, OSError) as problem:  # a build may have left odd files
        say(f"{name} could not be removed: {problem}{''.join(f': {line}' for line in said)}")


def in_use(layout: Layout, ledger: Ledger) -> set[str]:
    """The current release, and those that a worker was started from or a process stands in."""
    current = ledger.current()
    started = {
        note.release for note in notes.of(layout)
    }  # the dead too: their jobs are given back there
    return ({current} if current else set()) | started | set(_stood_in(layout.releases))


def _stood_in(path: Path) -> Iterable[str]:
    releases = path.resolve()  # as the kernel says it: /app may be a link to a larger disk
    for process in Path("/proc").glob("[0-9]*"):
        try:
            directory = str((process / "cwd").readlink())
        except OSError:
            continue  # it ended meanwhile
        if directory.startswith(f"{releases}/"):
            yield Path(directory).relative_to(releases).parts[0]


def _names(directory: Path) -> set[str]:
    """The directories in it; what else somebody has left there is no release."""
    found = directory.iterdir() if directory.is_dir() else ()
    return {path.name for path in found if path.is_dir() and not path.is_symlink()}
