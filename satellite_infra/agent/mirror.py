"""The host's own copy of the app's repository: exact commits, their submodules, their LFS files."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from . import storage
from .deadlines import FETCH_LIMIT
from .layout import Layout
from .release_manifest import ReleaseManifest
from .system import CommandError, Say, System

SUBMODULES = r"^submodule\..*\.(path|url)$"
MARKS = ("-e", "filter=lfs", "-e", "submodule")
PLACES = (":(glob)**/.gitattributes", ".gitmodules")
"""What a commit holds that has files elsewhere, and where it says so."""
UNKNOWN = "unable to resolve revision"
"""What git says of a commit that it has not."""
LOCKS = ("*.lock", "refs/**/*.lock", "objects/*.lock", "objects/info/**/*.lock", "gc.pid")
HALVES = ("objects/pack/tmp_*", "objects/pack/.tmp-*")
"""Packs that are not whole."""
ATTRIBUTES = "* -export-ignore -export-subst\n"
"""A commit's own are for archives that it is published as: a host has all its files as they are."""
REFS = "refs/satellite/"
"""Where each commit that is held has a ref, by its hash: what none holds git collects one day."""
SPARE = 10  # commits that may be held for nobody: to look into each release costs time
PACKS = 50  # after which git, too, would make one of them
COLLECT_LIMIT = 60  # seconds; those who wait for a release wait for this, too
LFS = ("-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.required=true")


class FetchError(Exception):
    """A git server did not give what was asked for; the text names it, and what it said."""


class Part(NamedTuple):
    """One commit of one repository, and where in the release's directory it belongs."""

    url: str
    revision: str
    path: str = ""


class _Elsewhere(NamedTuple):
    """Whether a commit has files in Git LFS, and submodules."""

    lfs: bool
    submodules: bool


