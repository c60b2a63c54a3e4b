"""What a person is told where programs are missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import tools
from lab.errors import LabError


def test_missing_programs_name_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "ip").touch(mode=0o755)
    with pytest.raises(LabError) as error:
        tools.need(("systemd-nspawn", "ip", "unshare", "nsenter"))
    assert str(error.value) == (
        "lab: not installed: systemd-nspawn, unshare, nsenter. Install with:\n"
        "  apt-get install systemd-container util-linux"
    )


def test_root_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/usr/bin")
    tools.as_root(["run"])
    assert os.environ["PATH"] == "/usr/bin:/usr/sbin:/sbin"


def test_others_start_again_under_sudo_with_their_own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    (tmp_path / "sudo").touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execvp", lambda _, argv: called.append(argv))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/dev")
    monkeypatch.delenv("SATELLITE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    tools.as_root(["run", "--", "true"])
    ((*start, python, dash_m, name, run, dashes, command),) = called
    path = f"PATH={tmp_path}:/usr/sbin:/sbin"
    assert start == ["sudo", "--preserve-env", "env", path, "HOME=/home/dev"]
    assert (dash_m, name, run, dashes, command) == ("-m", "lab", "run", "--", "true")
    assert Path(python).name.startswith("python")
    assert os.environ["SATELLITE_CACHE"] == "/home/dev/.cache/satellite"


def test_no_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(tools, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="need root, and there is no sudo here"):
        tools.as_root(["base"])
