"""What is built where the vendor's is not installed: the CLI, and the stand-in for a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.engine.cli import CLI, SDK, find_cli
from lab.engine.errors import EngineError
from lab.engine.go import OLDEST, Go, find_go
from lab.engine.go_tool import GoTool
from lab.engine.parts import PLUGINS, plugin

COMMAND = GoTool(
    name="pulumi-command",
    folder=Path(__file__).parents[1] / "standins" / "command",
    module=SDK,
    source=SDK,
    package=".",
    disk=1 << 30,  # measured: 0.3 GB of modules and build cache, and the toolchain
    tags="grpcnotrace",
    own=True,
)

GO = f"Go {OLDEST[0]}.{OLDEST[1]} or later"
INSTALL_GO = f"""\
{GO}; Debian 12's own is older:
    golang-go of bookworm-backports (https://backports.debian.org/Instructions/),
    or Go's archive in /usr/local/go (https://go.dev/doc/install)"""
INSTALL_PLUGIN = f"`pulumi plugin install resource command {PLUGINS['command']}`"

NEITHER = f"""\
there is no Pulumi CLI here, and no {GO} to build it with.
Either will do:
  - {INSTALL_GO}
  - Pulumi: https://www.pulumi.com/docs/install/
    and its plugin: {INSTALL_PLUGIN}
Then run the same command again."""

NO_PLUGIN = f"""\
Pulumi's plugin `command` {PLUGINS["command"]} is not here, and no {GO} to build its stand-in with.
Either will do:
  - {INSTALL_GO}
  - the plugin: {INSTALL_PLUGIN}
Then run the same command again."""


@dataclass(frozen=True)
class Work:
    """A program to build: what it is and takes, and what to say where there is no Go."""

    tool: GoTool
    what: str
    without_go: str

    def go(self, environ: Mapping[str, str]) -> Go:
        """The Go that would build it. Raises EngineError where there is none."""
        if go := find_go(environ):
            return go
        raise EngineError(self.without_go)

    def build(self, environ: Mapping[str, str]) -> Path:
        """Build it. EngineError where there is no Go, too little disk, or the build fails."""
        return self.tool.build(self.go(environ), environ)


OUR_CLI = Work(CLI, "the Pulumi CLI (about 4 minutes on 2 cores, 3.3 GB of passing disk)", NEITHER)
STAND_IN = Work(
    COMMAND, "the stand-in for Pulumi's plugin `command` (about half a minute)", NO_PLUGIN
)


def missing(environ: Mapping[str, str]) -> list[Work]:
    """What has to be built before an engine can be laid out."""
    work = []
    if not find_cli(environ):
        work.append(OUR_CLI)
    if not plugin("command", environ) and not COMMAND.ready(environ):
        work.append(STAND_IN)
    return work


def build(environ: Mapping[str, str]) -> Path:
    """Build what is missing; the CLI to use. EngineError as of Work.build."""
    for work in missing(environ):
        work.build(environ)
    cli = find_cli(environ)
    assert cli
    return cli
