"""Building the CLI, with a Go command that only writes down what it is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.waiting import wait_until
from lab.engine.build import NEITHER, NO_PLUGIN, build
from lab.engine.errors import EngineError
from lab.engine.go import Go, find_go
from tests.programs import executable, in_python

CHECKOUT = Path(__file__).parents[2]
FAKE_GO = """\
import json, os, sys
arguments = sys.argv[1:]
if arguments == ["env", "GOVERSION"]:
    print("{version}")
elif arguments == ["env", "GOMODCACHE"]:
    print(os.environ.get("GOMODCACHE") or os.environ["HOME"] + "/go/pkg/mod")
else:
    with open("{log}", "w") as file:
        seen = {{"arguments": arguments, "cwd": sorted(os.listdir()), "env": dict(os.environ)}}
        json.dump(seen, file)
    if "{version}" == "go1.22.0":
        sys.exit("proxy refused")
    with open(arguments[arguments.index("-o") + 1], "w") as file:
        file.write("built")
    os.chmod(arguments[arguments.index("-o") + 1], 0o755)
"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    plugin = "home/.pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command"
    executable(tmp_path / plugin)  # so that no stand-in is needed
    return {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{tmp_path / 'bin'}",
        "SATELLITE_CACHE": str(tmp_path / "cache"),
    }


def install_go(tmp_path: Path, version: str) -> Path:
    text = FAKE_GO.format(version=version, log=tmp_path / "asked.json")
    return in_python(tmp_path / "bin/go", text)


def asked(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "asked.json").read_text())


def test_it_is_built_at_the_pinned_version_and_nothing_else_is_left(
    machine: dict[str, str], tmp_path: Path
) -> None:
    install_go(tmp_path, "go1.21.5")
    target = build(machine)
    assert target == tmp_path / "cache/pulumi-v3.274.1/bin/pulumi"
    assert target.read_text() == "built"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["pulumi-v3.274.1"]
    seen = asked(tmp_path)
    assert seen["cwd"] == ["go.mod", "go.sum"]
    output = seen["arguments"][seen["arguments"].index("-o") + 1]
    flag = "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.274.1"
    assert seen["arguments"] == [
        *("build", "-trimpath", "-tags", "osusergo,grpcnotrace", "-ldflags", f"-s -w {flag}"),
        *("-o", output, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),
    ]
    env, work = seen["env"], Path(output).parent
    assert {key: env[key] for key in env if key.startswith(("GO", "CGO"))} == {
        "GOTOOLCHAIN": "auto",
        "GOWORK": "off",
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
        "GOPATH": f"{work}/go",
        "GOMODCACHE": f"{work}/modules",
        "GOCACHE": f"{work}/objects",
    }


def test_it_is_built_once(machine: dict[str, str], tmp_path: Path) -> None:
    go = install_go(tmp_path, "go1.26.6")
    first = build(machine)
    go.unlink()
    assert build(machine) == first


def test_the_users_own_go_caches_are_used_where_they_hold_the_module(
    machine: dict[str, str], tmp_path: Path
) -> None:
    install_go(tmp_path, "go1.26.6")
    held = tmp_path / "home/go/pkg/mod/github.com/pulumi/pulumi/pkg/v3@v3.274.1"
    held.mkdir(parents=True)
    build(machine)
    env = asked(tmp_path)["env"]
    assert {"GOPATH", "GOMODCACHE", "GOCACHE"} & env.keys() == set()
    assert held.exists()


def test_what_a_killed_build_left_is_removed_by_the_next(
    machine: dict[str, str], tmp_path: Path
) -> None:
    """Another tool's stays, as that may be built at this moment."""
    install_go(tmp_path, "go1.26.6")
    left = tmp_path / "cache/build-pulumi-v3.274.1-killed"
    other = tmp_path / "cache/build-pulumi-command-0123456789ab-other"
    for folder in (left, other):
        (folder / "modules").mkdir(parents=True)
    build(machine)
    assert (left.exists(), other.exists()) == (False, True)


def test_who_builds_takes_go_with_it(machine: dict[str, str], tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    waits = f'[ "$1" = env ] || {{ echo $$ >{begun}.new; mv {begun}.new {begun}; exec sleep 60; }}'
    executable(tmp_path / "bin/go", f"#!/bin/sh\nPATH=/usr/bin:/bin\n{waits}\necho go1.26.6\n")
    argv = [sys.executable, "-m", "lab.engine", "build"]
    with subprocess.Popen(argv, cwd=CHECKOUT, env=machine) as building:
        wait_until("it builds", begun.exists)
        building.kill()
    go = Path("/proc", begun.read_text().strip())
    wait_until("it builds no more", lambda: not go.exists())


def test_an_installed_cli_is_not_built(machine: dict[str, str], tmp_path: Path) -> None:
    installed = executable(tmp_path / "bin/pulumi")
    assert build(machine) == installed


def test_a_failed_build_leaves_nothing_and_says_what_it_needs(
    machine: dict[str, str], tmp_path: Path
) -> None:
    install_go(tmp_path, "go1.22.0")
    with pytest.raises(EngineError, match=r"ended with exit status 1.*GOPROXY"):
        build(machine)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["pulumi.lock"]


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("go1.19.8", False),
        ("go1.20", False),
        ("go1.21", True),
        ("go1.21rc2", True),
        ("go2.0", True),
    ],
)
def test_go_must_be_able_to_fetch_a_newer_one(
    machine: dict[str, str], tmp_path: Path, version: str, found: bool
) -> None:
    path = install_go(tmp_path, version)
    expected = Go(path, version.removeprefix("go"))
    assert (find_go(machine) == expected) is found


@pytest.mark.parametrize(("installed", "said"), [([], NEITHER), (["pulumi"], NO_PLUGIN)])
def test_without_go_it_says_what_to_install(
    tmp_path: Path, installed: list[str], said: str
) -> None:
    for name in installed:
        executable(tmp_path / name)
    # without the folders where installers put them, which this machine may have
    environment = {
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "SATELLITE_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path.cwd()),
    }
    program = (
        "import sys, lab.engine.go as go, lab.engine.__main__ as m\n"
        "go.INSTALLED = ()\n"
        "sys.exit(m.main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "check"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {said}\n")
