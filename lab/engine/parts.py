"""Which parts of the engine are the vendor's on this machine, and which are our stand-ins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.engine.cache import home
from lab.engine.cli import built, find_cli, version
from lab.engine.errors import EngineError

MARK = "Pulumi stand-in (test equipment)"  # in each launcher, so that one is never taken for real
LANGUAGE_HOST = "pulumi-language-python"
PLUGINS = {"command": "1.2.1", "aws": "7.51.1"}  # as the SDKs in requirements.in ask for them


@dataclass(frozen=True)
class Parts:
    """Paths of the vendor's parts; None where a stand-in serves instead.

    `cli` is always the vendor's program, installed or built. `plugins` maps a name such as
    `aws` to the folder of the installed plugin.
    """

    cli: Path
    built: bool
    language_host: Path | None
    plugins: Mapping[str, Path | None]

    def __str__(self) -> str:
        """One line for people: which part comes from where."""
        cli = f"pulumi {self.cli} ({f'{version()}, built here' if self.built else 'installed'})"
        parts = {
            "language host": self.language_host,
            **{f"{name} {PLUGINS[name]}": path for name, path in self.plugins.items()},
        }
        return "; ".join(
            [cli, *(f"{part}: {'vendor' if path else 'stand-in'}" for part, path in parts.items())]
        )


def find(environ: Mapping[str, str] = os.environ) -> Parts:
    """Look at what is installed; build nothing. Raises EngineError where there is no CLI."""
    cli = find_cli(environ)
    if cli is None:
        raise EngineError("there is no Pulumi CLI here yet: `make setup` finds or builds it")
    return Parts(
        cli=cli.resolve(),
        built=cli == built(environ),
        language_host=_language_host(cli, environ),
        plugins={name: plugin(name, environ) for name in PLUGINS},
    )


def _language_host(cli: Path, environ: Mapping[str, str]) -> Path | None:
    beside, on_path = cli.resolve().parent / LANGUAGE_HOST, None
    if found := shutil.which(LANGUAGE_HOST, path=environ.get("PATH")):
        on_path = Path(found)
    for host in (beside, on_path):
        if host and _vendors(host):
            return host.resolve()
    return None


def plugin(name: str, environ: Mapping[str, str]) -> Path | None:
    """The folder of the plugin at exactly our version: the engine takes no other."""
    theirs = Path(environ.get("PULUMI_HOME") or home(environ) / ".pulumi") / "plugins"
    folder = theirs / f"resource-{name}-v{PLUGINS[name]}"
    cut_off = folder.with_name(folder.name + ".partial").exists()
    return folder if not cut_off and _vendors(folder / f"pulumi-resource-{name}") else None


def _vendors(program: Path) -> bool:
    """Whether this is an executable that is not one of our launchers."""
    if not (program.is_file() and os.access(program, os.X_OK)):
        return False
    with program.open("rb") as file:
        return MARK.encode() not in file.read(400)
