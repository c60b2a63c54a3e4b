"""What git is asked and told for a promotion, and what is shown of what it says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from satellite_cli.promote import promote
from satellite_cli.promote_git import Checkout, same_repository, without_user
from satellite_cli.promote_plan import Refused

from .promotion import World, git, hook, isolate, refs


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    isolate(tmp_path, monkeypatch)
    return World.made(tmp_path)


def said(world: World, **changed: object) -> str:
    """Why nothing was changed, and all that was said before."""
    with pytest.raises(Refused) as caught:
        promote(world.options(**changed))
    return "\n".join([*world.said, str(caught.value)])


def other_git(world: World, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git first on PATH that does this before it is the real one; the folder where it is."""
    folder = world.root / "other"
    folder.mkdir()
    script = f'#!/bin/bash\n{script}\nexec {shutil.which("git")} "$@"\n'
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("there", ["2.31.8", "1.40.0", "2.32.0-rc1", "3.0.1 (Apple Git-154)"])
def test_a_git_that_heeds_what_it_shall_not_is_too_old(
    world: World, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    version = f"[ $1 != version ] || {{ echo 'git version {there}'; exit; }}"
    other_git(world, version, monkeypatch)
    if there < "2.32":
        assert said(world) == (
            f"a promotion needs git 2.32 or a newer one: this is git version {there}"
        )
    else:
        assert world.promote(dry_run=True).status == "dry run"


# what is secret


def test_curl_is_not_to_tell_what_it_sends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CURL_VERBOSE", "1")
    git(world.work, "remote", "set-url", "origin", "http://127.0.0.1:1/shop.git")
    told = said(world, remote="origin")
    assert "127.0.0.1" in told
    assert "http.c" not in told
    assert "Info:" not in told


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:can'a\"r/y@git.example.com:8443/shop.git", "https://git.example.com:8443/"),
        ("https://can'ary@git.example.com/shop.git", "https://git.example.com/"),
        ("https://ada:c@n/ary@git.example.com/shop.git", "https://git.example.com/"),
        ("https://git.example.com/@you/shop.git", "https://git.example.com/@you/"),
        ("https://git.example.com:8443/a@b/shop.git", "https://git.example.com:8443/a@b/"),
        ("https://canary@git.example.com:8443/a@b/shop.git", "https://git.example.com:8443/a@b/"),
        ("ssh://git@git.example.com/shop.git", "ssh://git@git.example.com/"),
        ("ssh://ada:can'ary@git.example.com:22/shop.git", "ssh://ada@git.example.com:22/"),
        ("git@git.example.com:shop.git", "git@git.example.com:"),
        ("/srv/a:b@c/shop.git", "/srv/a:b@c/"),
    ],
)
def test_a_url_is_shown_without_a_password_and_without_a_user_who_may_be_one(
    url: str, shown: str
) -> None:
    assert without_user(url) == f"{shown}shop.git"


@pytest.mark.parametrize("password", ["can'ary", 'can"ary', "can/ary", "can@ary"])
@pytest.mark.parametrize("asked", ["origin", "none", "URL"])
def test_no_password_is_told_whatever_is_in_it(world: World, password: str, asked: str) -> None:
    url = f"https://ada:{password}@127.0.0.1:1/shop.git"
    git(world.work, "remote", "set-url", "origin", url)
    told = said(world, remote=url if asked == "URL" else asked)
    assert "https://127.0.0.1:1/shop.git" in told
    assert "can" not in told.replace("cannot", "")
    assert "ary" not in told


# why a server refuses

GITHUB = r"""printf 'error: GH013: Repository rule violations found for refs/heads/staging.\n
- Cannot update this protected ref.\n
- Changes must be made through a pull request.\n
- 2 of 2 required status checks are expected.\n\n'; exit 1"""
BUILD = r"""printf -- '-----> Installing\n !\n !     Precompiling assets failed.\n !
 !     Push rejected, failed to compile Ruby app.\n\n !     Push failed\nVerifying deploy...\n
!\tPush rejected to shop-staging.\n\n'; exit 1"""


