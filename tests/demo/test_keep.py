"""What KEEP=1 offers: a shell in the stack's folder, and commands that exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console

from demo.keep import TRY, keep
from demo.screen import Screen
from satellite_cli.commands import MODULES

HOSTS = ("worker-1", "worker-2")


@pytest.mark.parametrize("command", [command for command, _ in TRY])
def test_what_it_offers_is_there(command: str) -> None:
    program, first, *_ = command.split()
    if program == "satellite":
        assert first in MODULES
    else:
        others = {"cd": ("../app", "../project"), "ssh": HOSTS}
        assert first in others[program]


def test_the_shell_is_in_the_folder_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\npwd >place\n", encoding="utf-8")
    shell.chmod(0o755)
    monkeypatch.setenv("KEEP", "1")
    monkeypatch.setenv("SHELL", str(shell))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert keep(Screen(Console()), tmp_path, HOSTS)
    assert (tmp_path / "place").read_text(encoding="utf-8") == f"{tmp_path}\n"
    said = capsys.readouterr().out
    assert "until you leave this shell: exit" in said
    for command, what in TRY:
        assert command in said
        assert what in said


def test_where_no_host_stands_there_is_nothing_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEEP", "1")
    monkeypatch.setenv("SHELL", "/bin/false")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert not keep(Screen(Console()), tmp_path, [])
    assert capsys.readouterr().out == ""
