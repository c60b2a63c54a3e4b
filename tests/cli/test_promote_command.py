"""The command line of a promotion: what it asks, says and prints for programs, and its status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from satellite_cli.problems import SatelliteError
from satellite_cli.promote_command import command
from satellite_cli.promote_steps import DeployError
from satellite_infra.settings import Settings, validated
from tests.infra.conftest import SECRET, stack_values

from .promotion import World, commit, git, hook, isolate


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    isolate(tmp_path, monkeypatch)
    return World.made(tmp_path)


class Desk:
    """The command group's part, for a stack whose repository is the world's server."""

    def __init__(self, world: World):
        self.world = world
        self.broken = ""
        self.dead = ""

    def settings(self, stack: str) -> Settings:
        values = {**stack_values(), "environment": stack, "branch": stack}
        settings, found = validated(values, SECRET)
        assert found == []
        return settings

    def ready(
        self, revision: str, stack: str, tell: Callable[[str], None], moves: bool = True
    ) -> None:
        if self.dead:
            raise SatelliteError(self.dead)
        tell(f"would change {stack} to {revision[:12]}")

    def free(self, stack: str) -> bool:
        return True

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


def test_it_asks_for_a_stack_by_that_name() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    assert shown.startswith("Usage: promote [OPTIONS] STACK\n")
    assert "ENVIRONMENT" not in shown


def test_without_a_terminal_nobody_is_asked(world: World) -> None:
    done = run(world, stdin="y\n")
    assert isinstance(done.exception, SatelliteError)
    assert (done.exception.status, world.staging()) == (4, world.first)
    assert str(done.exception) == "nobody is there to be asked: say --yes, or --dry-run"
    assert json.loads(run(world, "--json").stdout)["status"] == "refused"


@pytest.mark.parametrize(("said", "status"), [("y\n", 0), ("n\n", 4), ("\n", 4)])
def test_on_a_terminal_it_asks(
    world: World, said: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satellite_cli.promote_command.is_there", lambda: True)
    done = run(world, stdin=said)
    assert "Promote to staging? [y/N]" in done.stderr
    assert "Promote to staging? [y/N]" not in done.stdout
    assert f"would change staging to {world.second[:12]}\n" in done.stdout
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
    assert "would change staging" in done.stderr


def test_ctrl_c_at_the_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satellite_cli.promote_command.is_there", lambda: True)
    done = run(world, "--json")  # its input is at its end, which is the same
    assert isinstance(done.exception, SatelliteError)
    assert str(done.exception) == "interrupted: nothing was changed"
    assert done.exception.status == 130
    assert json.loads(done.stdout) == {
        "status": "refused",
        "interrupted": True,
        "problems": ["interrupted"],
    }
    assert world.staging() == world.first


@pytest.mark.parametrize("name", ["settings", "ready"])
def test_ctrl_c_before_the_question(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Desk, name, interrupted)
    done = run(world, "--json", "--yes")
    assert isinstance(done.exception, SatelliteError)
    assert done.exception.status == 130
    assert json.loads(done.stdout)["interrupted"]
    assert world.staging() == world.first


def test_a_fault_in_the_middle_says_what_is_where(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deploy(self: Desk, revision: str, stack: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Desk, "deploy", deploy)
    done = run(world, "--json", "--yes")
    assert isinstance(done.exception, OSError)
    document = json.loads(done.stdout)
    assert (document["status"], document["step"]) == ("failed", "deploy")
    assert "No space left on device" in document["problem"]
    assert f"    now    {world.second}" in done.stderr
    assert "Next: mend the cause, then: satellite promote staging" in done.stderr


@pytest.mark.parametrize("where", ["settings", "ready", "folder"])
def test_a_fault_before_anything_moves_has_a_document_too(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    if where == "folder":
        monkeypatch.setattr("satellite_cli.promote.tempfile.TemporaryDirectory", full)
    else:
        monkeypatch.setattr(Desk, where, full)
    done = run(world, "--json", "--yes")
    assert isinstance(done.exception, OSError)
    assert json.loads(done.stdout) == {
        "status": "refused",
        "interrupted": False,
        "problems": ["OSError: [Errno 28] No space left on device"],
    }
    assert world.staging() == world.first


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


def test_nothing_is_promoted_where_a_variable_was_empty(world: World) -> None:
    for option in ("--from", "--checkout", "--remote"):
        done = run(world, "--yes", option, "")
        assert (done.exit_code, world.staging()) == (2, world.first)
        assert f"{option} is empty" in done.output


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_hosts_that_do_not_answer_are_known_before_anything_moves(world: World, how: str) -> None:
    done = run(world, how, "--json", dead="worker-1 does not answer")
    assert isinstance(done.exception, SatelliteError)
    assert world.staging() == world.first
    assert json.loads(done.stdout) == {
        "status": "refused",
        "interrupted": False,
        "problems": ["worker-1 does not answer"],
    }


def test_a_program_is_told_what_is_in_the_way(world: World) -> None:
    (world.work / "app").write_text("changed")
    done = run(world, "--yes", "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["status"] == "refused"
    assert document["problems"][0].endswith("is not clean. Commit these, or stash them:\n  app")
    assert "nothing was changed" in done.stderr


def test_what_is_next_is_what_was_typed(world: World) -> None:
    words = ("--create", "--no-tag", "--from", "main~0")
    done = run(world, "--yes", *words, broken="worker-1: FAILED")
    where = f"--remote origin --checkout {world.work}"
    again = f"satellite promote staging --from 'main~0' {where} --create --no-tag"
    assert f"Next: mend the cause, then: {again}; what is there" in done.stderr


def test_no_token_of_a_url_is_told(world: World) -> None:
    git(world.work, "config", f"url.{world.server}.insteadOf", "https://u:canary@git.example.com/x")
    url = "https://u:canary@git.example.com/x"
    done = run(world, "--yes", "--json", "--remote", url, broken="worker-1: FAILED")
    assert done.exit_code == 1
    assert "--remote https://git.example.com/x" in done.stderr
    assert "canary" not in done.output + done.stdout


def test_what_is_next_has_the_user_of_ssh(world: World) -> None:
    url = "ssh://git@git.example.com/x"
    git(world.work, "config", f"url.{world.server}.insteadOf", url)
    done = run(world, "--yes", "--remote", url, broken="worker-1: FAILED")
    assert f"then: satellite promote staging --remote {url} --checkout" in done.stderr


REAL = """
import sys
from pathlib import Path

