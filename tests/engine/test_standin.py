"""Building the stand-in for the plugin `command`, with a Go command that only pretends to."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine.build import COMMAND, build
from lab.engine.errors import EngineError
from tests.engine.test_cli import asked, install_go
from tests.programs import executable

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with Pulumi, without plugins."""
    executable(tmp_path / "bin/pulumi")
    return {
        "HOME": str(tmp_path / "home"),
        "PATH": str(tmp_path / "bin"),
        "SATELLITE_CACHE": str(tmp_path / "cache"),
    }


def engine(machine: dict[str, str], word: str) -> tuple[int, str]:
    """Exit status and standard output of `python -m lab.engine`."""
    done = subprocess.run(
        [sys.executable, "-m", "lab.engine", word],
        cwd=CHECKOUT,
        env=machine,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_it_is_built_from_our_own_source_and_named_by_its_hash(
    machine: dict[str, str], tmp_path: Path
) -> None:
    install_go(tmp_path, "go1.26.6")
    assert build(machine) == tmp_path / "bin/pulumi"
    target = COMMAND.target(machine)
    assert target.read_text() == "built"
    (folder,) = (tmp_path / "cache").iterdir()
    assert target == folder / "bin/pulumi-command"
    assert len(folder.name.removeprefix("pulumi-command-")) == 12
    seen = asked(tmp_path)
    assert {"go.mod", "go.sum", "main.go"} < set(seen["cwd"])
    assert "quiet.go" in seen["cwd"]
    output = seen["arguments"][seen["arguments"].index("-o") + 1]
    assert seen["arguments"] == [
        *("build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", output, "."),
    ]
    work = Path(output).parent
    assert seen["env"]["GOMODCACHE"] == f"{work}/modules"


def test_only_what_is_missing_is_built(machine: dict[str, str], tmp_path: Path) -> None:
    go = install_go(tmp_path, "go1.26.6")
    assert engine(machine, "found") == (
        1,
        "the stand-in for Pulumi's plugin `command` (about half a minute)\n",
    )
    assert engine(machine, "build") == (0, f"{tmp_path / 'bin/pulumi'}\n")
    go.unlink()
    assert engine(machine, "found") == (0, "")
    assert engine(machine, "check") == (0, "")
    assert engine(machine, "build") == (0, f"{tmp_path / 'bin/pulumi'}\n")


def test_where_nothing_is_here_both_are_built(machine: dict[str, str], tmp_path: Path) -> None:
    install_go(tmp_path, "go1.26.6")
    (tmp_path / "bin/pulumi").unlink()
    _, said = engine(machine, "found")
    assert said.startswith("the Pulumi CLI (about 4 minutes on 2 cores, ")
    assert said.endswith(" and the stand-in for Pulumi's plugin `command` (about half a minute)\n")
    cli = tmp_path / "cache/pulumi-v3.274.1/bin/pulumi"
    assert engine(machine, "build") == (0, f"{cli}\n")
    assert COMMAND.ready(machine)


def test_the_vendors_plugin_needs_no_stand_in(machine: dict[str, str], tmp_path: Path) -> None:
    plugin = "home/.pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command"
    executable(tmp_path / plugin)
    assert engine(machine, "found") == (0, "")
    assert build(machine) == tmp_path / "bin/pulumi"
    assert COMMAND.ready(machine) is None
    install_go(tmp_path, "go1.26.6")
    assert engine(machine, "standin") == (0, f"{COMMAND.target(machine)}\n")  # asked for


def test_another_source_is_another_program(machine: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "source"
    shutil.copytree(COMMAND.folder, folder)
    tool = dataclasses.replace(COMMAND, folder=folder)
    assert tool.target(machine) == COMMAND.target(machine)
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "main.go~").touch()
    assert tool.target(machine) == COMMAND.target(machine)
    with (folder / "quiet.go").open("a") as file:
        file.write("\n")
    assert tool.target(machine) != COMMAND.target(machine)


def test_a_failed_build_leaves_nothing(machine: dict[str, str], tmp_path: Path) -> None:
    install_go(tmp_path, "go1.22.0")
    with pytest.raises(EngineError, match=r"`go build` of pulumi-command ended with exit status 1"):
        build(machine)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["pulumi-command.lock"]


def test_too_full_a_disk_is_told_before_anything(
    machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path, "go1.26.6")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(EngineError, match="building pulumi-command needs 1 GB of free disk"):
        build(machine)
    assert not (tmp_path / "asked.json").exists()
