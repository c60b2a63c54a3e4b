"""A checkout, a git server and Heroku's git, all real; and promotions whose traces are compared."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from satellite_cli.promote import promote
from satellite_cli.promote_git import OF_ANOTHER_REPOSITORY
from satellite_cli.promote_plan import Options, Plan
from satellite_cli.promote_steps import Outcome
from satellite_cli.promote_text import outcome_lines, plan_lines

NOW = datetime(2026, 1, 31, 17, 0, 0, tzinfo=UTC)
TAG = "staging-20260131T170000Z"


def isolate(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of git but this one, and no temporary file but below `root`."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    settings = root / "gitconfig"
    settings.write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (root / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(root / "tmp"))  # World.promote looks at it


def git(directory: Path, *arguments: str) -> str:
    """What git prints there; it must succeed."""
    env = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_REPOSITORY}
    argv = ["git", *arguments]
    done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().strip()


def commit(directory: Path, subject: str, **files: str) -> str:
    """A new commit with these files; its hash."""
    for name, text in files.items():
        (directory / name).write_text(text)
        git(directory, "add", "--", name)
    git(directory, "commit", "--quiet", "--allow-empty", "--message", subject)
    return git(directory, "rev-parse", "HEAD")


def refs(repository: Path) -> dict[str, str]:
    """Every ref of a repository."""
    lines = git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)


def hook(repository: Path, name: str, script: str) -> None:
    """A hook of a bare repository; what it prints its pushers see."""
    path = repository / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


OTHERS = ("server.git", "heroku.git", "other")


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Each file that is the user's: mode, and content or target of the link."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.relative_to(root).parts[0] in OTHERS:
            continue
        mode = path.lstat().st_mode
        content = b""
        if stat.S_ISLNK(mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (mode, content)
    return found


@dataclass
class World:
    """What a promotion meets; `said` and `deployed` are what it has done so far."""

    root: Path
    first: str = ""
    second: str = ""
    said: list[str] = field(default_factory=list)
    deployed: list[tuple[str, str]] = field(default_factory=list)
    work: Path = Path()
    time: float = 0
    """Of the clock that is waited by: seconds."""

    @classmethod
    def made(cls, root: Path) -> World:
        """A server whose staging, and a Heroku whose main, are one commit behind the checkout."""
        world = cls(root, work=root / "work")
        for bare in (world.server, world.heroku):
            git(root, "init", "--quiet", "--bare", "-b", "main", str(bare))
        git(root, "init", "--quiet", "-b", "main", str(world.work))
        world.first = commit(world.work, "The app", Procfile="worker: run\n")
        git(world.work, "remote", "add", "origin", str(world.server))
        git(world.work, "push", "--quiet", "origin", "main", "main:refs/heads/staging")
        git(world.work, "push", "--quiet", str(world.heroku), "main")
        world.second = commit(world.work, "Look twice", app="look\nlook\n")
        return world

    @property
    def server(self) -> Path:
        return self.root / "server.git"

    @property
    def heroku(self) -> Path:
        return self.root / "heroku.git"

    def staging(self) -> str:
        """The server's branch; empty where there is none."""
        return refs(self.server).get("refs/heads/staging", "")

    def built(self) -> str:
        """Heroku's branch."""
        return refs(self.heroku).get("refs/heads/main", "")

    def deploy(self, revision: str, stack: str) -> None:
        """Hosts that take everything."""
        self.deployed.append((revision, stack))

    def wait(self, seconds: float) -> None:
        """Time passes at once."""
        self.time += seconds

    def show(self, plan: Plan) -> None:
        self.said += plan_lines(plan)

    def options(self, **changed: Any) -> Options:
        """To staging, with Heroku; nobody objects."""
        given: dict[str, Any] = {
            "environment": "staging",
            "stack": "staging",
            "repository": str(self.server),
            "branch": "staging",
            "heroku_remote": str(self.heroku),
            "checkout": self.work,
            "deploy": self.deploy,
            "confirm": lambda: True,
            "show": self.show,
            "say": self.said.append,
            "now": lambda: NOW,
            "sleep": self.wait,
            "clock": lambda: self.time,
        }
        return Options(**{**given, **changed})

    def promote(self, **changed: Any) -> Outcome:
        """A promotion that leaves the user's files byte for byte, and tells what is so."""
        for path in self.work.glob("*"):
            os.utime(path)  # `git status` would refresh the index now
        before = everything(self.root)
        try:
            outcome = promote(self.options(**changed))
        finally:
            assert everything(self.root) == before
        now = [self.staging(), self.built()]
        assert [where.now for where in outcome.places] == now[: len(outcome.places)]
        self.said += outcome_lines(outcome)
        assert all(line.isprintable() for line in self.said)
        return outcome

    def another(self, subject: str = "Somebody else's", on: str = "staging") -> str:
        """Somebody else pushes a commit on top of the server's branch; its hash."""
        other = self.root / "other"
        if not other.exists():
            git(self.root, "clone", "--quiet", str(self.server), str(other))
        git(other, "fetch", "--quiet")
        git(other, "checkout", "--quiet", "--detach", f"origin/{on}")
        made = commit(other, subject)
        git(other, "push", "--quiet", "origin", f"HEAD:refs/heads/{on}")
        return made


def meanwhile(act: Callable[[], Any]) -> Callable[[], bool]:
    """Somebody does something while we are asked, and say yes."""

    def confirm() -> bool:
        act()
        return True

    return confirm