class Mirror:
    """One bare repository for the app and its submodules; each commit in it is held by a ref."""

    def __init__(self, layout: Layout, manifest: ReleaseManifest, system: System, say: Say):
        self.layout, self.system, self.say = layout, system, say
        self.root = Part(manifest.repository, manifest.revision)
        self._seen: dict[str, _Elsewhere] = {}  # by commit
        self._why = ""  # what git said of a commit that it could not read

    def fetch(self) -> None:
        """Have the commit and all that belongs to it; a server is asked only for what is missing.

        FetchError where a server does not give it.
        """
        self._clear()
        attributes = self.layout.repository / "info" / "attributes"
        if not attributes.is_file():
            self._make()
        storage.write(attributes, ATTRIBUTES)  # last: with it the mirror is whole
        self._each(self.root, self._have)

    def subject(self) -> str:
        """The commit's first line; empty where it is not here."""
        status, text = self._output(["log", "-1", "--format=%s", self.root.revision, "--"])
        last = (text.strip().splitlines() or [""])[-1]  # after a warning of git's
        # nothing of it may act on a terminal
        return "" if status else "".join(c if c.isprintable() else " " for c in last)

    def archives(self, file: Path, use: Callable[[Part], None]) -> None:
        """Write the files of each part as a tar archive to `file` and have it used, outer first."""

        def archive(part: Part) -> None:
            lfs = LFS if self._seen[part.revision].lfs else ()
            argv = ["archive", "--format=tar", f"--output={file}", part.revision]
            self._git(argv, self.say, (*lfs, *_remote(part)))
            use(part)

        self._each(self.root, archive)

    def tidy(self) -> None:
        """Hold what the releases on disk are made of, and nothing else.

        It never fails: what could not be removed now can be after another release.
        """
        try:
            self._tidy()
        except Exception as problem:  # noqa: BLE001 - it decides no release
            self.say(f"the mirror keeps what no release needs: {problem}")
            with contextlib.suppress(OSError):
                self._clear()

    def _clear(self) -> None:
        """Remove what only a killed git has left: under the app's lock no other is at work here."""
        left = (*LOCKS, *HALVES)
        for path in [path for place in left for path in self.layout.repository.glob(place)]:
            self.say(f"{path} was left by a git that was killed; removed")
            path.unlink()

    def _make(self) -> None:
        """Make a mirror of what is there: nothing, a part of one, or one of an older agent.

        In its place, which may be a volume of its own.
        """
        storage.directory(self.layout.repository, 0o700)
        head = self.layout.repository / "HEAD"
        if head.is_file() and not head.read_bytes().startswith(b"ref: "):
            head.unlink()  # of a run that was cut off; git would leave it as it is
        self._git(["init", "--quiet", "--bare"], self.say)
        os.sync()

    def _each(self, part: Part, act: Callable[[Part], None]) -> None:
        act(part)
        for inner in self._submodules(part):
            self._each(inner, act)

    def _tidy(self) -> None:
        status, text = self._output(["for-each-ref", "--format=%(refname)", REFS])
        held = {ref[len(REFS) :] for ref in text.split()}
        paths = (self.layout.state / "releases").glob("*/manifest")
        manifests = [ReleaseManifest.parse(path.read_text(encoding="utf-8")) for path in paths]
        # a mirror that was removed and made anew has not all of them
        roots = [Part(m.repository, m.revision) for m in manifests if m.revision in held]
        if status or len(held) - len(roots) <= SPARE:
            return
        needed: set[str] = set()

        def need(part: Part) -> None:
            if not self._look(part):
                raise LookupError(self._why)
            needed.add(part.revision)

        for root in roots:
            self._each(root, need)
        gone = sorted(held - needed)
        if gone:
            delete = "".join(f"delete {REFS}{revision}\n" for revision in gone)
            self._git(["update-ref", "--stdin"], self.say, stdin=delete)
            self._forget_lfs(needed)
        self._collect(many=len(gone) > len(needed))

    def _forget_lfs(self, needed: Iterable[str]) -> None:
        """Remove the LFS files that none of these commits has."""
        objects = self.layout.repository / "lfs" / "objects"
        names: set[str] = set()
        for revision in needed if objects.is_dir() else ():
            if self._seen[revision].lfs:
                status, text = self._output(["lfs", "ls-files", "--long", revision])
                if status:
                    raise LookupError(text.strip())
                names.update(line.partition(" ")[0] for line in text.splitlines())
        for path in objects.glob("*/*/*"):
            if path.name not in names:
                path.unlink()

    def _collect(self, many: bool) -> None:
        """Have git write what is held anew and remove the rest, once that is worth it.

        That is so where as much was fetched since as it wrote the last time, so that it takes the
        less of a release the longer it takes; or where `many` commits are held no more.
        """
        packs = (self.layout.repository / "objects" / "pack").glob("pack-*.pack")
        *new, last = sorted(path.stat().st_size for path in packs) or [0]
        # for a while there is the new one beside them
        if storage.room(self.layout.repository)[0] < 2 * (sum(new) + last) + storage.RESERVE:
            self.say("the mirror keeps what no release needs: git has no room to collect it")
        elif many or sum(new) >= last or len(new) >= PACKS:
            # as they were fetched: to look for what is alike takes long
            copied = ("-c", "pack.window=0")
            self._git(["gc", "--quiet", "--prune=now"], self.say, copied, limit=COLLECT_LIMIT)

    def _have(self, part: Part) -> None:
        if self._look(part) and self._hold(part):
            self.say(f"{part.revision[:12]} is in the mirror already")
        else:
            self._ask(part)
        if self._seen[part.revision].lfs:
            self._have_lfs(part)

    def _hold(self, part: Part) -> bool:
        """Hold the commit by its ref; False where some of what it is made of is gone."""
        ref = f"{REFS}{part.revision}"
        if not self._output(["rev-parse", "--quiet", "--verify", ref])[0]:
            return True
        # no release had it for a while: git may have begun to collect it
        walk = ["rev-list", "--quiet", "--objects", part.revision, "--not", "--all"]
        if self._output(walk)[0]:
            return False
        self._git(["update-ref", ref, part.revision], self.say)
        return True

    def _ask(self, part: Part) -> None:
        wanted = ["--no-tags", "--no-write-fetch-head", "--", part.url]
        ref, held = f"{REFS}{part.revision}", True
        try:
            self._git(["fetch", "--depth=1", *wanted, f"+{part.revision}:{ref}"], self.say)
        except CommandError:
            # a server may refuse to serve a commit by its hash: then it must be on a branch
            branches, held = "+refs/heads/*:refs/heads/*", False
            self._asked(part, ["fetch", *wanted, branches])
        if self._look(part) and (held or self._hold(part)):
            return
        if UNKNOWN in self._why or part.revision in self._seen:
            raise FetchError(f"{part.url} has no commit {part.revision} on any branch")
        raise FetchError(
            f"{self.layout.repository} is damaged: {self._why}; remove it on this host and release "
            "again: it is fetched anew"
        )

    def _asked(self, part: Part, argv: Sequence[str]) -> None:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line.strip())
            self.say(line)

        try:
            self._git(argv, say, _remote(part))
        except CommandError as problem:
            why = next((line for line in said if line), str(problem))
            raise FetchError(f"{part.url} did not give {part.revision[:12]}: {why}") from problem

    def _look(self, part: Part) -> bool:
        """Into the commit, once; False where the mirror does not have it."""
        if part.revision in self._seen:
            return True
        options = ("--text", "--null", "--no-color", "--fixed-strings", "--ignore-case", *MARKS)
        status, text = self._output(
            ["grep", *options, f"{part.revision}^{{commit}}", "--", *PLACES]
        )
        if status not in (0, 1):  # 1: nothing of that is there
            self._why = (text.strip().splitlines() or [f"git grep ended with status {status}"])[-1]
            return False
        # of each line: COMMIT:PATH, a zero, the line
        lines = [line.partition("\0") for line in text.split("\n")]
        self._seen[part.revision] = _Elsewhere(
            any(p.endswith(".gitattributes") and "filter=lfs" in line for p, _, line in lines),
            any(p.endswith(":.gitmodules") for p, _, _ in lines),
        )
        return True

    def _have_lfs(self, part: Part) -> None:
        if self._output(["lfs", "version"])[0] != 0:
            raise FetchError(
                f"{part.url} keeps files in Git LFS, as .gitattributes says, and this host has no "
                "git-lfs: add it to satellite:packages"
            )
        self._asked(part, ["lfs", "fetch", "origin", part.revision])

    def _submodules(self, part: Part) -> Iterator[Part]:
        """The submodules at the commits that this one records."""
        if not self._seen[part.revision].submodules:
            return
        blob = f"--blob={part.revision}:.gitmodules"
        _, text = self._output(["config", blob, "--null", "--get-regexp", SUBMODULES])
        found: dict[str, dict[str, str]] = {}
        for pair in text.split("\0")[:-1]:
            key, _, value = pair.partition("\n")
            name, _, what = key.rpartition(".")
            found.setdefault(name, {})[what] = value
        for each in found.values():
            if each.keys() != {"path", "url"}:
                continue
            _, entry = self._output(["ls-tree", "-z", part.revision, "--", each["path"]])
            # what is no commit there is no submodule; the path is the tree's, which cannot lead out
            if link := re.fullmatch(r"160000 commit ([0-9a-f]{40})\t(.+)\0", entry, re.DOTALL):
                path = f"{part.path}/{link[2]}".lstrip("/")
                yield Part(resolved(part.url, each["url"]), link[1], path)

    def _output(self, argv: Sequence[str]) -> tuple[int, str]:
        return self.system.output(["git", f"--git-dir={self.layout.repository}", *argv])

    def _git(
        self,
        argv: Sequence[str],
        say: Say,
        options: Sequence[str] = (),
        stdin: str | None = None,
        limit: float = FETCH_LIMIT,
    ) -> None:
        layout = self.layout
        ssh = [
            "ssh",
            *("-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"UserKnownHostsFile={layout.known_hosts}"),
        ]
        if layout.deploy_key.is_file():
            ssh += ["-o", "IdentitiesOnly=yes", "-i", str(layout.deploy_key)]
        # a commit's .gitmodules may name any URL; only a test's repository is a directory
        local = ":file" if self.root.url.startswith("/") else ""
        env = {
            "HOME": str(layout.state),
            "GIT_ALLOW_PROTOCOL": f"ssh:https{local}",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": " ".join(map(shlex.quote, ssh)),
        }
        # a pack is whole or absent; loose objects of a fetch cut short would pass for the commit
        safe = ["-c", "fetch.unpackLimit=1"]
        safe += ["-c", "maintenance.auto=false"]  # nobody waits for that before a release
        command = ["git", f"--git-dir={layout.repository}", *safe, *options, *argv]
        self.system.run(command, say, env=env, stdin=stdin, timeout=limit)


def resolved(base: str, url: str) -> str:
    """A submodule's URL; one that begins with a dot is relative to its parent's, as git has it."""
    if not url.startswith(("./", "../")):
        return url
    base, between = base.rstrip("/"), "/"
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            head, slash, _ = base.rpartition("/")
            if not slash:  # git@HOST:PATH
                head, between, _ = base.rpartition(":")
            base = head
        url = url.partition("/")[2]
    return f"{base}{between}{url}"


def _remote(part: Part) -> tuple[str, str]:
    return "-c", f"remote.origin.url={part.url}"
