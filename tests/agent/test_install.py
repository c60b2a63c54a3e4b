"""The agent on a host: a newer one comes, and an older one stays as long as it is at work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from satellite_infra.agent import install
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
