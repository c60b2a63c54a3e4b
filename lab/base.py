"""The machines' base image: Debian packages, built once, cached under its recipe's hash."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import apt, database, kernel, paths, tools
from lab.errors import LabError

RECIPE = paths.package() / "image"
CERTIFICATES = Path("/usr/local/share/ca-certificates")


@dataclass(frozen=True)
class Image:
    """A finished image: the machines' root, and an empty database cluster for db.lab."""

    directory: Path

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def database(self) -> Path:
        return self.directory / "database"


def digest(suite: str) -> str:
    """Name of the recipe: 16 hex digits over all that decides the image's content."""
    recipe = hashlib.sha256(f"{suite} {os.uname().machine}".encode())
    for file in sorted(RECIPE.iterdir()) + _certificates():
        recipe.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return recipe.hexdigest()[:16]


def packages() -> list[str]:
    """What the image consists of, apart from what Debian cannot do without."""
    lines = (RECIPE / "packages").read_text().splitlines()
    return " ".join(line for line in lines if not line.startswith("#")).split()


def ensure() -> Image:
    """The image of this machine's suite; builds it (one to three minutes) where it is not there.

    Safe to call side by side and to interrupt: the image appears finished or not at all.
    """
    configuration = apt.read()
    cache = paths.cache()
    image = Image(cache / f"base-{digest(configuration.suite)}")
    if image.directory.exists():
        return image
    tools.need(tools.BUILDING)
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / "base.lock"):
        if not image.directory.exists():
            _remove_unfinished(cache)
            print(f"lab: building the base image ({configuration.suite}), once", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="base.partial-", dir=cache) as partial:
                building = Image(Path(partial) / "image")
                _build(building, configuration)
                building.directory.rename(image.directory)
    return image


def _build(image: Image, configuration: apt.Apt) -> None:
    image.directory.mkdir(mode=0o755)
    log = image.directory.parent / "mmdebstrap.log"
    sources = image.directory.parent / "build.sources"
    sources.write_text(configuration.outside)
    # a mount namespace of its own: if we are killed, nothing stays mounted below the cache
    namespace = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
    namespace += ["--kill-child", "--mount-proc"]
    options = ["--variant=minbase", "--mode=root", "--skip=check/empty", "--format=directory"]
    options += [f"--aptopt={line}" for line in configuration.settings.splitlines()]
    options += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc")]
    options += [f"--include={','.join(packages())}"]
    options += hooks(RECIPE)
    command = [*namespace, "mmdebstrap", *options]
    command += [configuration.suite, str(image.root), str(sources)]
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=kernel.die_with_parent,  # or it would go on building for nobody
        )
    if done.returncode:
        raise LabError(
            f"lab: mmdebstrap failed with status {done.returncode}; the end of what it said:\n"
            + "".join(f"  {line}\n" for line in log.read_text(errors="replace").splitlines()[-20:])
            + "Is the apt mirror of this machine reachable (try `apt-get update`)?"
        )
    configuration.write(image.root)
    database.make_template(image.root, image.database)


def hooks(recipe: Path) -> list[str]:
    """The options of mmdebstrap for our own steps; it hands them to a shell."""
    prepare, customize, files = (
        shlex.quote(str(path)) for path in (recipe / "prepare.sh", recipe / "customize.sh", recipe)
    )
    return [
        f'--essential-hook={prepare} "$1"',
        f'--customize-hook={customize} "$1" {files} {CERTIFICATES}',
    ]


def _certificates() -> list[Path]:
    """Certificates that this machine's owner added: an https mirror or proxy may need them."""
    return sorted(CERTIFICATES.glob("*.crt"))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("lab: waiting for the base image that another process builds", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_unfinished(cache: Path) -> None:
    for directory in cache.glob("base.partial-*"):
        shutil.rmtree(directory)
