"""The agent travels as the same bytes, whoever built them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from satellite_infra.agent_bundle import SOURCES, AgentBundle, agent_bundle


def sha256(bundle: AgentBundle) -> str:
    return hashlib.sha256(bundle.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_any_clone_under_any_umask_gives_the_same_bytes(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        clone = tmp_path / "clone"
        for path in sorted(SOURCES.rglob("*"), reverse=True):  # another order of directory entries
            if path.is_file() and "__pycache__" not in path.parts:
                target = clone / path.relative_to(SOURCES)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
                os.utime(target, (1, 1))
        (clone / "__pycache__").mkdir()
        for litter in ("__pycache__/cli.pyc", "cli.py~", ".cli.py.swp", "#cli.py#", "notes.txt"):
            (clone / litter).write_text("litter")
        (clone / "templates" / ".worker.service.swp").write_text("litter")
        copied, here = agent_bundle(clone), agent_bundle()
    finally:
        os.umask(before)
    assert (copied.digest, sha256(copied)) == (here.digest, sha256(here))
    assert here.remote_path == f".satellite-agent-{here.digest}.pyz"


@pytest.mark.parametrize("name", ["flat.py", "templates/worker.service"])
def test_any_change_of_a_source_changes_the_digest(tmp_path: Path, name: str) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(SOURCES, clone)
    with (clone / name).open("a") as file:
        file.write("\n")
    assert agent_bundle(clone).digest != agent_bundle().digest


def test_another_python_gives_the_same_bytes() -> None:
    """Whatever other interpreters this machine has; without one, the same one afresh."""
    here = agent_bundle()
    names = [f"python3.{minor}" for minor in range(11, 16)]
    found = [path for name in names if (path := shutil.which(name)) and _works(path)]
    program = (
        "import hashlib; from satellite_infra.agent_bundle import agent_bundle; b = agent_bundle();"
        "print(b.digest, hashlib.sha256(b.path.read_bytes()).hexdigest())"
    )
    for python in [*found, sys.executable]:
        shown = subprocess.run(
            [python, "-c", program],
            cwd=SOURCES.parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.split() == [here.digest, sha256(here)]


def test_it_is_a_program_of_stored_files_with_fixed_times_and_modes() -> None:
    with zipfile.ZipFile(agent_bundle().path) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos][:2] == ["__main__.py", "agent/__init__.py"]
    assert {
        (i.date_time, i.external_attr >> 16, i.compress_type, i.create_system) for i in infos
    } == {((1980, 1, 1, 0, 0, 0), 0o100644, zipfile.ZIP_STORED, 3)}
    assert "agent/templates/worker.service" in [info.filename for info in infos]


def test_it_runs() -> None:
    shown = subprocess.run(
        [sys.executable, "-I", str(agent_bundle().path), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "release" in shown.stdout


def test_its_directory_goes_with_the_process() -> None:
    program = "from satellite_infra.agent_bundle import agent_bundle; print(agent_bundle().path)"
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=SOURCES.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not Path(shown.stdout.strip()).parent.exists()


def _works(python: str) -> bool:
    """Version managers put names on PATH that only say what is not installed."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