def test_a_refusal_has_its_cause_however_many_blank_lines_are_around_it(world: World) -> None:
    hook(world.server, "pre-receive", GITHUB)
    assert world.promote().problem == (
        "staging of origin was not moved: [remote rejected] (pre-receive hook declined); error: "
        "GH013: Repository rule violations found for refs/heads/staging.; - Cannot update this "
        "protected ref.; - Changes must be made through a pull request.; - 2 of 2 required status "
        "checks are expected."
    )
    assert "  remote: - Cannot update this protected ref." in world.said
    hook(world.server, "pre-receive", "exit 0")
    hook(world.heroku, "pre-receive", BUILD)
    problem = world.promote().problem
    assert "; ! Precompiling assets failed.; !; ! Push rejected, failed to compile" in problem
    assert problem.endswith("; ! Push rejected to shop-staging.")


# what a name means


def test_a_name_of_a_branch_and_of_a_tag_is_not_guessed_at(world: World) -> None:
    git(world.work, "branch", "fix", world.second)
    git(world.work, "tag", "fix", world.first)
    git(world.work, "config", "core.warnAmbiguousRefs", "false")
    for name in ("fix", "fix~0"):
        assert said(world, source=name, source_here=True) == (
            f"more than one thing of this checkout is called {name}: say which one, such as "
            "refs/heads/NAME, refs/tags/NAME or the whole hash"
        )
    plan = world.promote(source="refs/heads/fix", source_here=True, dry_run=True).plan
    assert plan.revision == world.second
    plan = world.promote(source="refs/tags/fix", source_here=True, dry_run=True).plan
    assert plan.revision == world.first


@pytest.mark.parametrize("name", ["origin/main", "refs/remotes/origin/main", "second/main"])
def test_a_branch_is_the_servers_where_that_is_said_by_its_url(world: World, name: str) -> None:
    git(world.work, "push", "--quiet", "origin", "main")
    git(world.work, "remote", "add", "second", f"file://{world.server}")
    git(world.work, "fetch", "--quiet", "second")
    newer = world.another(on="main")
    url = f"{world.server}/"
    plan = world.promote(remote=url, source=name, source_here=True, dry_run=True).plan
    assert (plan.revision, plan.source) == (newer, f"main of {url}")
    git(world.server, "update-ref", "-d", "refs/heads/main")
    assert "refs/heads/main" not in refs(world.server)
    told = said(world, remote=url, source=name, source_here=True)
    assert told.endswith(f"{url} has no branch {name}")


def test_a_branch_of_another_repository_is_what_was_last_seen_of_it(world: World) -> None:
    git(world.work, "remote", "add", "fork", str(world.heroku))
    git(world.work, "fetch", "--quiet", "fork")
    plan = world.promote(source="fork/main", source_here=True, dry_run=True).plan
    assert (plan.revision, plan.source) == (world.first, "fork/main, as this checkout has it")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ssh://git@localhost:2201/a.git", "ssh://git@localhost:2202/a.git", False),
        ("ssh://git@localhost:2201/a.git", "git@localhost:a.git", False),
        ("ssh://git@localhost:2201/a.git", "SSH://localhost:2201/a", True),
        ("ssh://git@localhost:22/a.git", "git@localhost:a.git", True),
        ("https://localhost:443/a.git", "https://localhost/a.git", True),
        ("https://localhost:8443/a.git", "https://localhost/a.git", False),
        ("ssh://git@localhost:2201/a.git", "https://localhost/a.git", True),
    ],
)
def test_two_servers_of_one_protocol_on_a_host_are_two(one: str, other: str, same: bool) -> None:
    assert same_repository(one, other) is same
    assert same_repository(other, one) is same


