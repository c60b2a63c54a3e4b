"""One commit reaches branch, Heroku and hosts; or what stopped it, and what is where, is told."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from satellite_cli.promote import promote
from satellite_cli.promote_git import Checkout, GitError, Scratch, same_repository
from satellite_cli.promote_plan import Options, Refused
from satellite_cli.promote_steps import BrokenError, DeployError, Runs
from satellite_cli.promote_text import outcome_lines
from satellite_infra.agent.heroku import Api, HerokuError
from satellite_infra.settings import validated
from tests.fakes.heroku import TOKEN, Heroku, HerokuApp, serving
from tests.infra.conftest import SECRET, stack_values

from .promotion import TAG, World, commit, everything, git, hook, isolate, meanwhile, refs

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
DECLINE = "echo 'the build: no Gemfile'; exit 1"


@pytest.fixture(autouse=True)
def _own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.made(tmp_path)


@pytest.fixture
def platform(world: World) -> Heroku:
    app = HerokuApp()
    app.release(world.first)
    return Heroku({"shop": app})


@pytest.fixture
def api(platform: Heroku) -> Iterator[Api]:
    with serving(platform) as url:
        yield Api("shop", TOKEN, url, sleep=lambda _: None)


def refused(world: World, **changed: Any) -> str:
    """Why nothing was changed, as indeed nothing was."""
    there = [refs(world.server), refs(world.heroku), everything(world.root)]
    with pytest.raises(Refused) as caught:
        world.promote(**changed)
    assert [refs(world.server), refs(world.heroku), everything(world.root)] == there
    assert world.deployed == []
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    return str(caught.value)


def test_a_commit_goes_to_the_branch_to_heroku_and_to_the_hosts(world: World) -> None:
    hook(world.heroku, "pre-receive", f"git -C {world.server} rev-parse staging; echo built")
    assert world.promote().status == "promoted"
    old, new = world.first[:12], world.second[:12]
    assert (world.staging(), world.built()) == (world.second, world.second)
    assert world.deployed == [(world.second, "staging")]
    assert world.said == [
        f"staging: {new} Look twice",
        "  from main, as checked out",
        f"  staging of origin ({world.server})",
        f"    {old} -> {new}",
        "    1 commit goes:",
        f"      {new} Look twice (Ada)",
        f"  main of heroku ({world.heroku})",
        f"    {old} -> {new}",
        "    the same commits go",
        "  then it is deployed to stack staging",
        f"staging of origin: {old} -> {new}",
        f"main of heroku: {old} -> {new}",
        f"  remote: {world.second}",  # the branch was there before the build
        "  remote: built",
        f"deploy {new} to stack staging",
        f"staging is {new}, staging of origin, main of heroku, stack staging",
    ]


def test_without_heroku(world: World) -> None:
    outcome = world.promote(heroku_remote="")
    assert outcome.status == "promoted"
    assert [where.label for where in outcome.places] == ["staging of origin"]
    assert (world.staging(), world.built()) == (world.second, world.first)
    assert world.deployed == [(world.second, "staging")]


def test_a_promotion_can_be_repeated(world: World) -> None:
    world.promote()
    assert world.promote().status == "promoted"
    assert world.said.count("    has it already") == 2
    assert world.deployed == [(world.second, "staging")] * 2


def _other_branch(world: World) -> None:
    git(world.work, "checkout", "--quiet", "-b", "feature/x")


def _detached(world: World) -> None:
    git(world.work, "checkout", "--quiet", "--detach")


def _linked(world: World) -> None:
    git(world.work, "worktree", "add", "--quiet", "--detach", str(world.root / "linked"))
    world.work = world.root / "linked"


def _shallow(world: World) -> None:
    git(world.work, "push", "--quiet", "origin", "main")
    clone = world.root / "shallow"
    git(world.root, "clone", "--quiet", "--depth=1", f"file://{world.server}", str(clone))
    world.work, world.second = clone, commit(clone, "On top")


def _partial(world: World) -> None:
    git(world.work, "push", "--quiet", "origin", "main")
    git(world.server, "config", "uploadpack.allowFilter", "true")
    git(world.server, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = world.root / "partial"
    how = ("clone", "--quiet", "--filter=blob:none", "--no-checkout")
    git(world.root, *how, f"file://{world.server}", str(clone))
    git(clone, "read-tree", "--empty")
    git(clone, "sparse-checkout", "set", "--no-cone", "/nothing")
    git(clone, "read-tree", "-mu", "HEAD")
    world.work = clone


def _relative(world: World) -> None:
    git(world.work, "remote", "set-url", "origin", "../server.git")


def _rewritten(world: World) -> None:
    git(world.work, "remote", "set-url", "origin", "https://git.example.com/server")
    git(world.work, "config", f"url.{world.root}/.pushInsteadOf", "https://git.example.com/")
    git(world.work, "config", f"url.{world.server}.pushInsteadOf", "https://git.example.com/server")


def _mirror(world: World) -> None:
    git(world.work, "config", "remote.origin.mirror", "true")
    git(world.work, "config", "push.followTags", "true")
    git(world.work, "tag", "--annotate", "--message", "x", "own")


def _hooks(world: World) -> None:
    for name in ("pre-push", "reference-transaction", "post-checkout", "fsmonitor"):
        hook(world.work / ".git", name, "touch ran; exit 1")
    git(world.work, "config", "core.fsmonitor", ".git/hooks/fsmonitor")


def _odd_path(world: World) -> None:
    odd = world.root / 'a "b"\n:c\\ ü'
    world.work.rename(odd)
    world.work = odd


@pytest.mark.parametrize(
    "where",
    [
        _other_branch,
        _detached,
        _linked,
        _shallow,
        _partial,
        _relative,
        _rewritten,
        _mirror,
        _hooks,
        _odd_path,
    ],
)
def test_from_whatever_checkout(where: Any, world: World) -> None:
    (world.work / ".git" / "FETCH_HEAD").write_text("as it was\n")
    where(world)
    assert world.promote(remote="origin").status == "promoted"
    assert (world.staging(), world.built()) == (world.second, world.second)
    assert refs(world.server).keys() == {"refs/heads/main", "refs/heads/staging"}
    git(world.heroku, "fsck", "--connectivity-only")


def test_from_below_the_top(world: World) -> None:
    (world.work / "below").mkdir()
    (world.work / "below" / "kept").write_text("")
    world.promote(checkout=world.work / "below")
    assert "  in no commit, and left alone: below/" in world.said
    assert world.staging() == world.second


def test_from_a_git_hook_of_another_repository(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(world.root / "elsewhere"))
    assert world.promote().status == "promoted"
    assert world.staging() == world.second


def test_what_is_not_committed_stops_it_and_is_named(world: World) -> None:
    (world.work / "app").write_text("changed")
    (world.work / "Procfile").unlink()
    (world.work / "added").write_text("")
    git(world.work, "add", "added")
    (world.work / f"odd{ESCAPES}").write_text("")
    assert refused(world) == (
        f"{world.work} is not clean. Commit these, or stash them:\n  Procfile\n  added\n  app"
    )
    git(world.work, "checkout", "--quiet", "HEAD", "--", ".")
    git(world.work, "rm", "--quiet", "--cached", "added")
    assert world.promote().status == "promoted"
    odd = "odd\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b31m"
    assert f"  in no commit, and left alone: added, {odd}" in world.said


def test_a_conflict_is_not_clean(world: World) -> None:
    git(world.work, "checkout", "--quiet", "-b", "side", world.first)
    commit(world.work, "Side", app="other\n")
    subprocess.run(["git", "merge", "main"], cwd=world.work, capture_output=True, check=False)
    assert refused(world).endswith("Commit these, or stash them:\n  app")


@pytest.fixture
def library(world: World) -> Path:
    """A submodule of the app's."""
    library = world.root / "library"
    git(world.root, "init", "--quiet", "-b", "main", str(library))
    commit(library, "Library", code="1\n")
    how = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    git(world.work, *how, str(library), "lib")
    world.second = commit(world.work, "With the library")
    return world.work / "lib"


