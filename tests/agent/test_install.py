"""The agent on a host: a newer one comes, and an older one stays as long as it is at work."""

from __future__ import annotations

import py_compile
import shutil
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from satellite_infra.agent import compiled, install
from satellite_infra.agent_bundle import agent_bundle
from tests.agent.machine import new_machine, preparation


def test_an_agent_stays_while_one_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = new_machine(tmp_path / "machine", monkeypatch)
    launcher = preparation(machine).layout.agent

    def installed(*versions: str) -> list[str]:
        """What is there after these have come."""
        for version in versions:
            install.agent(preparation(machine, agent=version))
        folders = (path for path in launcher.parent.iterdir() if path.is_dir())
        return sorted(path.name for path in folders if not path.is_symlink())

    assert installed("v1") == ["v1"]
    program = "import sys; sys.stdin.read()"  # one that runs as the launcher does
    argv = [sys.executable, "-c", program, str(launcher), "release-job", "--app", "other"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as running:
        assert installed("v2", "v2", "v3") == ["v1", "v2", "v3"]
        running.communicate()
    assert installed("v3") == ["v3"]
    assert installed("v4") == ["v3", "v4"]


def test_its_modules_are_compiled_and_made_anew_where_that_is_cut_or_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start writes none; each bootstrap makes right what is wrong."""
    machine = new_machine(tmp_path / "machine", monkeypatch)
    bundle = agent_bundle()
    host = preparation(machine, agent=bundle.digest)._replace(archive=bundle.path)
    assert install.agent(host)
    assert not install.agent(host)
    place = host.layout.agent.parent / bundle.digest / "agent"
    kept = place / "__pycache__"
    assert len(list(kept.iterdir())) == len(list(place.glob("*.py"))) > 50
    assert compiled.wrong(place) == []
    cut, jobs = Path(cache_from_source(str(place / "jobs.py"))), place / "jobs.py"
    for wrong in (
        lambda: cut.write_bytes(cut.read_bytes()[:4096]),
        lambda: cut.write_bytes(b"\0" * 16 + cut.read_bytes()[16:]),  # another Python's
        cut.unlink,
        lambda: jobs.write_text("by_hand = True\n"),
    ):
        wrong()
        assert compiled.wrong(place) == [jobs]
        assert install.agent(host)
        assert compiled.wrong(place) == []
        assert not install.agent(host)


def test_what_has_no_room_is_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "agent"
    shutil.copytree(Path(install.__file__).parent, place)
    shutil.rmtree(place / "__pycache__", ignore_errors=True)
    old = py_compile.compile(str(place / "cli.py"))
    assert old
    program = ["/bin/sh", "-c", 'ulimit -f "$0"; exec "$@"', "16", sys.executable, "-IBS"]
    argv = [*program, str(place / "compiled.py")]
    (place / "cli.py").touch()
    before = Path(old).read_bytes()
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, "[Errno 27] File too large\n")
    assert Path(old).read_bytes() == before
    left = {path.name for path in compiled.wrong(place)}
    kept = sorted(path.name.partition(".")[0] for path in (place / "__pycache__").iterdir())
    assert sorted(f"{name}.py" for name in kept) == sorted(
        {path.name for path in place.glob("*.py")} - left | {"cli.py"}
    )
    argv[3] = "unlimited"
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 0
    assert compiled.wrong(place) == []
