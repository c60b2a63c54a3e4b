"""The agent's command line, whatever surrounds it."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from satellite_infra.agent import cli


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
