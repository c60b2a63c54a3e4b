"""The command line of a promotion: what it asks, says and prints for programs, and its status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from satellite_cli.promote import DeployError
from satellite_cli.promote_command import command
from satellite_infra.settings import Settings, validated
from tests.infra.conftest import SECRET, stack_values

from .promotion import World, hook, isolate


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    isolate(tmp_path, monkeypatch)
    return World.made(tmp_path)


class Desk:
    """The command group's part, for a stack whose repository is the world's server."""

    def __init__(self, world: World):
        self.world = world
        self.broken = ""

    def settings(self, stack: str) -> Settings:
        values = {**stack_values(), "environment": stack, "branch": stack}
        settings, found = validated(values, SECRET)
        assert found == []
        return settings

    def ready(self, stack: str) -> None:
        pass

    def deploy(self, revision: str, stack: str) -> None:
        if self.broken:
            raise DeployError(self.broken)
        self.world.deploy(revision, stack)


def run(world: World, *arguments: str, stdin: str = "", **desk: Any) -> Result:
    given = Desk(world)
    for name, value in desk.items():
        setattr(given, name, value)
    where = ["--checkout", str(world.work), "--remote", "origin"]
    return CliRunner().invoke(command, ["staging", *where, *arguments], obj=given, input=stdin)


def test_it_promotes_and_says_so(world: World) -> None:
    done = run(world, "--yes")
    assert done.exit_code == 0
    assert done.output.splitlines()[:2] == [
        f"staging: {world.second[:12]} Look twice",
        "  from main, as checked out",
    ]
    assert done.output.endswith("staging of origin, stack staging\n")
    assert (world.staging(), world.deployed) == (world.second, [(world.second, "staging")])


def test_without_a_terminal_nobody_is_asked(world: World) -> None:
    done = run(world, stdin="y\n")
    assert (done.exit_code, world.staging()) == (2, world.first)
    assert "nobody is there to be asked: --yes, or --dry-run" in done.output


@pytest.mark.parametrize(("said", "status"), [("y\n", 0), ("n\n", 4), ("\n", 4)])
def test_on_a_terminal_it_asks(
    world: World, said: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satellite_cli.promote_command.is_there", lambda: True)
    done = run(world, stdin=said)
    assert "Promote to staging? [y/N]" in done.output
    assert done.exit_code == status
    assert world.staging() == (world.first if status else world.second)


def test_json_is_alone_on_standard_output(world: World) -> None:
    done = run(world, "--dry-run", "--json", "--tag")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["status"] == "dry run"
    assert document["plan"]["tag"].startswith("staging-")
    assert [where["now"] for where in document["places"]] == [world.first]
    assert "1 commit goes" in done.stderr


def test_what_is_in_the_way_is_a_message(world: World) -> None:
    (world.work / "app").write_text("changed")
    done = run(world, "--yes")
    assert done.exit_code == 1
    assert done.output.startswith("Error: nothing was changed. ")
    assert done.output.endswith("  app\n")


def test_a_failure_says_what_is_where(world: World) -> None:
    done = run(world, "--yes", broken="worker-1: FAILED")
    assert done.exit_code == 1
    assert "FAILED in step `deploy`: the hosts: worker-1: FAILED" in done.stderr
    assert f"    now    {world.second}" in done.stderr


def test_an_interrupted_deploy_says_what_is_where_and_ends_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deploy(self: Desk, revision: str, stack: str) -> None:
        raise DeployError("interrupted; worker-1: 0123456", interrupted=True)

    monkeypatch.setattr(Desk, "deploy", deploy)
    done = run(world, "--yes", "--json")
    assert done.exit_code == 130
    assert "FAILED in step `deploy`: the hosts: interrupted; worker-1: 0123456" in done.stderr
    assert f"    now    {world.second}" in done.stderr
    assert json.loads(done.stdout)["interrupted"]


def test_force_create_and_from(world: World) -> None:
    other = world.another()
    assert run(world, "--yes").exit_code == 1
    assert run(world, "--yes", "--force", "--from", "main~1").exit_code == 0
    assert world.staging() == world.first != other
    hook(world.server, "update", "exit 0")
    assert run(world, "--yes", "--create", "--no-tag").exit_code == 0
    assert world.staging() == world.second
