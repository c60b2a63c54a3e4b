"""The code of a release: fetched into a mirror, checked out, linked, built."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import workers
from .layout import Layout
from .manifest import ReleaseManifest
from .system import CommandError, Say, System

FETCH_LIMIT, BUILD_LIMIT = 900, 3600  # seconds
SHARED_LINKS = {"log": "log", "tmp/pids": "pids"}  # path in the release -> path in shared
RUBY_BUILD = (
    'bundle config set --local path "$SATELLITE_SHARED/bundle"',
    "bundle config set --local frozen true",
    "bundle check || bundle install",
)


def fetch(layout: Layout, manifest: ReleaseManifest, system: System, say: Say) -> None:
    """Have the commit in the mirror; the git server is asked only when it is not there yet."""
    if not (layout.repository / "HEAD").is_file():
        layout.repository.mkdir(parents=True, exist_ok=True, mode=0o700)
        _git(layout, ["init", "--quiet", "--bare"], system, say)
    if _has(layout, manifest.revision, system):
        say("the commit is in the mirror already")
        return
    wanted = ["--no-tags", "--no-write-fetch-head", manifest.repository]
    try:
        _git(layout, ["fetch", "--depth=1", *wanted, manifest.revision], system, say)
    except CommandError:
        # a server may refuse to serve a commit by its hash: then it must be on a branch
        _git(layout, ["fetch", *wanted, "+refs/heads/*:refs/heads/*"], system, say)
    if not _has(layout, manifest.revision, system):
        raise CommandError(f"{manifest.repository} has no commit {manifest.revision} on any branch")
    # unreachable commits are pruned one day: hold on to this one
    reference = f"refs/satellite/{manifest.revision}"
    _git(layout, ["update-ref", reference, manifest.revision], system, say)


def check_out(
    layout: Layout, release: str, manifest: ReleaseManifest, system: System, say: Say
) -> None:
    """Lay the commit's files into the release's directory, as the app user."""
    directory = layout.releases / release
    directory.mkdir(mode=0o755)
    system.own(directory, layout.app)
    with tempfile.NamedTemporaryFile(dir=layout.run, suffix=".tar") as archive:
        argv = ["archive", "--format=tar", f"--output={archive.name}", manifest.revision]
        _git(layout, argv, system, say)
        tar = ["tar", "--extract", "--file=-", f"--directory={directory}"]
        system.run(tar, say, user=layout.app, stdin=Path(archive.name))
    # what lies in the release's directory is the app's: root follows no link that a commit may hold
    name = str(directory / "REVISION")
    system.run(["tee", name], _nothing, user=layout.app, stdin=manifest.revision + "\n")


def link(layout: Layout, release: str, system: System, say: Say) -> None:
    """Point the release's log and pid directories at the shared ones, as the app user."""
    for inside, shared in SHARED_LINKS.items():
        path = layout.releases / release / inside
        for argv in (
            ["mkdir", "-p", str(path.parent)],
            ["rm", "-rf", str(path)],
            ["ln", "-s", str(layout.shared / shared), str(path)],
        ):
            system.run(argv, say, user=layout.app)


def build(
    layout: Layout,
    release: str,
    manifest: ReleaseManifest,
    config: dict[str, str],
    system: System,
    say: Say,
) -> None:
    """Run the build commands in the release's directory, as the app user, with the config vars."""
    directory = layout.releases / release
    env = {
        **workers.environment(layout, release, config),
        "SATELLITE_SHARED": str(layout.shared),
    }
    for command in build_commands(directory, manifest.build):
        say(f"$ {command}")
        argv = ["/bin/bash", "-c", command]
        system.run(argv, say, user=layout.app, cwd=directory, env=env, timeout=BUILD_LIMIT)


def build_commands(directory: Path, wanted: Sequence[str]) -> list[str]:
    """The app's own commands, or what a Gemfile asks for."""
    if wanted:
        return list(wanted)
    return list(RUBY_BUILD) if (directory / "Gemfile").is_file() else []


def _git(layout: Layout, argv: Sequence[str], system: System, say: Say) -> None:
    ssh = [
        "ssh",
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes"),
        *("-o", f"UserKnownHostsFile={layout.known_hosts}"),
    ]
    if layout.deploy_key.is_file():
        ssh += ["-o", "IdentitiesOnly=yes", "-i", str(layout.deploy_key)]
    env = {
        "HOME": str(layout.state),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_SSH_COMMAND": " ".join(map(shlex.quote, ssh)),
    }
    # a pack is whole or absent; loose objects of a fetch cut short would pass for the commit
    options = ["-c", "fetch.unpackLimit=1", "-c", "gc.autoDetach=false"]
    command = ["git", f"--git-dir={layout.repository}", *options, *argv]
    system.run(command, say, env=env, timeout=FETCH_LIMIT)


def _has(layout: Layout, revision: str, system: System) -> bool:
    git = ["git", f"--git-dir={layout.repository}"]
    status, _ = system.output([*git, "cat-file", "-e", f"{revision}^{{commit}}"])
    return status == 0


def _nothing(line: str) -> None:
    """Say nothing of a line."""
