"""Control groups of the machines, on cgroup v1 (each controller a tree of its own) and v2 (one).

A lab has one directory per tree and each machine one directory in it. With v1 the lab's lie below
the caller's own; with v2 below the root of the mount, because a group that holds processes cannot
hand controllers to its children. Tried: v1, and v2 without controllers. Not tried: v2 with its
controllers, as today's distributions mount it; its paths are unit-tested on a fake tree.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

ROOT = Path("/sys/fs/cgroup")
V1_TREES = ("systemd", "unified", "memory", "cpu", "cpuacct", "blkio", "pids", "devices", "freezer")
V2_CONTROLLERS = ("cpu", "io", "memory", "pids")
SHARES = 8192  # of CPU, for all machines together: v1 gives everything outside the lab 1024


@dataclass(frozen=True)
class Group:
    """One lab's or machine's directories, one per tree."""

    directories: tuple[Path, ...]

    def child(self, name: str) -> Group:
        return Group(tuple(directory / name for directory in self.directories))

    def create(self) -> None:
        """Make the directories; in v2 hand the controllers on to them."""
        for directory in self.directories:
            _delegate(directory.parent)
            directory.mkdir(parents=True, exist_ok=True)

    def entrances(self) -> list[str]:
        """Files that a process writes `0` to in order to join."""
        return [str(directory / "cgroup.procs") for directory in self.directories]

    def weigh(self) -> None:
        """Give the machines together a fair part of the CPU beside what else runs here."""
        for directory in self.directories:
            shares, weight = directory / "cpu.shares", directory / "cpu.weight"
            if shares.exists():
                shares.write_text(str(SHARES))
            elif weight.exists():
                weight.write_text(str(SHARES * 100 // 1024))

    def freeze(self, frozen: bool) -> None:
        """Stop or continue every process in the group, as a hypervisor pauses a machine."""
        for directory in self.directories:
            state = directory / "freezer.state"
            if state.exists():
                state.write_text("FROZEN" if frozen else "THAWED")
                return
        for directory in self.directories:
            state = directory / "cgroup.freeze"
            if state.exists():
                state.write_text("1" if frozen else "0")
                return
        raise LabError("lab: this kernel has no freezer; machines cannot be paused")

    def remove(self, seconds: float = 5) -> None:
        """Kill what is left in the group and remove it; what does not go in time stays."""
        end = time.monotonic() + seconds
        while any(directory.exists() for directory in self.directories):
            for directory in self.directories:
                for path in _bottom_up(directory):
                    _kill(path)
                    _rmdir(path)
            if time.monotonic() > end:
                return
            time.sleep(0.01)


def of_lab(name: str, root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> Group:
    """The group for a lab of this name, not created yet."""
    if (root / "cgroup.controllers").exists():
        return Group((root / name,))
    paths = _own_paths(own.read_text())
    trees = [tree for tree in V1_TREES if (root / tree).is_dir()]
    if "systemd" not in trees:
        raise LabError(f"lab: no cgroups are mounted on {root}; machines need systemd's at least")
    return Group(tuple(root / tree / paths.get(tree, "") / name for tree in trees))


def _own_paths(text: str) -> dict[str, str]:
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            tree = controller.removeprefix("name=") or "unified"
            paths[tree] = path.strip("/")
    return paths


def _delegate(directory: Path) -> None:
    """In v2, have the directory hand to its children every controller that it has and we use."""
    available, handed = directory / "cgroup.controllers", directory / "cgroup.subtree_control"
    if not available.exists():
        return
    wanted = set(V2_CONTROLLERS) & set(available.read_text().split())
    missing = sorted(wanted - set(handed.read_text().split()))
    if not missing:
        return
    text = " ".join(f"+{controller}" for controller in missing)
    try:
        handed.write_text(text)
    except OSError:  # a container's root group holds processes, which v2 forbids: move them down
        (directory / "init").mkdir(exist_ok=True)
        for pid in (directory / "cgroup.procs").read_text().split():
            (directory / "init/cgroup.procs").write_text(pid)
        handed.write_text(text)


def _bottom_up(directory: Path) -> Iterable[Path]:
    for path, _, _ in os.walk(directory, topdown=False):
        yield Path(path)


def _pids(directory: Path) -> Iterator[int]:
    try:
        yield from map(int, (directory / "cgroup.procs").read_text().split())
    except OSError:
        return  # the group is gone


def _kill(directory: Path) -> None:
    for pid in _pids(directory):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _rmdir(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # still busy, or gone: the caller looks again