def test_a_submodule_stays_as_it_is(world: World, library: Path) -> None:
    (library / "unknown").write_text("")
    git(world.work, "config", "submodule.recurse", "true")
    git(world.work, "config", "push.recurseSubmodules", "check")
    assert world.promote().status == "promoted"
    assert "  in no commit, and left alone: lib" in world.said


def test_a_submodule_that_was_changed_is_not_clean(world: World, library: Path) -> None:
    git(world.work, "config", "diff.ignoreSubmodules", "all")
    (library / "code").write_text("2\n")
    assert refused(world).endswith("Commit these, or stash them:\n  lib")
    git(library, "config", "user.name", "Ada")
    commit(library, "Two")
    assert refused(world).endswith("Commit these, or stash them:\n  lib")


@pytest.mark.parametrize("where", ["server", "heroku"])
def test_commits_that_would_be_lost_are_lost_only_by_force(world: World, where: str) -> None:
    if where == "server":
        other = world.another(f"Mend{ESCAPES}")
    else:
        other = commit(world.work, f"Mend{ESCAPES}")
        git(world.work, "push", "--quiet", str(world.heroku), "main")
        git(world.work, "reset", "--quiet", "--hard", "HEAD~1")
    subject = "Mend\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b31m"
    place = "staging of origin" if where == "server" else "main of heroku"
    assert refused(world) == (
        f"{place} has commits that {world.second[:12]} does not have. Merge them; or, where they "
        f"shall be lost, --force:\n  {other[:12]} {subject} (Ada)"
    )
    assert world.promote(force=True).status == "promoted"
    assert "    1 commit is LOST:" in world.said
    assert f"      {other[:12]} {subject} (Ada)" in world.said
    assert (world.staging(), world.built()) == (world.second, world.second)


def test_a_branch_that_is_not_there_is_made_when_it_shall_be(world: World) -> None:
    assert refused(world, branch="stagging") == (
        "origin has no branch stagging (satellite:branch): where it shall be made, --create"
    )
    git(world.server, "update-ref", "-d", "refs/heads/staging")
    git(world.heroku, "update-ref", "-d", "refs/heads/main")
    assert world.promote(create=True).status == "promoted"
    assert f"    a new branch -> {world.second[:12]}" in world.said
    assert "    2 commits go:" in world.said


@pytest.mark.parametrize(
    ("there", "wanted"), [("prod", "prod/eu"), ("prod/eu/1", "prod/eu"), ("prod", "prod/eu/1")]
)
@pytest.mark.parametrize("create", [True, False])
def test_a_branch_that_git_cannot_make_beside_another_is_known_before_anything_moves(
    world: World, there: str, wanted: str, create: bool
) -> None:
    before = [world.staging(), world.built()]
    git(world.server, "branch", "--quiet", there, "main")
    git(world.server, "branch", "--quiet", "produce", "main")
    git(world.heroku, "branch", "--quiet", there, "main")
    with pytest.raises(Refused) as caught:
        world.promote(branch=wanted, heroku_branch=wanted, create=create)
    assert caught.value.problems == [
        f"{name} has a branch {there}, and git makes none called {wanted} beside it: give one of "
        "them another name"
        for name in ("origin", "heroku")
    ]
    assert [world.staging(), world.built()] == before


def test_all_that_is_in_the_way_is_said_at_once(world: World) -> None:
    world.another()
    (world.work / "app").write_text("changed")
    said = refused(world)
    assert "is not clean" in said
    assert "has commits that" in said
    said = refused(world, repository="https://git.example.com/other.git")
    assert "is not clean" in said
    assert "no remote of" in said
    said = refused(world, branch="a..b", heroku_branch="-x")
    assert said.endswith("\n-x cannot be the name of a branch")
    assert "a..b cannot be the name of a branch" in said


# somebody else is quicker


@pytest.mark.parametrize("force", [False, True])
def test_a_branch_that_moved_meanwhile_stays_where_it_is(world: World, force: bool) -> None:
    if force:
        world.another("Shall be lost")
    outcome = world.promote(force=force, confirm=meanwhile(lambda: world.another("Quicker")))
    assert (outcome.status, outcome.step) == ("failed", "branch")
    assert outcome.problem == "staging of origin was not moved: somebody else moved it meanwhile"
    assert git(world.server, "log", "-1", "--format=%s", "staging") == "Quicker"
    assert (world.built(), world.deployed) == (world.first, [])
    assert f"    now    {world.staging()}" in world.said


def test_a_branch_that_somebody_made_meanwhile(world: World) -> None:
    git(world.server, "update-ref", "-d", "refs/heads/staging")
    make = ("update-ref", "refs/heads/staging", world.first)
    outcome = world.promote(create=True, confirm=meanwhile(lambda: git(world.server, *make)))
    assert (outcome.status, outcome.step) == ("failed", "branch")
    assert world.staging() == world.first


def test_what_somebody_else_promoted_meanwhile_is_not_taken_back(world: World, api: Api) -> None:
    hook(world.heroku, "pre-receive", DECLINE)
    push = ("push", "--quiet", str(world.server), f"{world.second}:refs/heads/staging")
    outcome = world.promote(heroku_api=api, confirm=meanwhile(lambda: git(world.work, *push)))
    assert (outcome.status, outcome.step) == ("failed", "heroku")
    assert world.staging() == world.second


def test_heroku_moved_meanwhile(world: World) -> None:
    other = git(world.work, "commit-tree", "-p", world.first, "-m", "x", f"{world.first}^{{tree}}")
    push = ("push", "--quiet", str(world.heroku), f"{other}:refs/heads/main")
    outcome = world.promote(confirm=meanwhile(lambda: git(world.work, *push)))
    assert outcome.problem == "main of heroku was not moved: somebody else moved it meanwhile"
    assert outcome.places[0].note == "pushed back"
    assert (world.staging(), world.built()) == (world.first, other)


@pytest.mark.parametrize("heroku", [False, True])
def test_what_has_it_already_is_asked_again(world: World, heroku: bool) -> None:
    """A second try, and a colleague who is quicker: the hosts do not go back."""
    git(world.work, "push", "--quiet", "origin", "main:staging")
    git(world.work, "push", "--quiet", str(world.heroku), "main")

    def quicker() -> None:
        world.another()
        git(world.root / "other", "push", "--quiet", str(world.heroku), "HEAD:main")

    outcome = world.promote(confirm=meanwhile(quicker), **({} if heroku else {"heroku_remote": ""}))
    assert (outcome.step, world.deployed) == ("branch", [])
    assert outcome.problem == (
        f"staging of origin is not {world.second[:12]} any more: somebody else moved it meanwhile"
    )
    assert world.said[-1] == "Next: look at what came, then: satellite promote staging"


def test_the_hosts_do_not_go_back_behind_what_heroku_has_got_meanwhile(
    world: World, platform: Heroku, api: Api
) -> None:
    def sleep(_: float) -> None:
        world.another()
        git(world.root / "other", "push", "--quiet", str(world.heroku), "HEAD:main")
        platform.apps["shop"].release(world.second)

    outcome = world.promote(heroku_api=api, sleep=sleep)
    assert (outcome.step, world.deployed) == ("deploy", [])
    assert outcome.problem.startswith(f"main of heroku is not {world.second[:12]} any more: ")
    assert outcome.advice == ("look at what came, then: satellite promote staging",)


