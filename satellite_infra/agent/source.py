"""The code of a release: fetched into a mirror, checked out, linked, built."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import storage, workers
from .deadlines import BUILD_LIMIT
from .layout import Layout
from .mirror import Mirror, Part
from .release_manifest import ReleaseManifest
from .system import CommandError, Say, System

SHARED_LINKS = {"log": "log", "tmp/pids": "pids"}  # path in the release -> path in shared
LINK = """\
clear() { { [ ! -e "$1" ] && [ ! -h "$1" ]; } || rm -rf "$1"; }
clear REVISION
printf '%s\\n' "$1" >REVISION
while shift && [ $# -gt 0 ]; do
    [ -d "${1%/*}" ] || mkdir -p "${1%/*}"
    clear "$1"
    ln -s "$2" "$1"
    shift
done"""
"""A program is started only where there is something for it to do: mostly there is not."""
RUBY_BUILD = (
    'bundle config set --local path "$SATELLITE_SHARED/bundle"',
    "bundle config set --local frozen true",
    "bundle install",  # first: only this refuses a lock file that the Gemfile has left behind
    "bundle check",
)


def fetch(layout: Layout, manifest: ReleaseManifest, system: System, say: Say) -> Mirror:
    """Have the commit and all that belongs to it in the mirror."""
    mirror = Mirror(layout, manifest, system, say)
    mirror.fetch()
    return mirror


def check_out(layout: Layout, release: str, mirror: Mirror, system: System, say: Say) -> None:
    """Lay the commit's files into the release's directory, as the app user."""
    directory = layout.releases / release
    directory.mkdir(mode=0o755)
    system.own(directory, layout.app)
    with storage.nameless(layout.state) as archive:  # not on /run, which is memory
        path = Path(f"/proc/{os.getpid()}/fd/{archive.fileno()}")

        def extract(part: Part) -> None:
            tar = ["tar", "--extract", "--file=-", f"--directory={directory / part.path}"]
            system.run(tar, say, user=layout.app, stdin=path)

        mirror.archives(path, extract)


def link(layout: Layout, release: str, manifest: ReleaseManifest, system: System, say: Say) -> None:
    """Note the release's commit in it; point its log and pid directories at the shared ones, and
    its config files at their own.

    What lies there is the app's: it is done as its user, as root would follow any link of a commit.
    """
    links = {inside: layout.shared / shared for inside, shared in SHARED_LINKS.items()}
    links |= {f.path: layout.config_files(release) / f.path for f in manifest.config_files}
    pairs = [word for inside, there in links.items() for word in (f"./{inside}", str(there))]
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        say(line)

    try:
        system.run(
            ["/bin/sh", "-ec", LINK, "link", manifest.revision, *pairs],
            hear,
            user=layout.app,
            cwd=layout.releases / release,
        )
    except CommandError as problem:
        raise CommandError(
            f"{release} could not be linked: {said[-1] if said else problem}"
        ) from None


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
