"""The Pulumi CLI: found where it is installed, or built from its Go module at a pinned version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.engine.cache import home
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
    return installed(environ) or CLI.ready(environ)