def test_the_hosts_do_not_go_back_behind_what_the_branch_has_got_while_heroku_has_built(
    world: World, platform: Heroku, api: Api
) -> None:
    """Such as by a push that a workflow deploys at once."""

    def sleep(_: float) -> None:
        world.another()
        platform.apps["shop"].release(world.second)

    outcome = world.promote(heroku_api=api, sleep=sleep)
    assert (outcome.step, world.deployed) == ("deploy", [])
    assert outcome.problem.startswith(f"staging of origin is not {world.second[:12]} any more: ")
    assert [where.now for where in outcome.places] == [world.staging(), world.second]
    assert outcome.advice == ("look at what came, then: satellite promote staging",)


def test_a_branch_that_moved_behind_us_is_told(world: World) -> None:
    """Heroku runs the commit, and so do the hosts."""

    def deploy(revision: str, stack: str) -> None:
        world.deploy(revision, stack)
        world.another()

    outcome = world.promote(deploy=deploy)
    assert (outcome.status, world.deployed) == ("promoted", [(world.second, "staging")])
    assert world.said[-2:] == [
        f"staging is {world.second[:12]}, main of heroku, stack staging",
        f"  WARNING: staging of origin is {world.staging()[:12]} by now: somebody else moved it",
    ]


def test_a_server_that_is_gone_is_asked_again_before_the_hosts_are_deployed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(world.work, "push", "--quiet", "origin", "main:staging")

    def gone(*_: Any) -> str:
        raise GitError("no route to host")

    with monkeypatch.context() as for_now:
        confirm = meanwhile(lambda: for_now.setattr(Scratch, "head", gone))
        outcome = promote(world.options(confirm=confirm, heroku_remote=""))
    assert outcome.problem == f"whether staging of origin is {world.second[:12]} still is not known"
    assert world.deployed == []


# Heroku's build


def test_a_build_that_fails_leaves_everything_as_it_was(world: World, api: Api) -> None:
    hook(world.heroku, "pre-receive", f"printf '{ESCAPES} no Gemfile\\n'; exit 1")
    outcome = world.promote(tag=True, heroku_api=api)
    assert (world.staging(), world.built()) == (world.first, world.first)
    assert world.deployed == []
    assert outcome.step == "heroku"
    assert world.said[-9:] == [
        "promotion to staging FAILED in step `heroku`: main of heroku was not moved: "
        "[remote rejected] (pre-receive hook declined); "
        "\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b31m no Gemfile",
        "Where everything is:",
        "  staging of origin (pushed back)",
        f"    before {world.first}",
        f"    now    {world.first}",
        "  main of heroku",
        f"    before {world.first}",
        f"    now    {world.first}",
        "Next: mend the cause, then: satellite promote staging",
    ]
    (world.heroku / "hooks" / "pre-receive").unlink()
    assert world.promote().status == "promoted"


def test_a_new_branch_goes_again_when_the_build_fails(world: World, api: Api) -> None:
    git(world.server, "update-ref", "-d", "refs/heads/staging")
    hook(world.heroku, "pre-receive", DECLINE)
    outcome = world.promote(create=True, heroku_api=api)
    assert outcome.places[0].note == "pushed back"
    assert world.staging() == ""
    assert "    before not there" in world.said


def test_lost_commits_come_back_when_the_build_fails(world: World, api: Api) -> None:
    other = world.another()
    hook(world.heroku, "pre-receive", DECLINE)
    world.promote(force=True, heroku_api=api)
    assert world.staging() == other


def test_who_was_overtaken_is_told_to_look(world: World) -> None:
    world.promote(confirm=meanwhile(world.another))
    assert world.said[-1] == "Next: look at what came, then: satellite promote staging"


def test_what_came_on_top_meanwhile_is_not_pushed_back(world: World, api: Api) -> None:
    top = git(world.work, "commit-tree", "-p", world.second, "-m", "x", "HEAD^{tree}")
    git(world.work, "push", "--quiet", "origin", f"{top}:refs/heads/later")
    move = f"env -i git -C {world.server} update-ref"
    hook(world.heroku, "pre-receive", f"{move} refs/heads/staging {top}\n{DECLINE}")
    outcome = world.promote(heroku_api=api)
    assert world.staging() == top
    assert outcome.places[0].note == "could not be pushed back: somebody else moved it meanwhile"
    assert f"    now    {top}" in world.said


def test_a_server_that_lets_nobody_push_back(world: World, api: Api) -> None:
    git(world.server, "config", "receive.denyNonFastForwards", "true")
    hook(world.heroku, "pre-receive", DECLINE)
    outcome = world.promote(heroku_api=api)
    assert world.staging() == world.second
    assert outcome.places[0].note.startswith(
        "could not be pushed back: [remote rejected] (non-fast"
    )
    assert f"    now    {world.second}" in world.said


def test_a_connection_that_breaks_in_the_build_says_that_nothing_is_sure(world: World) -> None:
    hook(world.heroku, "pre-receive", "kill -9 $PPID")
    outcome = world.promote()
    assert outcome.problem.startswith("whether main of heroku moves is not known: ")
    assert (world.staging(), world.built()) == (world.second, world.first)  # as it may go on
    assert world.deployed == []
    assert world.said[-1] == (
        "Next: Heroku may go on with its build: look at it there, then: satellite promote staging"
    )


def test_a_build_without_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satellite_cli.promote_steps.BUILD", 3)
    hook(world.heroku, "pre-receive", "sleep 600")
    outcome = world.promote()
    assert outcome.problem.startswith("whether main of heroku moves is not known: ")
    assert outcome.problem.endswith("no answer within 3 s")
    assert (world.staging(), world.built()) == (world.second, world.first)


@pytest.mark.parametrize("where", ["server", "heroku"])
def test_a_connection_that_breaks_after_the_move_is_looked_after(world: World, where: str) -> None:
    script = '[ "$1" = committed ] && kill -9 $PPID; exit 0'
    hook(world.server if where == "server" else world.heroku, "reference-transaction", script)
    assert world.promote().status == "promoted"
    assert (world.staging(), world.built()) == (world.second, world.second)


def test_a_server_that_refuses_is_the_first_and_last(world: World) -> None:
    hook(world.server, "update", "echo 'protected branch'; exit 1")
    outcome = world.promote()
    assert (outcome.status, outcome.step) == ("failed", "branch")
    assert outcome.problem == (
        "staging of origin was not moved: [remote rejected] (hook declined); protected branch; "
        "error: hook declined to update refs/heads/staging"
    )
    assert (world.staging(), world.built(), world.deployed) == (world.first, world.first, [])


# Heroku's release


def test_it_waits_until_the_app_runs_the_commit(world: World, platform: Heroku, api: Api) -> None:
    app, waited = platform.apps["shop"], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert world.deployed == []
        if len(waited) == 2:
            app.release(world.second, "pending")
        if len(waited) == 4:
            app.release(world.second)

    assert world.promote(heroku_api=api, sleep=sleep).status == "promoted"
    assert len(waited) == 4
    assert f"  the app on Heroku runs {world.first[:12]}" in world.said
    assert f"shop on Heroku runs {world.second[:12]}" in world.said
    assert world.deployed == [(world.second, "staging")]


