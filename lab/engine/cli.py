"""The Pulumi CLI: found where it is installed, or built from its Go module at a pinned version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.engine.cache import home
from lab.engine.errors import EngineError
from lab.engine.go import OLDEST, Go, find_go
from lab.engine.go_tool import GoTool

SDK = "github.com/pulumi/pulumi/sdk/v3"
CLI = GoTool(
    name="pulumi",
    folder=Path(__file__).parent / "cli",
    module=SDK,
    source="github.com/pulumi/pulumi/pkg/v3",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    disk=5 << 30,  # measured: 1.5 GB of modules, 1.7 GB of build cache, the toolchain
    tags="osusergo,grpcnotrace",
    stamp=f"{SDK}/go/common/version.Version",
)

NEITHER = f"""\
there is no Pulumi CLI here, and no Go {OLDEST[0]}.{OLDEST[1]} or later to build it with.
Either will do:
  - Pulumi, which brings its own plugins: https://www.pulumi.com/docs/install/
  - Go {OLDEST[0]}.{OLDEST[1]} or later (Debian 12's own is older): https://go.dev/doc/install
Then run the same command again."""


def version() -> str:
    """The version that is built, e.g. `v3.274.1`."""
    return CLI.version()


def built(environ: Mapping[str, str]) -> Path:
    """Where the CLI that we build belongs, whether it is there or not."""
    return CLI.target(environ)


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
    return find_cli(environ) or CLI.build(builder(environ), environ)
