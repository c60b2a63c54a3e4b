"""The app's repository: the example app, published to the lab's git server and changed later."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.failure import DemoError
from demo.report import APP

CHANGE = ("app.rb", "sleep_delay = 1  ", "sleep_delay = 0.5")
"""The change that is deployed while jobs run: file, what it says, what it shall say."""

IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,  # nobody's hooks, signing or templates
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Demo",
    "GIT_AUTHOR_EMAIL": "demo@example.com",
    "GIT_COMMITTER_NAME": "Demo",
    "GIT_COMMITTER_EMAIL": "demo@example.com",
}


@dataclass(frozen=True)
class Repository:
    """A working copy in `folder` of the repository at `url`."""

    folder: Path
    url: str

    def publish(self) -> str:
        """Commit the example app, push it, and return the commit."""
        shutil.copytree(APP, self.folder)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("remote", "add", "origin", self.url)
        for key in ("name", "email"):  # so that a person without any can commit here, too
            self._git("config", f"user.{key}", IDENTITY[f"GIT_AUTHOR_{key.upper()}"])
        return self._push("The app")

    def change(self) -> str:
        """Commit a small change to the app, push it, and return the commit."""
        name, old, new = CHANGE
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise DemoError(f"the demo's change does not fit the app: no {old!r} in {path}")
        path.write_text(text.replace(old, new), encoding="utf-8")
        return self._push("Look twice as often for new jobs")

    def last_change(self) -> str:
        """The last commit in one line."""
        return self._git("log", "-1", "--format=%h %s")

    def _push(self, message: str) -> str:
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", message)
        self._git("push", "--quiet", "--set-upstream", "origin", "main")
        return self._git("rev-parse", "HEAD")

    def _git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *args],
            env={**os.environ, **IDENTITY},
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(
                f"`git {' '.join(args)}` ended with status {done.returncode}",
                done.stderr.splitlines(),
            )
        return done.stdout.strip()


@dataclass(frozen=True)
class AppRepository(Repository):
    """A repository of its own on the lab's git server, changed at will."""

    def create(self, files: Mapping[str, str]) -> str:
        """Make it, with a first commit; the commit."""
        self.serve()
        self.folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("remote", "add", "origin", self.url)
        return self.commit(files)

    def serve(self) -> None:
        """Have it on the server, empty."""
        bare = Path(os.environ["SATELLITE_LAB"], "git", self.url.rpartition("/")[2])
        shutil.rmtree(bare, ignore_errors=True)  # of the test before
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
        subprocess.run(
            ["git", "-C", str(bare), "config", "uploadpack.allowAnySHA1InWant", "true"], check=True
        )

    def refs(self, pattern: str) -> dict[str, str]:
        """Ref -> commit, on the server; of an annotated tag the one that it is about."""
        lines = self._git("ls-remote", self.url, pattern, f"{pattern}^{{}}").splitlines()
        found = [line.split("\t") for line in lines]
        return {ref.removesuffix("^{}"): commit for commit, ref in found}

    def commit(self, files: Mapping[str, str], message: str = "a change") -> str:
        """Write the files (empty: remove), push the commit; the commit."""
        for name, content in files.items():
            path = self.folder / name
            if not content:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755)
        return self._push(message)

    def include(self, path: str, url: str, commit: str) -> None:
        """Have a commit of another repository at that path, from the next push on."""
        (self.folder / path).mkdir(parents=True)
        text = f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
        (self.folder / ".gitmodules").write_text(text, encoding="utf-8")
        self._git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")

    def branch(self, name: str) -> None:
        """Push what is there as a branch of that name, too."""
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
