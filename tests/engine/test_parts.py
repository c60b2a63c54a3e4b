"""Which parts are the vendor's: whatever is installed, and nothing that only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.engine import Parts, find
from lab.engine.cli import built
from lab.engine.errors import EngineError
from lab.engine.parts import MARK
from tests.programs import executable


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with nothing on it."""
    (tmp_path / "bin").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}


def test_nothing_is_installed(machine: dict[str, str]) -> None:
    with pytest.raises(EngineError, match="there is no Pulumi CLI here yet"):
        find(machine)


def test_a_built_cli_with_stand_ins(machine: dict[str, str]) -> None:
    cli = executable(built(machine))
    parts = find(machine)
    nothing = {"command": None, "aws": None}
    assert parts == Parts(cli=cli, built=True, language_host=None, plugins=nothing)
    assert str(parts) == (
        f"pulumi {cli} (v3.274.1, built here); language host: stand-in; "
        "command 1.2.1: stand-in; aws 7.51.1: stand-in"
    )


def test_everything_is_the_vendors(machine: dict[str, str], tmp_path: Path) -> None:
    vendor = tmp_path / "opt"
    cli, host = executable(vendor / "pulumi"), executable(vendor / "pulumi-language-python")
    (tmp_path / "bin/pulumi").symlink_to(cli)  # the host is beside what the link leads to
    plugins = tmp_path / "home/.pulumi/plugins"
    executable(plugins / "resource-command-v1.2.1/pulumi-resource-command")
    executable(plugins / "resource-aws-v7.51.1/pulumi-resource-aws")
    parts = find(machine)
    assert parts == Parts(
        cli=cli,
        built=False,
        language_host=host,
        plugins={
            "command": plugins / "resource-command-v1.2.1",
            "aws": plugins / "resource-aws-v7.51.1",
        },
    )
    assert str(parts) == (
        f"pulumi {cli} (installed); language host: vendor; "
        "command 1.2.1: vendor; aws 7.51.1: vendor"
    )


def test_the_vendors_installer_need_not_be_on_the_path(
    machine: dict[str, str], tmp_path: Path
) -> None:
    cli = executable(tmp_path / "home/.pulumi/bin/pulumi")
    assert find(machine).cli == cli


def test_pulumi_home_is_where_plugins_are(machine: dict[str, str], tmp_path: Path) -> None:
    executable(tmp_path / "bin/pulumi")
    machine["PULUMI_HOME"] = str(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere/plugins/resource-command-v1.2.1"
    executable(folder / "pulumi-resource-command")
    assert find(machine).plugins == {"command": folder, "aws": None}


def test_another_version_or_half_a_download_does_not_count(
    machine: dict[str, str], tmp_path: Path
) -> None:
    executable(tmp_path / "bin/pulumi")
    plugins = tmp_path / "home/.pulumi/plugins"
    executable(plugins / "resource-command-v1.2.0/pulumi-resource-command")
    executable(plugins / "resource-aws-v7.51.1/pulumi-resource-aws")
    (plugins / "resource-aws-v7.51.1.partial").touch()
    assert find(machine).plugins == {"command": None, "aws": None}


def test_our_own_launchers_do_not_count(machine: dict[str, str], tmp_path: Path) -> None:
    launcher = f"#!/bin/sh\n# {MARK}\n"
    executable(tmp_path / "bin/pulumi")
    executable(tmp_path / "bin/pulumi-language-python", launcher)
    plugins = tmp_path / "home/.pulumi/plugins"
    executable(plugins / "resource-aws-v7.51.1/pulumi-resource-aws", launcher)
    parts = find(machine)
    assert (parts.language_host, parts.plugins) == (None, {"command": None, "aws": None})
