"""A Ruby of one version, built from its source archive into a directory of its own.

It is never changed in place but for what RubyGems adds: workers and the releases before may use it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from . import storage
from .bootstrap_manifest import Ruby
from .preparation import Preparation
from .system import PATH, CommandError

LIMIT = 3600  # seconds for each of its steps
ANSWER = 60  # seconds for the archive's server
NICE = ("choom", "-n", "500", "--", "nice", "-n", "10")
"""Workers go first; where memory ends, this ends first: a login has sshd's own protection."""


def install(host: Preparation) -> bool:
    """Have the Ruby that is declared, with its RubyGems and Bundler."""
    wanted = host.manifest.ruby
    if wanted is None:
        return False
    changed = _build(host, wanted)
    return any([changed, _rubygems(host, wanted), _bundler(host, wanted)])


def _build(host: Preparation, wanted: Ruby) -> bool:
    """Build it beside, and put it there whole; what is there already stays."""
    there = host.layout.ruby(wanted.version)
    recipe = {"sha256": wanted.sha256, "configure": list(wanted.configure)}
    scratch = there.with_name(f".{there.name}")  # no version begins with a dot
    storage.remove_tree(scratch)  # of a run that was cut off
    if there.exists():
        if storage.read_json(there / ".satellite") != recipe:
            raise ValueError(
                f"{there} was made from another archive or with other options, and may be in use: "
                f"choose another satellite:ruby.version, such as {wanted.version}-2"
            )
        return False
    storage.directory(scratch / "source", 0o700)
    archive = scratch / "archive"
    _download(wanted, archive)
    run = host.system.run
    tar = ["tar", "--extract", "--no-same-owner", "--strip-components=1", f"--file={archive}"]
    run([*tar, f"--directory={scratch / 'source'}"], host.say)
    made = Path(f"{scratch}/made{there}")
    for argv in (
        ["./configure", f"--prefix={there}", *wanted.configure],
        ["make", f"-j{len(os.sched_getaffinity(0))}"],
        ["make", "install", f"DESTDIR={scratch / 'made'}"],
    ):
        env = {"HOME": str(scratch)}
        run([*NICE, *argv], host.say, cwd=scratch / "source", env=env, timeout=LIMIT)
    storage.write_json(made / ".satellite", recipe)
    os.sync()  # a power cut leaves all of it or nothing
    made.rename(there)
    storage.sync_directory(there.parent)
    storage.remove_tree(scratch)
    return True


def _download(wanted: Ruby, archive: Path) -> None:
    """Fetch the archive, all of it; ValueError where it is not the one that was declared."""
    total = hashlib.sha256()
    # not at every start of the agent
    import http.client
    import urllib.request

    fetch = urllib.request.urlopen
    try:
        with fetch(wanted.source, timeout=ANSWER) as answer, archive.open("wb") as to:
            while block := answer.read(1 << 20):
                total.update(block)
                to.write(block)
            size = int(answer.headers["Content-Length"] or to.tell())
            if to.tell() < size:
                raise OSError(f"the connection broke off after {to.tell()} of {size} bytes")
    except (OSError, http.client.HTTPException) as problem:
        raise CommandError(
            f"satellite:ruby.source: {wanted.source} could not be fetched: "
            + str(problem).strip("<>")
        ) from problem
    if total.hexdigest() != wanted.sha256:
        raise ValueError(
            f"{wanted.source}: its SHA-256 should be {wanted.sha256}, got {total.hexdigest()}; "
            "it was not unpacked"
        )


def _rubygems(host: Preparation, wanted: Ruby) -> bool:
    gem = str(host.layout.ruby(wanted.version) / "bin/gem")
    if not wanted.rubygems or _says(host, gem, "--version").strip() == wanted.rubygems:
        return False
    _gem(host, gem, "update", "--system", wanted.rubygems)
    return True


def _bundler(host: Preparation, wanted: Ruby) -> bool:
    gem = str(host.layout.ruby(wanted.version) / "bin/gem")
    if not wanted.bundler:
        return False
    listed = ("list", "--installed", "--exact", "bundler", "--version", wanted.bundler)
    if _says(host, gem, *listed).strip() == "true":
        return False
    _gem(host, gem, "install", "bundler", "--version", wanted.bundler, "--force")
    return True


def _gem(host: Preparation, gem: str, *argv: str) -> None:
    env = {"HOME": str(host.layout.state), "PATH": f"{Path(gem).parent}:{PATH}"}
    host.system.run([gem, *argv, "--no-document"], host.say, env=env, timeout=LIMIT)


def _says(host: Preparation, *argv: str) -> str:
    status, text = host.system.output(argv)
    if status not in (0, 1):
        raise CommandError(f"`{' '.join(argv)}` ended with status {status}: {text.strip()}")
    return text
