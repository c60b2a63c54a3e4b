"""A host in a temporary directory: real files, real git, a systemd that only remembers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from satellite_infra.agent import frontend, notes, release_unit, storage, workers
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Request
from satellite_infra.agent.release_manifest import Process, ReleaseManifest
from satellite_infra.agent.system import Say, System, UnitState

HERE = os.getpid()


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the program sees it."""


@dataclass
class FakeSystem(System):
    """systemd as far as the agent asks it; workers of a release with a file CRASH do not stay."""

    layout: Layout
    loaded: dict[str, UnitState] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    clock: float = 0.0
    starts: int = 0
    slow: bool = False  # workers that are told to end finish a job first
    waits: list[float] = field(default_factory=list)  # seconds that each restart may take
    journal: list[Sequence[str]] = field(default_factory=list)  # what it was asked for

    def run(
        self,
        argv: Sequence[str],
        say: Say,
        *,
        user: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | Path | None = None,
        timeout: float = 60,
    ) -> None:
        super().run(argv, say, user=None, cwd=cwd, env=env, stdin=stdin, timeout=timeout)

    def ids(self, user: str) -> tuple[int, int]:
        """Tests need no root."""
        return os.geteuid(), os.getegid()

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        if argv[0] == "journalctl":
            self.journal.append(argv)
            return 0, "cannot connect with canary-value\ngiving up\n"
        return super().output(argv)

    def systemctl(self, *argv: str) -> str:
        self.calls.append(argv)
        verb, names = argv[0], [a for a in argv[1:] if "@" in a or a.endswith(".target")]
        for name in names:
            if name.endswith(".target"):
                if verb == "start":
                    self._begin_wanted(name)
            elif verb in ("stop", "restart"):
                self._end(name)
            if name.endswith(".service") and verb in ("start", "restart"):
                self._begin(name)
        return ""

    def restart(
        self, names: Sequence[str], seconds: float, meanwhile: Callable[[], None] | None = None
    ) -> bool:
        self.waits.append(seconds)
        self.systemctl("restart", "--no-block", "--", *names)
        return bool(seconds) and not self.slow

    def units(self, names: object) -> dict[str, UnitState]:
        wanted = list(names)  # type: ignore[call-overload]
        if self.layout.worker_units in wanted:
            wanted = [*self.loaded, *(name for name in wanted if "*" not in name)]
        self._crash()
        gone = UnitState("", "inactive", "dead", 0, 0, "", False)
        return {name: self.loaded.get(name, gone._replace(name=name)) for name in wanted}

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def now(self) -> float:
        return self.clock

    def time(self) -> float:
        return self.clock

    def running(self) -> dict[str, str]:
        """Unit -> the release that its worker was started from."""
        active = {name for name, unit in self.loaded.items() if unit.active == "active"}
        return {
            name: note.release for name, note in notes.live(self.layout).items() if name in active
        }

    def _begin_wanted(self, target: str) -> None:
        text = (self.layout.units / target).read_text()
        for line in text.splitlines():
            name = line.removeprefix("Wants=")
            if name != line and name not in self.loaded:
                self._begin(name)

    def _begin(self, name: str) -> None:
        type_, number, lane = self.layout.slot(name)
        release = Ledger(self.layout).current()
        if release is None or not (self.layout.units / f"{name.split('@')[0]}@.service").exists():
            raise AssertionError(f"{name} was started without a release or a unit file")
        manifest = ReleaseManifest.parse(self.layout.manifest(release).read_text())
        self.starts += 1
        note = notes.Note(
            name=f"h.m.{type_}.{number}.{self.starts}",
            type=type_,
            number=number,
            lane=lane,
            release=release,
            shape=workers.shape(release, manifest.process(type_)),
            pid=HERE,
            started=notes.process_start(HERE),
            boot=notes.boot_id(),
        )
        self.layout.notes.mkdir(parents=True, exist_ok=True)
        (self.layout.notes / f"{note.name}.json").write_text(json.dumps(note._asdict()))
        self.loaded[name] = UnitState(name, "active", "running", HERE, 0, str(self.starts), False)

    def _end(self, name: str) -> None:
        if name not in self.loaded:
            return
        if self.slow:
            self.loaded[name] = self.loaded[name]._replace(active="deactivating", job=True)
            return
        del self.loaded[name]
        for note in notes.of(self.layout):
            if (note.type, note.number, note.lane) == self.layout.slot(name):
                (self.layout.notes / f"{note.name}.json").unlink()

    def _crash(self) -> None:
        for name, release in self.running().items():
            if (self.layout.releases / release / "CRASH").exists():
                unit = self.loaded[name]
                self.loaded[name] = unit._replace(restarts=unit.restarts + 1)


class Submitting(FakeSystem):
    """Runs the unit's program at once, or pretends that another release is under way first."""

    busy = 0
    kill = False

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        if argv[0] != "systemd-run":
            return super().output(argv)
        if self.busy:
            self.busy -= 1
            return 1, f"Unit {self.layout.release_unit} was already loaded or has a fragment file."
        named = dict(a.split("=", 2)[1:] for a in argv if a.startswith("--property="))
        sent = Path(named["StandardInput"].removeprefix("file:")).read_text()
        result = Path(argv[-1])
        log = Path(named["StandardOutput"].removeprefix("append:"))
        with log.open("a", buffering=1) as file:
            if self.kill:
                storage.write(self.layout.phase, "build")
                state = "runs no release: it never had a good one"
                release_unit.killed(self.layout, result, state, "0" * 40, self, print)
                return 1, ""
            kind = frontend.KINDS[argv[-5]]
            status = release_unit.work(
                self.layout, sent, result, self, lambda line: print(line, file=file), kind
            )
        release_unit.killed(self.layout, result, "must not be told", "0" * 40, self, print)
        return status, ""


class Origin:
    """A git server's repository, as a directory."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "t")
        self.git("config", "user.email", "t@example.com")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    def git(self, *argv: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *argv], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """A commit with these files (`__` stands for a dot in names); its hash."""
        for name, content in {"Procfile": "worker: ./work\nmailer: ./mail\n", **files}.items():
            (self.path / name.replace("__", ".")).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "c")
        return self.git("rev-parse", "HEAD")


def bare(folder: Path) -> Layout:
    """A host with what a release needs."""
    found = Layout("shop", folder)
    for path in (found.releases, found.shared / "log", found.run, found.units):
        path.mkdir(parents=True)
    found.state.mkdir(parents=True)
    identity = {"app": "shop", "environment": "test", "host": "h", "machine": "m"}
    storage.write_json(found.identity, identity)
    return found


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A bootstrapped host."""
    found = bare(tmp_path / "host")
    found.run.chmod(0o700)
    return found


@pytest.fixture
def system(layout: Layout) -> FakeSystem:
    return FakeSystem(layout)


@pytest.fixture
def submitting(layout: Layout) -> Submitting:
    return Submitting(layout)


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


def request(origin: Origin, commit: str, /, quantity: int = 2, **changes: object) -> Request:
    """A request for that commit."""
    config = {"TOKEN": "canary-value"}
    manifest = ReleaseManifest(
        host="h",
        app="shop",
        environment="test",
        repository=str(origin.path),
        revision=commit,
        processes=(Process("worker", quantity, grace=5),),
        config=dict.fromkeys(config, "digest"),
        gate_seconds=3,
        keep_releases=2,
    )
    return Request(manifest._replace(**changes), config)  # type: ignore[arg-type]
