"""The commands that a remark names reach the stack that was typed, whichever is selected."""

from __future__ import annotations

import pytest

from satellite_cli import aim
from satellite_cli.commands import MODULES, PROMOTE
from satellite_cli.main import satellite
from tests.cli.conftest import Desk, status


@pytest.mark.parametrize(
    ("said", "aimed"),
    [
        ("Is it dead: satellite lost worker-1", "Is it dead: satellite lost --stack eu worker-1"),
        ("satellite ssh w -- sudo reboot", "satellite ssh --stack eu w -- sudo reboot"),
        ("satellite config set NAME", "satellite config set --stack eu NAME"),
        (
            "pulumi config set --path 'satellite:hosts.w.lost' true && pulumi up",
            "pulumi config set --stack eu --path 'satellite:hosts.w.lost' true && "
            "pulumi up --stack eu",
        ),
        (
            "pulumi config set a b --stack us, then satellite up",
            "pulumi config set a b --stack us, then satellite up --stack eu",
        ),
        ("`pulumi up`, or\nsatellite up", "`pulumi up --stack eu`, or\nsatellite up --stack eu"),
        ("satellite lock release --stack us", "satellite lock release --stack us"),
        ("satellite deploys commits", "satellite deploys commits"),
        ("satellite up-to-date", "satellite up-to-date"),
        ("satellite promote us", "satellite promote us"),
        ("  | see satellite restart", "  | see satellite restart"),
        ("pulumi up --stack=us", "pulumi up --stack=us"),
        ("pulumi config set a b -s us", "pulumi config set a b -s us"),
        ("cd /opt/satellite up", "cd /opt/satellite up"),
        ("the satellite lock is held", "the satellite lock is held"),
        (
            "satellite deploy or satellite up --stack us",
            "satellite deploy --stack eu or satellite up --stack us",
        ),
        ("Usage: satellite ps [OPTIONS]", "Usage: satellite ps [OPTIONS]"),
        ("Try 'satellite ps --help' for help.", "Try 'satellite ps --help' for help."),
        ("pulumi login; pulumi plugin install", "pulumi login; pulumi plugin install"),
    ],
)  # fmt: skip
def test_each_command_of_a_text_gets_the_stack_once(said: str, aimed: str) -> None:
    assert aim.aimed(said, "eu") == aimed
    assert aim.aimed(aimed, "eu") == aimed
    assert aim.aimed(said) == said


def test_a_stacks_name_is_quoted_where_a_shell_would_split_it() -> None:
    assert aim.aimed("satellite up", "a b") == "satellite up --stack 'a b'"


def test_every_command_that_takes_a_stack_is_known() -> None:
    with satellite.make_context("satellite", ["--help"], resilient_parsing=True) as context:
        for name in MODULES:
            found = satellite.get_command(context, name)
            assert found
            verbs = sorted(getattr(found, "commands", {}))
            assert verbs == sorted(aim.VERBS.get(name, "").split("|") if verbs else [])
            takes = verbs or any(option.name == "stack" for option in found.params)
            assert takes, name
            line = f"satellite {name} {verbs[0] if verbs else ''}"
            assert (aim.aimed(line, "eu") == line) == (name == PROMOTE)


def test_a_remark_names_the_stack_that_was_said_and_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.says("worker-1", status("worker-1"))
    desk.says("worker-2", "", status=255, err="ssh: connect to host 192.0.2.2 port 22: refused\n")
    hint = "What to do: satellite doctor"
    assert f"{hint} --host worker-2" in desk.satellite("info").err
    for words in (["info", "--stack", "staging"], ["--stack", "staging", "info"]):
        assert f"{hint} --stack staging --host worker-2" in desk.satellite(*words).err
    assert f"{hint} --host worker-2" in desk.satellite("info").err
    # it is that of whatever is typed next, too
    monkeypatch.setenv("SATELLITE_STACK", "staging")
    assert f"{hint} --host worker-2" in desk.satellite("info").err


@pytest.mark.parametrize("words", [["info"], ["config"], ["config", "get", "TOKEN"]])
def test_the_stack_may_be_said_before_the_command(desk: Desk, words: list[str]) -> None:
    (desk.place / "Pulumi.production.yaml").write_text("config:\n")
    desk.satellite("--stack", "production", *words, "--json")
    stacks = {line[line.index("--stack") + 1] for line in desk.engine() if "--stack" in line}
    assert stacks == {"production"}


def test_where_the_stack_is_an_argument_it_is_not_taken_for_another(desk: Desk) -> None:
    ran = desk.satellite("--stack", "staging", "promote", "production")
    assert (ran.status, ran.out) == (2, "")
    assert "error: --stack: the stack is an argument: satellite promote staging" in ran.err
