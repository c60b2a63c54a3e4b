"""actionlint is the one on PATH, or built once with a Go command that here only pretends to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.actionlint import TOOL
from tests.engine.test_cli import asked, install_go
from tests.programs import executable

CHECKOUT = Path(__file__).parents[2]
# without the folders where installers put Go, which this machine may have
PROGRAM = (
    "import sys, lab.engine.go as go, scripts.actionlint as a\n"
    "go.INSTALLED = ()\n"
    "a.main(sys.argv[1:])\n"
)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where nothing is installed but what is in `folder`/bin."""
    (folder / "bin").mkdir(exist_ok=True)
    environment = {
        "HOME": str(folder),
        "PATH": str(folder / "bin"),
        "SATELLITE_CACHE": str(folder / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    executable(tmp_path / "bin/actionlint", '#!/bin/sh\necho "installed: $*"\n')
    assert run(tmp_path, "-no-color", "x.yml").stdout == "installed: -no-color x.yml\n"


def test_it_is_built_once_at_the_pinned_version(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    go = install_go(tmp_path, "go1.26.6")
    failed = run(tmp_path)  # what was built is no program: the command ends when it starts that
    assert "Exec format error" in failed.stderr
    ours = tmp_path / f"cache/actionlint-{TOOL.version()}/bin/actionlint"
    arguments = asked(tmp_path)["arguments"]
    assert arguments == [
        *("build", "-trimpath", "-tags", "", "-ldflags", "-s -w", "-o", arguments[7]),
        "github.com/rhysd/actionlint/cmd/actionlint",
    ]
    go.unlink()
    ours.write_text('#!/bin/sh\necho "built: $*"\n')
    assert run(tmp_path, "x.yml").stdout == "built: x.yml\n"


def test_without_it_and_without_go_it_says_so(tmp_path: Path) -> None:
    failed = run(tmp_path)
    assert (failed.returncode, failed.stderr) == (
        1,
        "error: there is no actionlint here, and no Go 1.21 or later to build it with\n",
    )
