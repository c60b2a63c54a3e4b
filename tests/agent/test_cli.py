"""The agent's command line, whatever surrounds it."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest

from satellite_infra.agent import cli, frontend


def test_the_apps_user_gets_into_what_a_careful_login_makes() -> None:
    before = os.umask(0o077)
    try:
        with pytest.raises(SystemExit):
            cli.main(["--help"])
        assert os.umask(0o077) == 0o022
    finally:
        os.umask(before)


class FullDisk(io.StringIO):
    """A log that takes no line."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FullDisk())
    cli._say("the way back goes on")


def test_every_job_has_its_verb() -> None:
    assert set(cli.JOBS.values()) == set(frontend.JOBS)


@pytest.mark.parametrize("module", ["cli", "frontend", "state", "workers"])
def test_what_a_release_starts_loads_nothing_of_the_network(module: str) -> None:
    """Ten starts of a host's Python are most of a rollback."""
    code = f"import sys, satellite_infra.agent.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"satellite_infra.agent.{module}" in run.stdout.split()
    assert not {"http.client", "ssl", "urllib.request", "zipfile", "bz2"} & set(run.stdout.split())