def test_a_release_that_fails(world: World, platform: Heroku, api: Api) -> None:
    platform.apps["shop"].release(world.second, "failed")
    outcome = world.promote(heroku_api=api)
    assert outcome.problem == (
        f"Heroku has built it, but its release failed, and shop runs {world.first[:12]} as before: "
        "heroku releases --app shop"
    )
    assert (world.staging(), world.built()) == (world.first, world.second)
    assert [where.note for where in outcome.places] == ["pushed back", ""]
    assert world.deployed == []
    assert world.said[-2:] == [
        "Next: Heroku's branch was left: to push it back would build and release it once more",
        "Next: mend the cause in a new commit and promote that, or satellite promote staging once "
        "Heroku runs it",
    ]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("pending", "after 7200 s its release on Heroku is pending still"),
        ("", "Heroku has it, and yet shop runs another commit: somebody has rolled back, or"),
    ],
)
def test_a_release_that_does_not_come(
    world: World, platform: Heroku, api: Api, status: str, said: str
) -> None:
    if status:
        platform.apps["shop"].release(world.second, status)
    outcome = world.promote(heroku_api=api)
    assert outcome.problem.startswith(said)
    assert (world.staging(), world.built()) == (world.second, world.second)
    assert world.deployed == []


def test_what_was_rolled_back_on_heroku_is_not_promoted_again(
    world: World, platform: Heroku, api: Api
) -> None:
    git(world.work, "push", "--quiet", str(world.heroku), "main")
    platform.apps["shop"].release(world.second)
    platform.apps["shop"].release(world.first)
    said = refused(world, heroku_api=api)
    assert (
        f"Heroku has {world.second[:12]}, and yet shop runs another commit: it was rolled back "
        "there, or its release is not there yet; then promote it again in two minutes. What"
    ) in said
    assert "To have it run again: heroku rollback vN --app shop, and then promote it" in said


def test_what_heroku_builds_for_somebody_else_is_waited_for(
    world: World, platform: Heroku, api: Api
) -> None:
    """Its release appears only after the build."""
    git(world.work, "push", "--quiet", str(world.heroku), "main")
    app = platform.apps["shop"]
    app.build(world.second)
    began = world.time

    def sleep(seconds: float) -> None:
        world.wait(60)
        if world.time - began == 600:
            app.builds.clear()
        if world.time - began == 660:
            app.release(world.second)

    assert world.promote(heroku_api=api, sleep=sleep).status == "promoted"
    assert world.time - began == 660


def test_what_is_rolled_back_on_heroku_meanwhile(world: World, platform: Heroku, api: Api) -> None:
    git(world.work, "push", "--quiet", str(world.heroku), "main")
    app = platform.apps["shop"]
    app.release(world.second)
    waited: list[float] = []
    back = meanwhile(lambda: app.release(world.first))
    outcome = world.promote(heroku_api=api, sleep=waited.append, confirm=back)
    assert outcome.problem.startswith("Heroku has it, and yet shop runs another commit")
    assert waited == []  # nothing will come
    assert outcome.advice == (
        "where shop shall run it again: heroku rollback vN --app shop, then: satellite promote "
        "staging",
    )


def test_config_vars_whose_release_has_failed_are_no_reason(
    world: World, platform: Heroku, api: Api
) -> None:
    git(world.work, "push", "--quiet", str(world.heroku), "main")
    platform.apps["shop"].release(world.second)
    platform.apps["shop"].set("failed", CACHE="x")
    assert world.promote(heroku_api=api).status == "promoted"


