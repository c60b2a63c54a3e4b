"""The code of a release: fetched into a mirror, checked out, linked, built."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import workers
from .deadlines import BUILD_LIMIT
from .layout import Layout
from .manifest import ReleaseManifest
from .mirror import Mirror, Part
from .system import Say, System

SHARED_LINKS = {"log": "log", "tmp/pids": "pids"}  # path in the release -> path in shared
RUBY_BUILD = (
    'bundle config set --local path "$SATELLITE_SHARED/bundle"',
    "bundle config set --local frozen true",
    "bundle install",  # first: only this refuses a lock file that the Gemfile has left behind
    "bundle check",
)


def fetch(layout: Layout, manifest: ReleaseManifest, system: System, say: Say) -> None:
    """Have the commit and all that belongs to it in the mirror."""
    Mirror(layout, manifest, system, say).fetch()


def check_out(
    layout: Layout, release: str, manifest: ReleaseManifest, system: System, say: Say
) -> None:
    """Lay the commit's files into the release's directory, as the app user."""
    directory = layout.releases / release
    directory.mkdir(mode=0o755)
    system.own(directory, layout.app)
    # without a name: it goes with this process, and not on /run, which is memory
    import tempfile  # slow to load, and not at every start of the agent

    with tempfile.TemporaryFile(dir=layout.state) as archive:
        path = Path(f"/proc/{os.getpid()}/fd/{archive.fileno()}")

        def extract(part: Part) -> None:
            tar = ["tar", "--extract", "--file=-", f"--directory={directory / part.path}"]
            system.run(tar, say, user=layout.app, stdin=path)

        Mirror(layout, manifest, system, say).archives(path, extract)
    # what lies in the release's directory is the app's: root follows no link that a commit may hold
    name = str(directory / "REVISION")
    system.run(["tee", name], _nothing, user=layout.app, stdin=manifest.revision + "\n")


def link(layout: Layout, release: str, manifest: ReleaseManifest, system: System, say: Say) -> None:
    """Point the release's log and pid directories at the shared ones, and its config files at
    their own, as the app user.
    """
    links = {inside: layout.shared / shared for inside, shared in SHARED_LINKS.items()}
    links |= {f.path: layout.config_files(release) / f.path for f in manifest.config_files}
    for inside, there in links.items():
        path = layout.releases / release / inside
        for argv in (
            ["mkdir", "-p", str(path.parent)],
            ["rm", "-rf", str(path)],
            ["ln", "-s", str(there), str(path)],
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


def _nothing(line: str) -> None:
    """Say nothing of a line."""
