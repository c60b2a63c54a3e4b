"""The folder that an engine is laid out in, and the environment that makes Pulumi use it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from lab.engine import environment
from lab.engine.build import COMMAND
from lab.engine.cli import built
from lab.engine.errors import EngineError
from lab.engine.layout import STANDINS
from lab.engine.parts import MARK
from tests.programs import executable


def listing(folder: Path) -> dict[str, str]:
    """Each file and where it comes from: a link's end, a launcher's stand-in, or its text."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_text()
    return found


def launcher(standin: str, machine: dict[str, str]) -> str:
    program = shlex.join((sys.executable, str(STANDINS)))
    if standin in ("command", "quiet"):
        program = str(COMMAND.target(machine))
    command = f'{program} {standin} "$@"'
    return f"#!/bin/sh\n# {MARK}, written by lab.engine\nexec {command}\n"


def test_stand_ins_where_nothing_is_installed(tmp_path: Path) -> None:
    machine = {"HOME": str(tmp_path / "home"), "PATH": "/nowhere"}
    executable(built(machine), "the CLI")
    executable(COMMAND.target(machine))
    folder = tmp_path / "engine"
    variables = environment(folder, machine)
    assert listing(folder) == {
        "bin/pulumi": "the CLI",
        "bin/pulumi-language-python": launcher("language", machine),
        "home/plugins/resource-aws-v7.51.1/pulumi-resource-aws": launcher("aws", machine),
        "home/plugins/resource-command-v1.2.1/pulumi-resource-command": launcher(
            "command", machine
        ),
    }
    assert variables == {
        "PATH": f"{folder}/bin:{Path(sys.executable).parent}:/nowhere",
        "PULUMI_HOME": f"{folder}/home",
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "lab",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "SSH_AUTH_SOCK": "",
    }
    before = listing(folder)
    assert environment(folder, machine) == variables
    assert listing(folder) == before


def test_the_vendors_parts_where_they_are(tmp_path: Path) -> None:
    vendor, plugins = tmp_path / "opt", tmp_path / "home/.pulumi/plugins"
    executable(vendor / "pulumi", "vendor's CLI")
    for name in ("pulumi-language-python", "pulumi-language-python-exec"):
        executable(vendor / name)
    command = plugins / "resource-command-v1.2.1"
    executable(command / "pulumi-resource-command")
    (command / "PulumiPlugin.yaml").write_text("resource: true\n")
    machine = {"HOME": str(tmp_path / "home"), "PATH": str(vendor)}
    folder = tmp_path / "engine"
    environment(folder, machine)
    ours = "home/plugins/resource-command-v1.2.1"
    assert listing(folder) == {
        "bin/pulumi": "vendor's CLI",
        "bin/pulumi-language-python": f"-> {vendor}/pulumi-language-python",
        "bin/pulumi-language-python-exec": f"-> {vendor}/pulumi-language-python-exec",
        "home/plugins/resource-aws-v7.51.1/pulumi-resource-aws": launcher("aws", machine),
        f"{ours}/PulumiPlugin.yaml": f"-> {command}/PulumiPlugin.yaml",
        f"{ours}/pulumi-resource-command": f"-> {command}/pulumi-resource-command",
    }


def test_a_newer_cli_takes_the_place_of_an_older(tmp_path: Path) -> None:
    machine = {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path)}
    executable(built(machine), "built")
    executable(COMMAND.target(machine))
    folder = tmp_path / "engine"
    environment(folder, machine)
    executable(tmp_path / "pulumi", "installed since")
    environment(folder, machine)
    assert (folder / "bin/pulumi").read_text() == "installed since"
    assert built(machine).read_text() == "built"


def test_another_stand_in_whatever_is_installed(tmp_path: Path) -> None:
    machine = {"HOME": str(tmp_path / "home"), "PATH": "/nowhere"}
    executable(built(machine))
    executable(COMMAND.target(machine))
    name = "plugins/resource-command-v1.2.1/pulumi-resource-command"
    executable(tmp_path / "home/.pulumi" / name)
    environment(tmp_path / "engine", machine, instead={"command": "quiet"})
    assert (tmp_path / "engine/home" / name).read_text() == launcher("quiet", machine)


def test_a_stand_in_that_is_not_built_is_told_with_what_to_do(tmp_path: Path) -> None:
    machine = {"HOME": str(tmp_path / "home"), "PATH": "/nowhere"}
    executable(built(machine))
    for instead in ({}, {"command": "quiet"}):
        with pytest.raises(EngineError, match="is not built yet: `make setup` builds it"):
            environment(tmp_path / "engine", machine, instead)
    plugins = tmp_path / "home/.pulumi/plugins"
    executable(plugins / "resource-command-v1.2.1/pulumi-resource-command")
    environment(tmp_path / "engine", machine)
    with pytest.raises(EngineError, match=r"`python -m lab\.engine standin` builds it"):
        environment(tmp_path / "engine", machine, {"command": "quiet"})
