"""`satellite promote` as a person runs it: the stack's settings, real git, the engine's update."""

from __future__ import annotations

from pathlib import Path

import pytest

from satellite_cli.update import Outcome, Update
from tests.cli.conftest import COMMIT, Desk, status
from tests.infra.conftest import REVISION, SECRET, stack_values

from .promotion import World, isolate
from .test_change import counts, error, root, step


@pytest.fixture
def world(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A checkout beside the project, whose stack was rolled back to another commit."""
    (tmp_path / "git").mkdir()
    isolate(tmp_path / "git", monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", None)
    values = {**stack_values(), "branch": "staging"}
    desk.config = {
        f"satellite:{key}": {"value": value, "secret": key in SECRET}
        for key, value in values.items()
    }
    made = World.made(tmp_path / "git")
    desk.pulumi["up"] = (0, "", "")
    desk.events["up"] = [root(made.second), counts(same=9, update=2)]
    return made


def promoted(desk: Desk, world: World, *more: str) -> tuple[int, str]:
    words = ("--checkout", str(world.work), "--remote", str(world.server), "--from", world.second)
    ran = desk.satellite("promote", "staging", *words, *more)
    return ran.status, ran.out + ran.err


def test_a_promotion_moves_the_branch_and_updates_the_hosts_to_the_same_commit(
    desk: Desk, world: World
) -> None:
    status, said = promoted(desk, world, "--yes")
    assert status == 0, said
    assert world.staging() == world.second
    # the update's own copy of the settings has the commit; the stack's follows its branch again
    assert (desk.place / "up.settings").read_text().splitlines()[-1] == (
        f"# set satellite:revision {world.second}"
    )
    assert (desk.place / "Pulumi.staging.yaml").read_text().endswith("# rm satellite:revision\n")
    assert f"staging is pinned to {REVISION[:12]}, and no longer once this has succeeded" in said


def test_nothing_moves_where_a_host_does_not_answer(desk: Desk, world: World) -> None:
    before = world.staging()
    desk.hosts["worker-2"] = {"status": 255, "err": "ssh: connect to host x: Connection refused\n"}
    status, said = promoted(desk, world, "--yes")
    assert status == 1
    assert "nothing was changed: these hosts do not answer as themselves\n  worker-2: " in said
    assert world.staging() == before
    assert all(words[0] != "up" for words in desk.engine())


def test_hosts_that_fail_are_told_and_the_file_stays(desk: Desk, world: World) -> None:
    before = (desk.place / "Pulumi.staging.yaml").read_text()
    desk.pulumi["up"] = (255, "", "")
    why = "worker-1: release of 0123 FAILED in phase `gate`: it ended"
    desk.events["up"] = [step("worker-1-release"), error("worker-1-release", why), counts(same=9)]
    status, said = promoted(desk, world, "--yes")
    assert status == 1
    assert "FAILED in phase `gate`" in said
    assert "Traceback" not in said
    assert (desk.place / "Pulumi.staging.yaml").read_text() == before


def test_ctrl_c_while_the_hosts_are_updated(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    monkeypatch.setattr(Update, "run", lambda _: Outcome(255, interrupted=True))
    code, said = promoted(desk, world, "--yes")
    assert code == 130
    assert "the hosts: interrupted; the engine ended by itself" in said
    assert f"  worker-1: {COMMIT[:12]}\n" in said
    assert f"    now    {world.second}\n" in said


def test_settings_that_are_not_right_are_all_told_and_nothing_moves(
    desk: Desk, world: World
) -> None:
    desk.config["satellite:counts"] = {"value": "2"}
    desk.config["satellite:connect"] = {"value": "both"}
    status, said = promoted(desk, world, "--yes")
    assert status == 2
    assert "satellite:counts" in said
    assert "satellite:connect" in said
    assert world.staging() == world.first


def test_unpinning_leaves_heroku_in_charge(desk: Desk, world: World) -> None:
    desk.config["satellite:revision"] = {"value": "heroku"}
    desk.config |= {
        "satellite:heroku": {"value": '{"app": "shop"}'},
        "satellite:heroku_api_token": {"value": "a-token-of-heroku", "secret": True},
    }
    status, said = promoted(desk, world, "--yes")
    assert status == 0, said
    assert "# rm" not in (desk.place / "Pulumi.staging.yaml").read_text()
