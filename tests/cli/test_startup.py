"""What every command waits for: a command loads what it needs alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from satellite_cli.commands import MODULES
from satellite_cli.main import main, satellite

CHECKOUT = Path(__file__).parents[2]


def loaded(*words: str) -> set[str]:
    """The modules that the command has loaded when it is about to begin."""
    asked = f"""\
import sys
from satellite_cli.main import main
main([*{words!r}, "--help"])
print("loaded:", *sys.modules)
"""
    argv = [sys.executable, "-c", asked]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_the_list_of_commands_loads_neither_the_sdk_nor_the_settings() -> None:
    found = loaded()
    assert "satellite_cli.promote_command" in found
    assert found & {"pulumi", "pydantic", "satellite_infra.settings"} == set()


@pytest.mark.parametrize("name", MODULES)
def test_a_command_loads_what_it_needs_alone(name: str) -> None:
    found = loaded(name)
    assert f"satellite_cli.{MODULES[name].partition(':')[0]}" in found
    slow = {"pulumi", "pydantic", "cryptography", "http.client", "rich"}
    needed = {"http.client"} if name in ("promote", "doctor", "keys", "config") else set()
    assert found & slow <= needed


def test_each_command_is_there_under_its_name() -> None:
    context = satellite.make_context("satellite", ["info", "--help"], resilient_parsing=True)
    for name in satellite.list_commands(context):
        command = satellite.get_command(context, name)
        assert command
        assert command.name == name


@pytest.mark.parametrize("name", ["config", "keys", "lock"])
def test_the_list_of_a_group_is_folded_and_not_cut(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.endswith("...")]


def test_each_option_says_what_it_is_for() -> None:
    def commands(above: click.Group) -> Iterator[click.Command]:
        context = click.Context(above)
        for name in above.list_commands(context):
            command = above.get_command(context, name)
            assert command
            yield command
            if isinstance(command, click.Group):
                yield from commands(command)

    for command in commands(satellite):
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (command.name, option.name)


def test_a_command_that_is_mistyped_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["depoly"]) == 2
    told = "No such command 'depoly'. (Did you mean one of: 'deploy', 'destroy'?)"
    assert told in capsys.readouterr().err
    assert main(["xyz"]) == 2
    assert "Did you mean" not in capsys.readouterr().err
    assert main(["--", "--logs"]) == 2
    assert "No such option '--logs'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["lock"], ["keys"]])
def test_alone_it_prints_its_help_for_whoever_pages_it(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Usage: satellite")
    assert shown.err == ""