@pytest.mark.parametrize("how", ["building", "released", "silent", "no API"])
def test_a_refusal_is_not_sure_where_somebody_else_may_build_the_commit(
    world: World, platform: Heroku, api: Api, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(world.heroku, "pre-receive", "echo 'Your account has reached its limit'; exit 1")
    app = platform.apps["shop"]
    app.build(world.first)

    def silent(*_: Any) -> bool:
        raise HerokuError("503")

    if how == "building":
        app.build(world.second)
    elif how == "released":
        app.release(world.second)
    elif how == "silent":
        monkeypatch.setattr(Api, "building", silent)
    outcome = world.promote(heroku_api=None if how == "no API" else api)
    assert (outcome.step, world.staging()) == ("heroku", world.second)
    note = outcome.places[0].note
    if how in ("building", "released"):
        assert note == "left: Heroku goes on with a build or release of it"
        assert outcome.advice == (
            "look at what Heroku does with it, then: satellite promote staging",
        )
        return
    assert note == "left: whether Heroku builds it for somebody else is not known" + (
        ": 503" if how == "silent" else " without satellite:heroku"
    )
    assert outcome.advice == (
        "mend the cause, then: satellite promote staging",
        "or, once it is known that Heroku does not build it, take the branch back:",
        f"git push --force-with-lease=refs/heads/staging:{world.second} origin "
        f"{world.first}:refs/heads/staging",
    )


def test_what_heroku_has_failed_to_release_is_not_promoted_again(
    world: World, platform: Heroku, api: Api
) -> None:
    git(world.work, "push", "--quiet", str(world.heroku), "main")
    platform.apps["shop"].release(world.second, "failed")
    said = refused(world, heroku_api=api)
    assert f"Heroku has {world.second[:12]}, and its release has failed there" in said
    assert "heroku releases:retry --app shop" in said


def test_a_while_without_an_answer_of_heroku_is_waited_for(
    world: World, platform: Heroku, api: Api
) -> None:
    platform.apps["shop"].release(world.second)
    passing = [HerokuError("Heroku does not tell: 503", passing=True)] * 2

    class Weather(Api):
        def standing(self, commit: str) -> str:
            if passing:
                raise passing.pop()
            return super().standing(commit)

    weather = Weather("shop", TOKEN, api.url)
    assert world.promote(heroku_api=weather).status == "promoted"
    assert passing == []
    assert world.said.count("  Heroku does not tell: 503") == 2


def test_a_passing_error_of_heroku_says_nothing_of_the_release(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(world.work, "push", "--quiet", str(world.heroku), "main")  # nothing is pushed there
    passing = HerokuError("503", passing=True)
    # known before anything moves; then an error; long under way, an error, and there
    answers: list[Any] = ["pending", passing, *["pending"] * 40, passing, "current"]

    def standing(*_: Any) -> str:
        answer = answers.pop(0)
        if isinstance(answer, HerokuError):
            raise answer
        return str(answer)

    monkeypatch.setattr(Api, "standing", standing)
    assert world.promote(heroku_api=api).status == "promoted"
    assert answers == []


@pytest.mark.parametrize("passing", [True, False])
def test_heroku_that_does_not_answer_any_more_ends_it(
    world: World, api: Api, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def standing(*_: Any) -> str:
        raise HerokuError("no", passing=passing)

    waited: list[float] = []
    monkeypatch.setattr(Api, "standing", standing)
    outcome = world.promote(heroku_api=api, sleep=waited.append, clock=lambda: sum(waited))
    assert outcome.problem == "whether the app runs it is not known: no"
    assert sum(waited) == (120 if passing else 0)
    assert (world.staging(), world.deployed) == (world.second, [])
    assert outcome.advice == (
        "Heroku may go on with its release: look at it there, then: satellite promote staging",
    )


@pytest.mark.parametrize(("answers", "minutes"), [(False, 3), (True, 120)])
def test_the_time_that_heroku_takes_to_answer_counts(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch, answers: bool, minutes: int
) -> None:
    def standing(*_: Any) -> str:
        world.wait(80)
        if not answers:
            raise HerokuError("no", passing=True)
        return "pending"

    monkeypatch.setattr(Api, "standing", standing)
    assert world.promote(heroku_api=api).step == "heroku"
    assert minutes * 60 - 30 <= world.time <= minutes * 60 + 90


def test_a_branch_that_heroku_does_not_build(world: World) -> None:
    said = refused(world, heroku_branch="mian")
    assert "heroku has no branch mian (satellite:promote.heroku_branch; it has main)" in said
    skips = "echo 'Pushed to non-main branch refs/heads/mian, skipping build.'"
    hook(world.heroku, "post-receive", skips)
    for _ in range(2):  # what it has not built is not taken for built the next time
        outcome = promote(world.options(heroku_branch="mian", create=True))
        assert (outcome.step, outcome.problem) == (
            "heroku",
            "Heroku took mian and built nothing: it builds another branch "
            "(satellite:promote.heroku_branch)",
        )
        assert [where.note for where in outcome.places] == ["pushed back"] * 2
        assert outcome.advice == ("mend the cause, then: satellite promote staging",)
        assert (world.staging(), world.deployed) == (world.first, [])
        assert "refs/heads/mian" not in refs(world.heroku)
    assert any("remote: Pushed to non-main" in line for line in world.said)


def test_a_build_that_skips_something_is_a_build(world: World) -> None:
    hook(world.heroku, "pre-receive", "echo 'assets are warm, skipping build of webpack'")
    assert world.promote().status == "promoted"


def test_heroku_is_asked_before_anything_moves(world: World, platform: Heroku, api: Api) -> None:
    said = refused(world, heroku_api=replace(api, token="HRKU-canary-wrong"))
    assert "Heroku does not accept it (401)" in said
    assert "canary" not in said


def test_the_first_push_to_an_app(world: World, platform: Heroku, api: Api) -> None:
    platform.apps["shop"] = HerokuApp()
    git(world.heroku, "update-ref", "-d", "refs/heads/main")

    def sleep(_: float) -> None:
        platform.apps["shop"].release(world.second)

    assert world.promote(heroku_api=api, sleep=sleep).status == "promoted"


def test_interrupted_while_the_release_is_waited_for(world: World, api: Api) -> None:
    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    outcome = world.promote(heroku_api=api, sleep=sleep)
    assert (outcome.step, outcome.problem, outcome.interrupted) == ("heroku", "interrupted", True)
    assert outcome.advice == (
        "Heroku may go on with its release: look at it there, then: satellite promote staging",
    )


# the hosts


def test_a_deploy_that_fails_is_told_with_what_has_moved(world: World) -> None:
    def deploy(revision: str, stack: str) -> None:
        raise DeployError("worker-1: release FAILED in phase `gate`")

    outcome = world.promote(deploy=deploy, tag=True)
    assert (outcome.status, outcome.step) == ("failed", "deploy")
    assert outcome.problem == "the hosts: worker-1: release FAILED in phase `gate`"
    assert (world.staging(), world.built()) == (world.second, world.second)
    assert [where.before for where in outcome.places] == [world.first] * 2
    assert f"refs/tags/{TAG}" not in refs(world.server)
    assert world.promote(tag=True).status == "promoted"  # goes on where it stopped


def test_a_deploy_that_breaks_is_no_secret(world: World) -> None:
    def deploy(revision: str, stack: str) -> None:
        raise ZeroDivisionError("by 0\n")

    with pytest.raises(BrokenError) as caught:
        world.promote(deploy=deploy)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    outcome = caught.value.outcome
    assert (outcome.status, outcome.step) == ("failed", "deploy")
    assert outcome.problem == "ZeroDivisionError: by 0\\n"
    assert [where.now for where in outcome.places] == [world.second] * 2
    assert outcome.advice[0].startswith("mend the cause, then: satellite promote staging; ")


def test_after_half_a_roll_it_is_told_what_each_host_runs(world: World) -> None:
    hosts = (Runs("worker-1", world.second), Runs("worker-2", ""), Runs("worker-3", None, "gone"))

    def deploy(revision: str, stack: str) -> None:
        raise DeployError("worker-2: release FAILED", hosts=hosts)

    outcome = world.promote(deploy=deploy, heroku_remote="")
    assert outcome.document()["hosts"] == tuple(vars(host) for host in hosts)
    assert world.said[-8:-1] == [
        f"    now    {world.second}",
        "  worker-1",
        f"    now    {world.second}",
        "  worker-2",
        "    now    nothing",
        "  worker-3",
        "    now    not known: gone",
    ]


def test_another_update_of_the_stack_is_waited_for(world: World) -> None:
    tried: list[float] = []

    def deploy(revision: str, stack: str) -> None:
        tried.append(world.time)
        if world.time < 20:
            raise DeployError("the stack is locked\n  ada@laptop", busy=True)

    def free(stack: str) -> bool:
        return world.time > 12

    assert world.promote(deploy=deploy, free=free).status == "promoted"
    assert tried == [0, 15, 20]
    assert world.said.count("  waiting: the stack is locked") == 1

    def locked(revision: str, stack: str) -> None:
        raise DeployError("the stack is locked", busy=True)

    began = world.time
    stays = world.promote(deploy=locked, free=lambda _: False)
    assert stays.problem == "the hosts: the stack is locked"
    assert stays.advice == ("once they are done: satellite promote staging",)
    assert world.time - began == 900


def test_a_stack_of_which_only_a_try_tells_is_not_tried_all_the_time(world: World) -> None:
    tried: list[float] = []

    def deploy(revision: str, stack: str) -> None:
        tried.append(world.time)
        raise DeployError("the stack is locked", busy=True)

    outcome = world.promote(deploy=deploy, free=lambda _: None)
    assert outcome.problem == "the hosts: the stack is locked"
    assert tried == [50 * each for each in range(19)]
    assert world.said.count("  waiting: the stack is locked") == 1


def test_who_has_promoted_while_this_one_waited_for_them_is_not_put_back(world: World) -> None:
    def deploy(revision: str, stack: str) -> None:
        world.another()
        raise DeployError("the stack is locked", busy=True)

    outcome = world.promote(deploy=deploy, heroku_remote="")
    assert (outcome.step, world.deployed) == ("deploy", [])
    assert "somebody else moved it meanwhile" in outcome.problem


def test_a_stack_that_follows_heroku_where_nothing_is_pushed(world: World) -> None:
    warning = "  WARNING: the stack follows Heroku, and nothing is pushed there: with the next"
    world.promote(follows=True, dry_run=True)
    assert warning not in world.said
    world.promote(follows=True, heroku_remote="", dry_run=True)
    assert warning in world.said


def test_an_interrupted_deploy(world: World) -> None:
    def deploy(revision: str, stack: str) -> None:
        raise KeyboardInterrupt

    outcome = world.promote(deploy=deploy)
    assert (outcome.status, outcome.step, outcome.problem) == ("failed", "deploy", "interrupted")
    assert outcome.interrupted
    assert outcome.advice == ("to go on: satellite promote staging",)
    assert world.staging() == world.second


@pytest.mark.parametrize("moment", ["pre-receive", "post-receive"])
def test_interrupted_while_the_branch_is_pushed(world: World, moment: str) -> None:
    once = f"[ -e {world.root}/other ] || {{ mkdir {world.root}/other;"
    hook(world.server, moment, f"{once} kill -INT {os.getpid()}; sleep 60; }}")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = world.promote()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.status, outcome.problem) == ("failed", "interrupted")
    assert (world.built(), world.deployed) == (world.first, [])
    if moment == "pre-receive":
        assert outcome.places[0].note == "whether it moves yet is not known"
        assert outcome.advice == ("to go on: satellite promote staging",)
        assert world.staging() == world.first
        return
    assert outcome.places[0].note == "left: it is the commit now, by this push or another"
    assert outcome.advice == (
        "to go on: satellite promote staging",
        "or, once it is known that nobody else has promoted it, take the branch back:",
        f"git push --force-with-lease=refs/heads/staging:{world.second} origin "
        f"{world.first}:refs/heads/staging",
    )
    assert world.staging() == world.second


def test_who_is_interrupted_takes_nothing_back_from_who_has_promoted_the_same_commit(
    world: World,
) -> None:
    """The colleague's hosts run it by then."""
    once = f"[ -e {world.root}/other ] || {{ mkdir {world.root}/other;"
    push = f"env -i PATH=$PATH git -C {world.work} push -q {world.server} main:staging"
    script = f"{once} {push}; kill -INT {os.getpid()}; sleep 60; }}"
    hook(world.server, "pre-receive", script)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = world.promote()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.step, outcome.problem) == ("branch", "interrupted")
    assert world.staging() == world.second


def test_interrupted_a_second_time(world: World, api: Api) -> None:
    hook(world.heroku, "pre-receive", DECLINE)
    hook(
        world.server,
        "pre-receive",
        f"read old new ref; [ $new = {world.second} ] || {{ kill -INT {os.getpid()}; sleep 60; }}",
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = world.promote(heroku_api=api)
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.places[0].note == "interrupted while it was pushed back"
    assert world.staging() == world.second


def test_interrupted_while_it_is_asked_what_is_where(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    def deploy(revision: str, stack: str) -> None:
        monkeypatch.setattr(Scratch, "head", interrupted)
        interrupted()

    lines = [*outcome_lines(promote(world.options(deploy=deploy)))]
    assert lines[0] == "promotion to staging FAILED in step `deploy`: interrupted"
    for place, before in ((2, world.first), (5, world.first)):
        assert lines[place].endswith(" (moved, as far as is known)")
        assert lines[place + 1] == f"    before {before}"
        assert lines[place + 2] == "    now    not known: nobody answers"


def test_interrupted_while_heroku_builds(world: World) -> None:
    hook(world.heroku, "pre-receive", f"kill -INT {os.getpid()}; sleep 60")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = world.promote()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.step, outcome.problem) == ("heroku", "interrupted")
    assert (world.staging(), world.built(), world.deployed) == (world.second, world.first, [])
    assert "Heroku may go on with its build" in world.said[-1]


# the tag


def test_the_tag_is_the_last(world: World) -> None:
    def deploy(revision: str, stack: str) -> None:
        assert f"refs/tags/{TAG}" not in refs(world.server)

    assert world.promote(tag=True, deploy=deploy).status == "promoted"
    assert git(world.server, "cat-file", "-t", TAG) == "tag"
    assert git(world.server, "rev-parse", f"{TAG}^{{commit}}") == world.second
    about = git(world.server, "for-each-ref", "--format=%(taggername) %(subject)", "refs/tags")
    assert about == "Ada Promoted to staging"
    assert f"  tag {TAG} on origin" in world.said
    assert refs(world.heroku).keys() == {"refs/heads/main"}


def test_a_tag_that_is_refused(world: World) -> None:
    hook(world.server, "update", '[ "${1:0:10}" != refs/tags/ ] || { echo no tags; exit 1; }')
    outcome = world.promote(tag=True)
    assert (outcome.status, outcome.step) == ("failed", "tag")
    assert outcome.problem == (
        f"origin did not take tag {TAG}: [remote rejected] (hook declined); no tags; "
        f"error: hook declined to update refs/tags/{TAG}"
    )
    assert world.deployed == [(world.second, "staging")]
    assert world.said[-2:] == [
        "Next: the commit is deployed; only its tag is missing. By hand, where it is wanted:",
        f"Next: git tag -a {TAG} {world.second[:12]} && git push origin {TAG}",
    ]


def test_a_tag_that_came_through_although_the_connection_broke(world: World) -> None:
    script = '[ "$1" = committed ] && grep -q refs/tags/ && kill -9 $PPID; exit 0'
    hook(world.server, "reference-transaction", script)
    assert world.promote(tag=True).status == "promoted"
    assert git(world.server, "rev-parse", f"{TAG}^{{commit}}") == world.second


def test_a_tag_of_which_nobody_knows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hook(world.server, "update", '[ "${1:0:10}" != refs/tags/ ] || kill -9 $PPID')
    head = Scratch.head

    def gone(self: Scratch, remote: str, ref: str) -> str:
        if ref.startswith("refs/tags/"):
            raise GitError("no route to host")
        return head(self, remote, ref)

    monkeypatch.setattr(Scratch, "head", gone)
    outcome = world.promote(tag=True)
    assert outcome.problem.startswith(f"whether origin has tag {TAG} is not known: ")
    assert outcome.advice == (
        f"the commit is deployed. Look for its tag: git ls-remote origin refs/tags/{TAG}",
    )


@pytest.mark.parametrize("moment", ["pre-receive", "post-receive"])
def test_interrupted_while_the_tag_is_pushed(world: World, moment: str) -> None:
    """A server that has not taken it yet may go on."""
    hook(world.server, moment, f"! grep -q refs/tags/ || {{ kill -INT {os.getpid()}; sleep 60; }}")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = world.promote(tag=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.step, outcome.problem, outcome.interrupted) == ("tag", "interrupted", True)
    there = f"refs/tags/{TAG}" in refs(world.server)
    assert there == (moment == "post-receive")
    assert outcome.advice == (
        "the commit is deployed, and its tag is there: nothing is left to do"
        if there
        else f"the commit is deployed. Look for its tag: git ls-remote origin refs/tags/{TAG}",
    )


def test_a_tag_of_this_name_stays(world: World) -> None:
    git(world.work, "push", "--quiet", "origin", f"{world.first}:refs/tags/{TAG}")
    assert world.promote(tag=True).step == "tag"
    assert git(world.server, "rev-parse", TAG) == world.first


def test_nobody_to_sign_the_tag_is_known_before_anything_moves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(world.work, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    assert "no email was given and auto-detection is disabled" in refused(world, tag=True)


# what is looked at first


def test_a_dry_run_shows_all_and_changes_nothing(world: World) -> None:
    there = [refs(world.server), refs(world.heroku)]
    assert world.promote(dry_run=True, tag=True, confirm=_never).status == "dry run"
    assert [refs(world.server), refs(world.heroku)] == there
    assert world.deployed == []
    assert "    1 commit goes:" in world.said
    assert world.said[-1] == "dry run: nothing was changed"


def _never() -> bool:
    raise AssertionError


def test_a_no_is_a_no(world: World) -> None:
    assert world.promote(confirm=lambda: False).status == "declined"
    assert (world.staging(), world.built(), world.deployed) == (world.first, world.first, [])


def test_who_may_only_read_is_told_before_anything_moves(world: World) -> None:
    git(world.work, "config", "remote.origin.receivepack", "echo 'access denied' >&2; false")
    said = refused(world)
    assert said.startswith("staging of origin cannot be pushed to: access denied")


def test_where_a_commit_is_from(world: World) -> None:
    ahead = world.another("Ahead", on="main")
    git(world.work, "tag", "v1", world.second)
    commit(world.work, "Not this")
    world.promote(source="main")
    assert (world.staging(), world.said[1]) == (ahead, "  from main of origin")
    world.promote(source="v1", source_here=True, force=True)
    assert world.staging() == world.second
    assert "  from v1, as this checkout has it" in world.said
    world.promote(source="v1~1", source_here=True, force=True)
    assert world.staging() == world.first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source": "v1"}, "origin has no branch v1"),
        (
            {"source": "nope", "source_here": True},
            "origin has no branch nope, and this checkout no such commit",
        ),
        ({"source": "--upload-pack=x"}, "--upload-pack=x cannot be the name of a branch"),
        ({"branch": "-x"}, "-x cannot be the name of a branch"),
        ({"branch": "a..b"}, "a..b cannot be the name of a branch"),
        ({"branch": ESCAPES}, "\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b31m cannot be the"),
        ({"heroku_branch": "a b"}, "a b cannot be the name of a branch"),
        ({"remote": "orgin"}, "WORK has no remote orgin (it has origin SERVER)"),
        ({"remote": "--upload-pack=touch /tmp/x"}, "WORK has no remote --upload-pack=touch /tmp/x"),
        (
            {"repository": "git@git.example.com:shop.git"},
            "no remote of WORK is git@git.example.com:shop.git (satellite:repository) (it has "
            "origin SERVER). Where this is not the app's checkout: --checkout PATH; where it is, "
            "say which remote: --remote NAME",
        ),
        ({"checkout": Path("/")}, "/ is in no git repository; where the app's checkout is"),
        ({"checkout": Path("/nowhere")}, "/nowhere is no directory"),
        ({"heroku_remote": "/nowhere"}, "git ls-remote: fatal: '/nowhere' does not appear"),
    ],
)
def test_what_cannot_be(world: World, changed: dict[str, Any], said: str) -> None:
    git(world.work, "tag", "v1")
    expected = said.replace("WORK", str(world.work)).replace("SERVER", str(world.server))
    assert refused(world, **changed).startswith(expected)


def test_a_branch_with_a_hostile_name(world: World) -> None:
    name = "x\u202e\x9b$(touch${IFS}x);'\""
    git(world.work, "push", "--quiet", "origin", f"main:refs/heads/{name}")
    world.promote(source=name)
    assert "  from x\\u202e\\x9b$(touch${IFS}x);'\" of origin" in world.said
    assert world.staging() == world.second


def test_a_checkout_without_a_commit(world: World) -> None:
    git(world.work, "checkout", "--quiet", "--orphan", "new")
    assert refused(world) == f"{world.work} has no commit yet"


def test_commits_of_another_kind(world: World) -> None:
    other = world.root / "sha256"
    git(world.root, "init", "--quiet", "--object-format=sha256", str(other))
    commit(other, "x")
    assert refused(world, checkout=other).startswith("satellite deploys commits of 40 hex digits")


def test_a_remote_by_url_and_one_of_several(world: World) -> None:
    git(world.work, "remote", "rename", "origin", "z")
    git(world.work, "remote", "add", "a", f"{world.server}/")
    git(world.work, "remote", "add", "fork", str(world.root / "fork.git"))
    world.promote(confirm=lambda: False)
    assert f"  staging of a ({world.server}/)" in world.said
    world.promote(remote="z", confirm=lambda: False)
    assert f"  staging of z ({world.server})" in world.said
    world.promote(remote=str(world.server))
    assert f"  staging of {world.server} ({world.server})" in world.said
    world.deployed.clear()
    git(world.work, "remote", "set-url", "--add", "--push", "z", str(world.server))
    git(world.work, "remote", "set-url", "--add", "--push", "z", str(world.heroku))
    assert refused(world, remote="z").startswith("remote z pushes to several URLs")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("git@github.com:You/shop.git", "https://github.com/you/shop", True),
        ("ssh://git@git.example.com:22/shop.git", "git.example.com:/shop/", True),
        ("https://user:token@GitHub.com/you/shop.git", "git@github.com:you/shop", True),
        ("git@github.com:you/shop.git", "git@github.com:you/shop-fork.git", False),
        ("git@github.com:you/shop.git", "git@gitlab.com:you/shop.git", False),
        ("/srv/Shop.git", "/srv/shop.git", False),
        ("/srv/shop.git", "/srv/shop", True),
        ("/srv/shop.git", "file:///srv/shop.git", True),
    ],
)
def test_which_urls_are_one_repository(one: str, other: str, same: bool) -> None:
    assert same_repository(one, other) is same


