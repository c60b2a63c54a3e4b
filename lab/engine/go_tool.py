"""A program built from a Go module, at a pinned version or our own, kept in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import kernel
from lab.engine.cache import cache, home
from lab.engine.errors import EngineError
from lab.engine.go import Go


@dataclass(frozen=True)
class GoTool:
    """What to build. `folder` holds go.mod and go.sum: the versions and their hashes.

    `module` is the one that go.mod pins and whose version is the tool's; `source` the one with
    `package`; `disk` the bytes that a build needs for a while. An `own` tool's program is in
    `folder`, too: the hash of what is there is its version, and `source` is the largest module that
    it needs.
    """

    name: str
    folder: Path
    module: str
    source: str
    package: str
    disk: int
    tags: str = ""
    stamp: str = ""  # the variable of the program that holds its version
    own: bool = False

    def version(self) -> str:
        """The version that is built, e.g. `v3.274.1`, as go.mod pins it."""
        pins = (self.folder / "go.mod").read_text()
        match = re.search(rf"^\s*{re.escape(self.module)} (v\S+)", pins, re.MULTILINE)
        if not match:
            raise EngineError(f"{self.folder / 'go.mod'} requires no {self.module}")
        return match[1]

    def target(self, environ: Mapping[str, str]) -> Path:
        """Where the program belongs, whether it is there or not."""
        edition = self._hash() if self.own else self.version()
        return cache(environ) / f"{self.name}-{edition}" / "bin" / self.name

    def ready(self, environ: Mapping[str, str]) -> Path | None:
        """The program if it is there."""
        target = self.target(environ)
        return target if os.access(target, os.X_OK) else None

    def sources(self) -> list[Path]:
        """What of the folder is the tool's; old checkouts and editors leave more there."""
        kinds = (".go", ".mod", ".sum")
        return sorted(path for path in self.folder.iterdir() if path.suffix in kinds)

    def _hash(self) -> str:
        digest = hashlib.sha256()
        for path in self.sources():
            content = path.read_bytes()
            digest.update(f"{path.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:12]

    def build(self, go: Go, environ: Mapping[str, str]) -> Path:
        """The program, built unless it is there. EngineError for too little disk, or a failure."""
        target = self.target(environ)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_suffix(".lock")):
            if not target.exists():  # another process may have built it while this one waited
                self._build(go, target, environ)
        return target

    def _build(self, go: Go, target: Path, environ: Mapping[str, str]) -> None:
        unfinished = f"build-{target.parents[1].name}-"
        for left in cache(environ).glob(f"{unfinished}*"):  # by one that was killed
            shutil.rmtree(left)
        if shutil.disk_usage(target.parent).free < self.disk:
            raise EngineError(
                f"building {self.name} needs {self.disk / (1 << 30):g} GB of free disk for a while "
                f"in {cache(environ)}; free some, or name another folder with SATELLITE_CACHE"
            )
        with tempfile.TemporaryDirectory(prefix=unfinished, dir=cache(environ)) as folder:
            work = Path(folder)
            source, output = work / "source", work / self.name
            source.mkdir()
            for path in self.sources():
                shutil.copy(path, source)
            stamp = f" -X {self.stamp}={self.version()}" if self.stamp else ""
            command = [
                *(str(go.path), "build", "-trimpath", "-tags", self.tags),
                *("-ldflags", f"-s -w{stamp}", "-o", str(output), self.package),
            ]
            done = subprocess.run(
                command,
                cwd=source,
                env=self.environment(go, work, environ),
                preexec_fn=kernel.die_with_parent,  # or it would go on building for nobody
                check=False,
            )
            if done.returncode:
                raise EngineError(
                    f"`go build` of {self.name} ended with exit status {done.returncode}; its own "
                    "messages are above. It needs the Go module proxy (GOPROXY) on the network"
                )
            output.rename(target)

    def environment(self, go: Go, work: Path, environ: Mapping[str, str]) -> dict[str, str]:
        """Go's: the user's own caches if they hold the modules already, else some in `work`."""
        # images ship GOTOOLCHAIN=local; the module asks for a newer Go than most machines have
        env = {**environ, "HOME": str(home(environ)), "GOTOOLCHAIN": "auto", "GOWORK": "off"}
        env |= {"GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}  # modcacherw: deletable by us
        env.pop("GOOS", None), env.pop("GOARCH", None)
        asked = subprocess.run(
            [go.path, "env", "GOMODCACHE"],
            cwd="/",
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        if not (Path(asked.stdout.strip()) / f"{self.source}@{self.version()}").exists():
            env |= {"GOPATH": str(work / "go"), "GOMODCACHE": str(work / "modules")}
            env |= {"GOCACHE": str(work / "objects")}
        return env


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
