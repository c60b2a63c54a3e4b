"""gofmt and go vet of the Go stand-in, with a Go that only pretends to look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine.build import COMMAND
from tests.programs import executable

CHECKOUT = Path(__file__).parents[2]
# without the folders where installers put Go, which this machine may have
PROGRAM = (
    "import runpy, lab.engine.go as go\n"
    "go.INSTALLED = ()\n"
    "runpy.run_module('scripts.gocheck', run_name='__main__')\n"
)
FAKE_GO = """\
#!/bin/sh
case $* in
"env GOVERSION") echo go1.26.6 ;;
"env GOROOT") echo {root} ;;
"env GOMODCACHE") echo {root}/modules ;;
"vet .") echo vet >>{root}/asked; echo "{found}" >&2; [ -z "{found}" ] ;;
esac
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it where nothing is installed but what is in `folder`/bin."""
    (folder / "cache").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=CHECKOUT,
        env={
            "HOME": str(folder),
            "PATH": str(folder / "bin"),
            "SATELLITE_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def install(folder: Path, unformatted: str = "", found: str = "") -> None:
    executable(folder / "bin/go", FAKE_GO.format(root=folder, found=found))
    executable(folder / "bin/gofmt", f'#!/bin/sh\nprintf "{unformatted}"\n')


def test_what_was_vetted_once_is_not_again(tmp_path: Path) -> None:
    install(tmp_path)
    for _ in range(2):
        assert run(tmp_path).returncode == 0
    assert (tmp_path / "asked").read_text() == "vet\n"
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["vetted"]


@pytest.mark.parametrize(
    ("unformatted", "found"), [("main.go\\n", ""), ("", "main.go:1: wrong"), ("a\\n", "b")]
)
def test_what_is_found_is_told_each_time(tmp_path: Path, unformatted: str, found: str) -> None:
    install(tmp_path, unformatted, found)
    for _ in range(2):
        done = run(tmp_path)
        assert done.returncode == 1
        assert done.stdout == unformatted.replace("\\n", "\n")
        assert found in done.stderr


def test_without_go_it_says_so(tmp_path: Path) -> None:
    failed = run(tmp_path)
    assert (failed.returncode, failed.stderr) == (
        1,
        f"error: there is no Go 1.21 or later here to check {COMMAND.folder} with\n",
    )


def test_without_go_nothing_is_checked_where_pulumi_and_its_plugin_are_installed(
    tmp_path: Path,
) -> None:
    executable(tmp_path / "bin/pulumi")
    executable(
        tmp_path / ".pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command",
    )
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "not checked" in done.stdout