# secrets


def test_a_token_is_in_no_command_and_no_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git first on PATH writes down how it was called."""
    calls = world.root / "other"
    calls.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout
    (calls / "git").write_text(
        f'#!/bin/bash\nprintf "%s\\n" "$@" >> {calls}/argv\nexec {real.strip()} "$@"\n'
    )
    (calls / "git").chmod(0o755)
    header = "http.https://127.0.0.1:1/.extraHeader"
    git(world.work, "config", header, "Authorization: basic canary")
    git(world.work, "config", "url.https://ada:can@ary@127.0.0.1:1/.insteadOf", "https://shop/")
    git(world.work, "remote", "set-url", "origin", "https://ada:canary@127.0.0.1:1/shop.git")
    monkeypatch.setenv("PATH", f"{calls}:{os.environ['PATH']}")
    for changed in (
        {"remote": "origin"},
        {"remote": "https://shop/shop.git"},
        {"remote": "none"},
        {"repository": "https://shop/other.git"},
    ):
        said = refused(world, **changed)
        assert "127.0.0.1" in said
        assert "canary" not in said
        assert "ary@" not in said
    argv = (calls / "argv").read_text()
    assert "ls-remote" in argv
    assert "canary" not in argv
    assert "ary@" not in argv


def test_how_a_server_is_reached_goes_with_it(world: World) -> None:
    odd = 'a "quoted"\tpart;\\ # and\nmore '
    given = {
        "credential.https://Git.Example.com.helper": odd,
        "http.proxy": "http://proxy:3128",
        "core.sshCommand": "ssh -i key",
        "remote.origin.proxy": "none",
        "core.hooksPath": "/hooks",
        "remote.origin.mirror": "true",
    }
    for key, value in given.items():
        git(world.work, "config", key, value)
    (world.root / "scratch").mkdir()
    checkout = Checkout(world.work)
    scratch = Scratch(world.root / "scratch", checkout, {"r": str(world.server)}, "origin")
    there = dict(Checkout.configuration(_Same(scratch)))  # type: ignore[arg-type]
    assert there["credential.https://Git.Example.com.helper"] == odd
    assert there["http.proxy"] == "http://proxy:3128"
    assert there["core.sshcommand"] == "ssh -i key"
    assert there["remote.r.proxy"] == "none"
    assert there["user.name"] == "Ada"
    assert "core.hookspath" not in there
    assert not [key for key in there if key.endswith("mirror")]


class _Same:
    def __init__(self, scratch: Scratch):
        self.git = scratch.git


def test_what_the_settings_say(world: World) -> None:
    values = {
        **stack_values(),
        "branch": "staging",
        "promote": '{"heroku_remote": "https://git.heroku.com/shop.git", "heroku_branch": "master",'
        ' "source": "main", "tag": true}',
        "heroku": '{"app": "shop"}',
        "heroku_api_token": TOKEN,
    }
    settings, found = validated(values, SECRET | {"heroku_api_token"})
    assert found == []
    options = Options.of(
        settings,
        "acme/staging",
        deploy=world.deploy,
        confirm=_never,
        show=world.show,
        tag=False,
    )
    assert (options.environment, options.stack) == ("staging", "acme/staging")
    assert (options.repository, options.branch) == ("https://git.example.com/shop.git", "staging")
    assert (options.source, options.source_here, options.tag) == ("main", False, False)
    assert options.heroku_remote == "https://git.heroku.com/shop.git"
    assert options.heroku_branch == "master"
    assert options.heroku_api is not None
    assert (options.heroku_api.app, options.heroku_api.token) == ("shop", TOKEN)
    assert TOKEN not in repr(options)
    plain, _ = validated(stack_values(), SECRET)
    bare = Options.of(plain, "x", deploy=world.deploy, confirm=_never, show=world.show)
    assert (bare.heroku_remote, bare.heroku_api, bare.source, bare.tag) == ("", None, "", False)
    assert not bare.follows
    followed = plain.model_copy(update={"revision": "heroku"})
    assert Options.of(followed, "x", deploy=world.deploy, confirm=_never, show=world.show).follows


def test_a_document_for_programs(world: World) -> None:
    document = world.promote(dry_run=True).document()
    assert document["status"] == "dry run"
    assert document["plan"]["revision"] == world.second
    assert document["plan"]["server"]["going"] == (
        {"hash": world.second, "author": "Ada", "subject": "Look twice"},
    )


# what its surroundings bring along


def test_all_that_would_be_lost_is_shown(world: World) -> None:
    for number in range(45):
        commit(world.work, f"Lost {number}")
    git(world.work, "push", "--quiet", "origin", "main:staging")
    git(world.work, "reset", "--quiet", "--hard", world.second)
    said = refused(world)
    assert said.count("Lost ") == 45
    assert world.promote(force=True).status == "promoted"
    assert "    45 commits are LOST:" in world.said
    assert sum(" Lost " in line for line in world.said) == 45


@pytest.mark.parametrize("name", ["origin/main", "refs/heads/main", "refs/remotes/origin/main"])
def test_a_branch_is_the_servers_not_what_was_last_seen_of_it(world: World, name: str) -> None:
    git(world.work, "push", "--quiet", "origin", "main")
    newer = world.another(on="main")
    assert git(world.work, "rev-parse", "origin/main") == world.second
    plan = world.promote(source=name, source_here=True).plan
    assert (plan.revision, plan.source) == (newer, "main of origin")
    assert world.staging() == newer


def test_a_shallow_clone_makes_a_branch_for_an_app_that_is_new(world: World) -> None:
    git(world.heroku, "update-ref", "-d", "refs/heads/main")
    git(world.server, "update-ref", "-d", "refs/heads/staging")
    _shallow(world)
    plan = world.promote(create=True).plan
    assert plan.server.going[0].hash == world.second
    assert len(plan.server.going) == 3
    assert (world.staging(), world.built()) == (world.second, world.second)


def test_a_shallow_clone_whose_history_no_server_has_says_what_to_do(world: World) -> None:
    """Whether that has no branch at all, or those of other commits alone."""
    _shallow(world)
    git(world.heroku, "update-ref", "-d", "refs/heads/main")
    for name in refs(world.server):
        git(world.server, "update-ref", "-d", name)
    git(world.server, "gc", "--quiet", "--prune=now")
    for _ in range(2):
        with pytest.raises(Refused, match="a shallow clone, and origin does not have") as caught:
            world.promote(create=True, force=True)
        assert "git fetch --unshallow; where the server" in str(caught.value)
        other = world.root / "other"
        git(world.root, "init", "--quiet", "-b", "main", str(other))
        git(other, "push", "--quiet", str(world.server), f"{commit(other, 'Other')}:refs/heads/x")


@pytest.mark.parametrize("more", [False, True], ids=["nothing new", "a commit more"])
def test_a_server_whose_own_history_is_cut(world: World, more: bool) -> None:
    """Every clone of it is shallow, and lacks nothing that the server has."""
    git(world.work, "push", "--quiet", "origin", "main")
    git(world.server, "update-ref", "-d", "refs/heads/staging")
    cut = world.root / "cut.git"
    how = ("clone", "--quiet", "--bare", "--depth=1", "--no-single-branch")
    git(world.root, *how, f"file://{world.server}", str(cut))
    world.server.rename(world.root / "whole.git")
    cut.rename(world.server)
    world.work = world.root / "of-cut"
    git(world.root, "clone", "--quiet", f"file://{world.server}", str(world.work))
    if more:
        world.second = commit(world.work, "On top")
    assert world.promote(create=True, heroku_remote="").status == "promoted"
    assert world.staging() == world.second


def test_a_shallow_clone_gets_its_history_from_where_it_is(world: World) -> None:
    _shallow(world)
    git(world.server, "push", "--quiet", str(world.heroku), "main")
    for name in refs(world.server):
        git(world.server, "update-ref", "-d", name)
    git(world.server, "gc", "--quiet", "--prune=now")
    assert world.promote(create=True).status == "promoted"


def test_hosts_that_fetch_from_elsewhere(world: World) -> None:
    world.promote(remote="origin", repository="git@git.example.com:shop.git")
    assert "    git@git.example.com:shop.git" in world.said
    assert any("WARNING: that is not known to be what the hosts fetch" in s for s in world.said)
    world.said.clear()
    world.promote(remote=str(world.server))
    world.promote(remote="origin")
    assert not [line for line in world.said if "WARNING" in line]


def test_a_remote_that_is_pushed_to_by_another_name(world: World) -> None:
    git(world.work, "remote", "set-url", "--push", "origin", f"file://{world.root}/link")
    (world.root / "link").symlink_to(world.server)
    assert world.promote().status == "promoted"
    assert f"  staging of origin (file://{world.root}/link)" in world.said
    assert f"    {world.server}" in world.said  # with a warning: it may be a fork


def test_a_fork_that_is_fetched_from_upstream_is_not_upstream(world: World) -> None:
    fork = world.root / "other"
    git(world.root, "clone", "--quiet", "--bare", str(world.server), str(fork))
    git(world.work, "remote", "set-url", "--push", "origin", str(fork))
    git(world.work, "remote", "add", "upstream", str(world.server))
    assert world.promote().places[0].label == "staging of upstream"
    assert refs(fork)["refs/heads/staging"] == world.first


def test_a_branch_that_is_gone_is_not_what_was_last_seen_of_it(world: World) -> None:
    git(world.work, "push", "--quiet", "origin", "main:refs/heads/old")
    git(world.work, "fetch", "--quiet", "origin")
    git(world.server, "update-ref", "-d", "refs/heads/old")
    for name in ("origin/old", "refs/remotes/origin/old"):
        said = refused(world, source=name, source_here=True)
        assert said == f"origin has no branch {name}"


def test_interrupted_while_it_is_asked_whether_a_branch_has_moved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(world.server, "pre-receive", "exit 1")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    def confirm() -> bool:
        monkeypatch.setattr(Scratch, "head", interrupted)
        return True

    assert promote(world.options(confirm=confirm)).interrupted


def test_a_tag_with_the_branchs_name(world: World) -> None:
    git(world.work, "tag", "main", world.first)
    assert world.promote().plan.source == "main, as checked out"
    assert world.staging() == world.second


def test_what_the_environment_says_to_git(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "hooks").mkdir()
    for name in ("reference-transaction", "pre-push"):
        path = world.root / "hooks" / name
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(world.root / "hooks"))
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    monkeypatch.setenv("GIT_TRACE", "1")
    hook(world.heroku, "pre-receive", DECLINE)
    outcome = world.promote()
    assert "trace" not in outcome.problem
    assert outcome.step == "heroku"  # and everything before went well
    assert world.staging() == world.second


def test_repositories_of_somebody_else_that_are_trusted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = ("config", "--file", os.environ["GIT_CONFIG_GLOBAL"], "--add", "safe.directory")
    git(world.root, *trust, str(world.work))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(Refused, match="detected dubious ownership in repository at"):
        promote(world.options())
    for repository in (world.server, world.heroku):
        git(world.root, *trust, str(repository))
    assert world.promote().status == "promoted"