def test_a_url_that_is_rewritten_for_a_push_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://ada:canary@git.example.invalid/"
    git(world.work, "config", f"url.{world.root}/.pushInsteadOf", url)
    folder = other_git(world, f'printf "%s\\n" "$@" >> {world.root}/other/argv', monkeypatch)
    outcome = world.promote(remote=f"{url}server.git", heroku_remote=f"{url}heroku.git")
    assert outcome.status == "promoted"
    assert (world.staging(), world.built()) == (world.second, world.second)
    assert "canary" not in (folder / "argv").read_text()
    assert not [line for line in world.said if "WARNING" in line]


def test_a_remote_with_a_url_of_its_own_for_pushes_is_the_repository_as_it_is_written(
    world: World,
) -> None:
    """Only what is for fetches, too, is rewritten by git."""
    git(world.work, "config", f"url.{world.root}/nowhere/.pushInsteadOf", f"{world.root}/")
    git(world.work, "config", "remote.origin.pushurl", str(world.server))
    assert world.promote(heroku_remote="").status == "promoted"
    assert not [line for line in world.said if "WARNING" in line]


# how often a server is asked

KINDS = ("fetch", "ls-remote", "push")


@pytest.fixture
def calls(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with each command that git was."""
    return other_git(world, f'echo "$@" >> {world.root}/other/calls', monkeypatch) / "calls"


def connections(world: World, calls: Path, **changed: Any) -> list[str]:
    """What a promotion asks servers before anything moves, with a connection of its own each."""
    calls.unlink(missing_ok=True)
    world.promote(dry_run=True, **changed)
    asked = [line.split() for line in calls.read_text().splitlines()]
    return [word for line in asked for word in line if word in KINDS]


def ahead(world: World, number: int) -> list[str]:
    """Commits on the server's main, and nowhere else, the newest last."""
    made = [world.first]
    for _ in range(number):
        tree = f"{world.first}^{{tree}}"
        made.append(git(world.server, "commit-tree", "-p", made[-1], "-m", "Ahead", tree))
    git(world.server, "update-ref", "refs/heads/main", made[-1])
    return made[1:]


def test_each_server_is_asked_once_what_it_has(world: World, calls: Path) -> None:
    looked, may_push = ["ls-remote"], ["push", "push"]
    assert connections(world, calls, tag=True) == looked * 2 + may_push
    assert connections(world, calls, source="staging") == looked * 2 + may_push
    ahead(world, 1)
    assert connections(world, calls, source="main") == [*looked, "fetch", *looked, *may_push]


def test_a_commit_that_is_here_without_its_history_is_fetched(world: World) -> None:
    revision = ahead(world, 2)[-1]
    name = Path("objects", revision[:2], revision[2:])
    (world.work / ".git" / name).parent.mkdir(exist_ok=True)
    shutil.copy(world.server / name, world.work / ".git" / name)
    assert world.promote(source="main").status == "promoted"
    assert (world.staging(), world.built()) == (revision, revision)


def test_who_may_have_to_type_a_password_is_told_for_what(world: World) -> None:
    world.promote(interactive=True, dry_run=True)
    assert [line for line in world.said if line.startswith(("looking", "asking"))] == [
        f"looking at origin ({world.server})",
        f"looking at heroku ({world.heroku})",
        "asking origin whether it takes a push",
        "asking heroku whether it takes a push",
    ]


def test_a_ctrl_c_in_the_midst_of_a_wait_is_no_wait_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = subprocess.Popen.wait
    met: list[Any] = []

    def interrupted(process: Any, timeout: float | None = None) -> int:
        if met:
            return wait(process, timeout)
        met.append(process)
        process._waitpid_lock.acquire()
        raise KeyboardInterrupt

    checkout = Checkout(world.work)
    monkeypatch.setattr("satellite_cli.promote_git.END", 0.1)
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkout.git.run("rev-parse", "HEAD")
    met[0]._waitpid_lock.release()
    assert met[0].wait(60) in (0, -signal.SIGKILL)
