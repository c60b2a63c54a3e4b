"""`satellite promote` as a person runs it: the stack's settings, real git, the engine's update."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from satellite_cli import making
from satellite_cli.promote_plan import Options
from satellite_cli.update import Outcome, Update
from tests.cli.conftest import COMMIT, Desk, status
from tests.infra.conftest import REVISION, SECRET, stack_values

from .promotion import World, git, hook, isolate, refs
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
    state = f"file://{desk.place}/state"
    desk.pulumi |= {
        "up": (0, "", ""),
        "preview": (0, "", ""),
        "whoami": (0, json.dumps({"url": state}), ""),
        "stack ls": (0, "[]", ""),
    }
    desk.events["preview"] = [
        step("worker-1-release", before=f"# R\nrevision: {REVISION}", after="# R\nrevision: new"),
        counts(same=9, update=2, delete=1),
    ]
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


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_what_else_the_deploy_would_change_is_shown_before_anything_moves(
    desk: Desk, world: World, how: str
) -> None:
    status, said = promoted(desk, world, how)
    assert status == 0, said
    assert f"worker-1 release: update\n    - revision: {REVISION}\n    + revision: new\n" in said
    assert "9 unchanged, 2 to update, 1 to delete\n" in said
    assert said.index("to stack staging\n") < said.index("1 to delete")
    # with the commit that shall come
    pinned = f"# set satellite:revision {world.second}"
    assert (desk.place / "preview.settings").read_text().splitlines()[-1] == pinned
    assert f"staging is pinned to {REVISION[:12]}, and no longer once this has succeeded" in said
    assert [words[0] for words in desk.engine() if words[0] in ("preview", "up")] == (
        ["preview"] if how == "--dry-run" else ["preview", "up"]
    )


def test_a_program_that_fails_is_known_before_anything_moves(desk: Desk, world: World) -> None:
    desk.pulumi["preview"] = (255, "", "error: preview failed")
    desk.events["preview"] = [error("satellite-staging", "no such image", "pulumi:pulumi:Stack")]
    status, said = promoted(desk, world, "--yes")
    assert (status, world.staging()) == (1, world.first)
    assert "error: no such image" in said


def test_who_is_at_work_on_the_stack_is_known_before_anything_moves(
    desk: Desk, world: World
) -> None:
    lock = desk.place / "state" / ".pulumi" / "locks" / "satellite" / "staging" / "x.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"username": "ada", "hostname": "laptop", "pid": 7}))
    status, said = promoted(desk, world, "--yes")
    assert (status, world.staging()) == (1, world.first)
    assert (
        "nothing was changed: somebody is at work on staging: ada@laptop (pid 7), since . Wait for "
        "them: satellite lock status --stack staging"
    ) in said


def test_a_backend_that_does_not_tell_who_is_at_work_is_no_promise(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.pulumi["whoami"] = (0, json.dumps({"url": "s3://states"}), "")
    desk.pulumi["up"] = (255, "", "error: the stack is currently locked by 1 lock(s).\n")
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        desk.pulumi["up"] = (0, "", "")
        desk.tell()

    of = Options.of
    monkeypatch.setattr(Options, "of", lambda *given, **rest: of(*given, **rest, sleep=sleep))
    status, said = promoted(desk, world, "--yes")
    assert (status, waited) == (0, [5, 45]), said
    unknown = "whether somebody is at work on staging is not known with this backend; an update"
    assert said.index("1 to delete\n") < said.index(unknown) < said.index("waiting: the stack is")


@pytest.mark.parametrize(
    "locked",
    [
        "error: the stack is currently locked by 1 lock(s).\n  file:///x.json: created by "
        "bob@laptop (pid 7) at 2026-11-25T10:00:00Z\n",
        "error: [409] Conflict: Another update is currently in progress.\nTo learn more about "
        "possible reasons and resolution, visit https://www.pulumi.com/docs/\n",
    ],
)
def test_a_stack_that_was_locked_meanwhile_is_waited_for(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    desk.pulumi["up"] = (255, "", locked)
    lock = desk.place / "state" / ".pulumi" / "locks" / "satellite" / "staging" / "x.json"
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            lock.parent.mkdir(parents=True)
            lock.write_text("{}")
            return
        lock.unlink()
        desk.pulumi["up"] = (0, "", "")
        desk.tell()

    of = Options.of
    monkeypatch.setattr(Options, "of", lambda *given, **rest: of(*given, **rest, sleep=sleep))
    status, said = promoted(desk, world, "--yes")
    assert (status, waited) == (0, [5, 5])
    assert "  waiting: the stack is currently locked by another command" in said


def test_a_file_that_was_changed_meanwhile_is_no_failed_deploy(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = making.update

    def slow(*given: Any, **how: Any) -> Outcome:
        done = update(*given, **how)
        file = desk.place / "Pulumi.staging.yaml"
        file.write_text(f"{file.read_text()}# somebody else's\n")
        return done

    monkeypatch.setattr(making, "update", slow)
    status, said = promoted(desk, world, "--yes", "--tag")
    assert status == 0, said
    assert "warning: Pulumi.staging.yaml was changed meanwhile and stays as it is" in said
    assert any(ref.startswith("refs/tags/staging-") for ref in refs(world.server))


def test_a_file_that_was_changed_since_it_was_shown_is_not_deployed(
    desk: Desk, world: World
) -> None:
    file = desk.place / "Pulumi.staging.yaml"
    hook(world.server, "post-receive", f"echo '# satellite:count 0' >> {file}")
    status, said = promoted(desk, world, "--yes")
    assert (status, world.staging()) == (1, world.second)
    assert (
        "FAILED in step `deploy`: the hosts: Pulumi.staging.yaml was changed since it was shown: "
        "nothing was deployed"
    ) in said
    assert all(words[0] != "up" for words in desk.engine())
    (world.server / "hooks" / "post-receive").unlink()
    assert promoted(desk, world, "--yes")[0] == 0


def test_a_pin_that_a_deploy_does_not_take_away_is_not_taken_away_by_promoting(
    desk: Desk, world: World
) -> None:
    del desk.config["satellite:branch"]
    desk.config |= {
        "satellite:heroku": {"value": '{"app": "shop"}'},
        "satellite:heroku_api_token": {"value": "a-token-of-heroku", "secret": True},
    }
    status, said = promoted(desk, world, "--yes")
    assert status == 2
    assert "say what it shall follow now" in said
    assert all(words[0] != "up" for words in desk.engine())


def test_nothing_moves_where_a_host_does_not_answer(desk: Desk, world: World) -> None:
    before = world.staging()
    desk.hosts["worker-2"] = {"status": 255, "err": "ssh: connect to host x: Connection refused\n"}
    status, said = promoted(desk, world, "--yes")
    assert status == 1
    assert "nothing was changed: these hosts do not answer as themselves\n  worker-2: " in said
    assert world.staging() == before
    assert all(words[0] != "up" for words in desk.engine())


def test_nothing_moves_where_a_machine_that_was_replaced_is_not_drained(
    desk: Desk, world: World
) -> None:
    desk.drains["worker-2"] = "i-0"
    status, said = promoted(desk, world, "--yes")
    assert (status, world.staging()) == (1, world.first)
    assert said.endswith(
        "error: nothing was changed: the deploy would first have to drain what was replaced:\n"
        "  i-0, which worker-2 was, is not drained; i-2 is there now\n"
        "  Is what worker-2 was off for good: satellite lost --stack staging worker-2\n"
        "  To have it tried now: satellite up --stack staging --same-commit, or satellite deploy "
        "--stack staging\n"
    )
    assert all(words[0] != "up" for words in desk.engine())
    desk.config["satellite:hosts"] = {"value": '{"worker-2": {"lost": true}}'}
    assert promoted(desk, world, "--yes")[0] == 0  # the deploy gives its jobs back


def test_a_promotion_that_moves_nothing_more_has_the_deploy_try_the_drain(
    desk: Desk, world: World
) -> None:
    desk.drains["worker-2"] = "i-0"
    git(world.work, "push", "--quiet", str(world.server), f"{world.second}:refs/heads/staging")
    assert promoted(desk, world, "--yes")[0] == 0
    assert any(words[0] == "up" for words in desk.engine())


def test_hosts_that_fail_are_told_and_the_file_stays(desk: Desk, world: World) -> None:
    desk.pulumi["up"] = (255, "", "")
    why = "worker-1: release of 0123 FAILED in phase `gate`: it ended"
    desk.events["up"] = [step("worker-1-release"), error("worker-1-release", why), counts(same=9)]
    desk.says("worker-1", status("worker-1"))
    code, said = promoted(desk, world, "--yes")
    assert code == 1
    assert "FAILED in phase `gate`" in said
    assert "Traceback" not in said
    assert f"  worker-1\n    now    {COMMIT}\n  worker-2\n    now    not known: " in said
    assert desk.settings() == "config:\n"


def test_ctrl_c_while_the_hosts_are_updated(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("worker-1", "worker-2"):
        desk.says(name, status(name))
    run = Update.run

    def stopped(self: Update) -> Outcome:
        return Outcome(255, interrupted=True) if self.verb == "up" else run(self)

    monkeypatch.setattr(Update, "run", stopped)
    code, said = promoted(desk, world, "--yes")
    assert code == 130
    assert "the hosts: interrupted; the engine ended by itself" in said
    assert f"  worker-1: {COMMIT[:12]}\n" in said
    assert f"    now    {world.second}\n" in said
    assert "Next: to go on: satellite promote staging " in said
    words = ("--checkout", str(world.work), "--remote", str(world.server), "--from", world.second)
    document = json.loads(desk.satellite("promote", "staging", *words, "--yes", "--json").out)
    assert document["hosts"] == [
        {"host": name, "revision": COMMIT, "problem": ""} for name in ("worker-1", "worker-2")
    ]


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
