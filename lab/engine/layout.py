"""Lay out an engine in a folder of its own, and say which environment makes Pulumi use it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.engine.build import COMMAND
from lab.engine.errors import EngineError
from lab.engine.parts import LANGUAGE_HOST, MARK, PLUGINS, find, plugin

STANDINS = Path(__file__).parents[1] / "standins"


def environment(
    directory: Path,
    environ: Mapping[str, str] = os.environ,
    instead: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Make `directory`/{bin,home,state} and return the variables to lay over `environ`.

    The CLI is the vendor's. Its language host and plugins are, too, wherever they are installed;
    stand-ins take the place of exactly the missing ones. State is kept in files below
    `directory`, no account and no network is needed. Safe to call again on the same folder.
    `instead`: the stand-in to use for a plugin whatever is installed, such as quiet for command.

    Raises EngineError where CLI or stand-in are yet to be built: nothing is built here.
    """
    parts = find(environ)
    directory = directory.resolve()
    binaries, home, state = directory / "bin", directory / "home", directory / "state"
    for folder in (binaries, home, state):
        folder.mkdir(parents=True, exist_ok=True)

    # a copy: the CLI follows a symbolic link and looks for its language host at the link's end
    _copy(parts.cli, binaries / "pulumi")
    if host := parts.language_host:
        for part in host.parent.glob(f"{LANGUAGE_HOST}*"):  # the host and its helper program
            _link(part, binaries / part.name)
    else:
        _launcher(binaries / LANGUAGE_HOST, _python("language"))
    for name, installed in parts.plugins.items():
        ours = home / "plugins" / f"resource-{name}-v{PLUGINS[name]}"
        ours.mkdir(parents=True, exist_ok=True)
        if instead and name in instead:
            _launcher(ours / f"pulumi-resource-{name}", _standin(instead[name], environ))
        elif installed:  # the engine wants a real folder, but what is in it may be links
            for entry in installed.iterdir():
                _link(entry, ours / entry.name)
        else:
            _launcher(ours / f"pulumi-resource-{name}", _standin(name, environ))

    # the interpreter that runs this has what program and stand-ins import
    path = [str(binaries), str(Path(sys.executable).parent), environ.get("PATH") or os.defpath]
    return {
        "PATH": os.pathsep.join(path),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "lab",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "SSH_AUTH_SOCK": "",  # both command providers would offer an agent's keys, too
    }


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.symlink_to(source)


def _standin(name: str, environ: Mapping[str, str]) -> list[str]:
    """The command of a plugin's stand-in."""
    if name not in ("command", "quiet"):
        return _python(name)
    if program := COMMAND.ready(environ):
        return [str(program), name]
    # the setup builds it only where the vendor's is missing
    how = "`python -m lab.engine standin`" if plugin("command", environ) else "`make setup`"
    raise EngineError(f"the stand-in for the plugin `command` is not built yet: {how} builds it")


def _python(standin: str) -> list[str]:
    return [sys.executable, str(STANDINS), standin]


def _launcher(target: Path, command: list[str]) -> None:
    target.unlink(missing_ok=True)
    line = f'exec {shlex.join(command)} "$@"'
    target.write_text(f"#!/bin/sh\n# {MARK}, written by lab.engine\n{line}\n")
    target.chmod(0o755)