from satellite_cli import desk, main
from tests.cli.promotion import World
from tests.cli.test_promote_command import Desk

root = Path(sys.argv.pop(1))
(root / "pid").write_text(str(__import__("os").getpid()))


class Hosts(Desk):
    def deploy(self, revision: str, stack: str) -> None:
        (root / "deployed").write_text(revision)


desk.Desk = lambda: Hosts(World(root))
main.run()
"""


def real(world: World, monkeypatch: pytest.MonkeyPatch, **how: Any) -> tuple[int, str]:
    """The command in a process of its own; its status, and what it said on standard error."""
    monkeypatch.setenv("TMPDIR", str(world.root / "tmp"))
    where = ["--checkout", str(world.work), "--remote", "origin"]
    argv = [sys.executable, "-c", REAL, str(world.root), "promote", "staging", *where, "--yes"]
    done = subprocess.run(argv, stderr=subprocess.PIPE, text=True, check=False, **how)
    assert "Traceback" not in done.stderr
    assert list((world.root / "tmp").iterdir()) == []
    return done.returncode, done.stderr


def test_nobody_who_listens_stops_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody, writer = os.pipe()
    os.close(nobody)
    try:
        assert real(world, monkeypatch, stdout=writer) == (0, "")
    finally:
        os.close(writer)
    assert world.staging() == (world.root / "deployed").read_text() == world.second


def test_a_terminal_of_another_language(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(world.work, "Tick \N{CHECK MARK}")
    hook(world.server, "pre-receive", "echo '\N{CHECK MARK} checked'")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    out = world.root / "tmp.out"
    with out.open("wb") as file:
        assert real(world, monkeypatch, stdout=file) == (0, "")
    assert rb"Tick \u2713 (Ada)" in out.read_bytes()


@pytest.mark.parametrize("name", ["TERM", "HUP"])
@pytest.mark.parametrize("moment", ["pre-receive", "post-receive"])
def test_an_end_from_outside_says_what_is_where(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, moment: str
) -> None:
    once = f"[ -e {world.root}/other ] || {{ mkdir {world.root}/other;"
    hook(world.server, moment, f"{once} kill -{name} $(cat {world.root}/pid); sleep 60; }}")
    status, said = real(world, monkeypatch, stdout=subprocess.DEVNULL)
    assert status == 130
    assert "promotion to staging FAILED in step `branch`: interrupted" in said
    now = world.first if moment == "pre-receive" else world.second
    assert f"    now    {now}\n" in said
    assert world.staging() == now
    assert not (world.root / "deployed").exists()
