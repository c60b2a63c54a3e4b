"""The Pulumi CLI: found where it is installed, or built from its Go module at a pinned version."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.engine.cache import cache, home
from lab.engine.errors import EngineError
from lab.engine.go import OLDEST, Go, find_go

MODULE = Path(__file__).parent / "cli"  # go.mod and go.sum: the versions and their hashes
COMMAND = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
DISK_NEEDED = 5 << 30  # bytes; measured: 1.5 GB of modules, 1.7 GB of build cache, the toolchain

NEITHER = f"""\
there is no Pulumi CLI here, and no Go {OLDEST[0]}.{OLDEST[1]} or later to build it with.
Either will do:
  - Pulumi, which brings its own plugins: https://www.pulumi.com/docs/install/
  - Go {OLDEST[0]}.{OLDEST[1]} or later (Debian 12's own is older): https://go.dev/doc/install
Then run the same command again."""


def version() -> str:
    """The version that is built, e.g. `v3.274.1`, as go.mod pins it."""
    match = re.search(rf"^\s*{re.escape(SDK)} (v\S+)", (MODULE / "go.mod").read_text(), re.M)
    if not match:
        raise EngineError(f"{MODULE / 'go.mod'} requires no {SDK}")
    return match[1]


def built(environ: Mapping[str, str]) -> Path:
    """Where the CLI that we build belongs, whether it is there or not."""
    return cache(environ) / f"pulumi-{version()}" / "bin" / "pulumi"


def installed(environ: Mapping[str, str]) -> Path | None:
    """The CLI on PATH, or where the vendor's installer puts it; None if there is none."""
    if found := shutil.which("pulumi", path=environ.get("PATH")):
        return Path(found)
    usual = home(environ) / ".pulumi" / "bin" / "pulumi"
    return usual if os.access(usual, os.X_OK) else None


def find_cli(environ: Mapping[str, str]) -> Path | None:
    """The CLI to use, without building anything; None if there is none yet."""
    if found := installed(environ):
        return found
    ours = built(environ)
    return ours if os.access(ours, os.X_OK) else None


def builder(environ: Mapping[str, str]) -> Go:
    """The Go that would build the CLI. Raises EngineError where there is none."""
    if go := find_go(environ):
        return go
    raise EngineError(NEITHER)


def build(environ: Mapping[str, str]) -> Path:
    """The CLI to use, built first if need be (about 4 minutes on 2 cores, 3.3 GB of passing disk).

    Raises EngineError where there is no Go, too little disk, or the build fails.
    """
    if found := find_cli(environ):
        return found
    go, target = builder(environ), built(environ)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.with_suffix(".lock")):
        if not target.exists():  # another process may have built it while this one waited
            _build(go, target, environ)
    return target


def _build(go: Go, target: Path, environ: Mapping[str, str]) -> None:
    if shutil.disk_usage(target.parent).free < DISK_NEEDED:
        raise EngineError(
            f"building the Pulumi CLI needs {DISK_NEEDED >> 30} GB of free disk for a while in "
            f"{cache(environ)}; free some, or name another folder with SATELLITE_CACHE"
        )
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache(environ)) as folder:
        work = Path(folder)
        source, output = work / "source", work / "pulumi"
        shutil.copytree(MODULE, source)
        command = [
            *(str(go.path), "build", "-trimpath", "-tags", "osusergo,grpcnotrace"),
            *("-ldflags", f"-s -w -X {SDK}/go/common/version.Version={version()}"),
            *("-o", str(output), COMMAND),
        ]
        done = subprocess.run(
            command, cwd=source, env=_build_environment(go, work, environ), check=False
        )
        if done.returncode:
            raise EngineError(
                f"`go build` of the Pulumi CLI ended with exit status {done.returncode}; its own "
                "messages are above. It needs the Go module proxy (GOPROXY) on the network"
            )
        output.rename(target)


def _build_environment(go: Go, work: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own Go caches if they hold the modules already, else some to throw away."""
    # images ship GOTOOLCHAIN=local; the module asks for a newer Go than most machines have
    env = {**environ, "HOME": str(home(environ)), "GOTOOLCHAIN": "auto", "GOWORK": "off"}
    env |= {"GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}  # modcacherw: deletable by us
    env.pop("GOOS", None), env.pop("GOARCH", None)
    asked = subprocess.run(
        [go.path, "env", "GOMODCACHE"], cwd="/", env=env, capture_output=True, text=True, check=True
    )
    if not (
        Path(asked.stdout.strip()) / f"{COMMAND.removesuffix('/cmd/pulumi')}@{version()}"
    ).exists():
        env |= {"GOPATH": str(work / "go"), "GOMODCACHE": str(work / "modules")}
        env |= {"GOCACHE": str(work / "objects")}
    return env


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
