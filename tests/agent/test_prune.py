"""What is in use stays on disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from satellite_infra.agent import prune
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger, Target
from satellite_infra.agent.release import Release
from tests.agent.conftest import FakeSystem, Origin, request

CUT = "20260101000000-abcdefg"


@pytest.mark.parametrize("linked", [False, True], ids=["", "by a link"])
def test_a_directory_that_a_process_stands_in_is_kept(
    linked: bool, layout: Layout, system: FakeSystem, origin: Origin, tmp_path: Path
) -> None:
    if linked:  # to a larger disk
        apps = layout.base.parent
        shutil.move(apps, tmp_path / "srv")
        apps.symlink_to(tmp_path / "srv")
    releases: list[str] = []
    for number in range(2):
        wanted = request(origin, origin.commit(a=str(number)), keep_releases=1)
        if releases:
            argv = [sys.executable, "-c", "print(flush=True); input()"]
            directory = layout.releases / releases[0]
            with subprocess.Popen(
                argv, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as draining:
                assert draining.stdout
                draining.stdout.readline()
                Release(layout, system, lambda _: None).run(wanted)
                assert directory.is_dir()
                draining.communicate(b"\n")
        else:
            Release(layout, system, lambda _: None).run(wanted)
        releases.append(str(Ledger(layout).current()))
    prune.prune(layout, Ledger(layout), 1, lambda _: None)
    assert [path.name for path in layout.releases.iterdir()] == releases[1:]


def test_other_config_vars_of_a_commit_take_the_place_of_no_other_commit(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """A rotation each night leaves a way back; and when each commit was built first is known."""
    ledger, names = Ledger(layout), []

    def deploy(commit: str, password: str) -> None:
        wanted = request(origin, commit, keep_releases=2)._replace(config={"TOKEN": password})
        Release(layout, system, lambda _: None).run(wanted)
        names.append(str(ledger.current()))

    first, second = origin.commit(a="1"), origin.commit(a="2")
    for commit in (origin.commit(a="0"), first, second):
        deploy(commit, "canary-1")
    for night in range(2, 5):
        deploy(second, f"canary-{night}")
    kept = [names[1], *names[-2:]]
    assert [t.release for t in ledger.good()] == kept
    assert {path.name for path in layout.releases.iterdir()} == {*kept}
    assert ledger.first_builds() == {first: names[1], second: names[2]}


def test_logs_are_kept_in_number(layout: Layout) -> None:
    layout.logs.mkdir(parents=True)
    kinds = ("release", "release-phase", "rotate")  # a rotation that fails again and again
    for number in range(40):
        for kind in kinds:
            (layout.logs / f"{kind}-{number:02}T-1a.log").touch()
    prune.prune(layout, Ledger(layout), 5, lambda _: None)
    names = sorted(path.name for path in layout.logs.iterdir())
    assert names == [f"{kind}-{number:02}T-1a.log" for kind in kinds for number in range(10, 40)]


def test_the_last_good_release_stays_whatever_is_asked(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    wanted = request(origin, origin.commit(), keep_releases=1)
    Release(layout, system, lambda _: None).run(wanted)
    ledger = Ledger(layout)
    assert ledger.good() == [Target(str(ledger.current()), wanted.manifest)]
    prune.prune(layout, ledger, 1, lambda _: None)
    assert (layout.releases / str(ledger.current())).is_dir()


def present(layout: Layout) -> set[str]:
    """The releases that have a directory, and those that the state knows."""
    places = (layout.releases, layout.state / "releases")
    return {path.name for place in places for path in place.iterdir()}


@pytest.fixture
def good(layout: Layout, system: FakeSystem, origin: Origin) -> str:
    """A good release, and an interrupted one."""
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    (layout.releases / CUT / "half").mkdir(parents=True)
    layout.config(CUT).parent.mkdir(parents=True)
    layout.config(CUT).write_text("{}")
    return str(Ledger(layout).current())


def test_an_interrupted_release_is_removed(layout: Layout, good: str) -> None:
    prune.discard_unknown(layout, Ledger(layout), lambda _: None)
    assert present(layout) == {good}


def test_a_tree_is_removed_as_deep_as_it_is(layout: Layout, good: str) -> None:
    """The app's user may make one in its release: deeper than Python's stack, and than a path."""
    deeper = "import os\nfor _ in range(3000):\n    os.mkdir('a' * 9)\n    os.chdir('a' * 9)"
    subprocess.run([sys.executable, "-c", deeper], cwd=layout.releases / CUT, check=True)
    prune.discard_unknown(layout, Ledger(layout), lambda _: None)
    assert present(layout) == {good}


@pytest.mark.parametrize("lost", ["list", "state", "releases"])
def test_where_nothing_good_is_left_nothing_is_removed(
    lost: str, layout: Layout, good: str, tmp_path: Path
) -> None:
    """A list that is lost, or a disk that is not mounted."""
    if lost == "list":
        layout.good.unlink()
    else:
        disk = {"state": layout.state, "releases": layout.releases}[lost]
        shutil.move(disk, tmp_path / "disk")
        disk.mkdir()
    said: list[str] = []
    prune.discard_unknown(layout, Ledger(layout), said.append)
    if lost != "state":  # which tells of none
        assert said == [f"no good release is on disk: nothing in {layout.releases} is removed"]
    if lost != "list":
        disk.rmdir()
        shutil.move(tmp_path / "disk", disk)
    assert {path.name for path in layout.releases.iterdir()} == {good, CUT}
    assert present(layout) == {good, CUT}


def test_what_is_not_ours_stays(layout: Layout, good: str) -> None:
    """Another tool's releases and config files; and what somebody has left in the state."""
    theirs = [layout.releases / "20240101000000", layout.config_files("database.yml")]
    for path in theirs:
        path.mkdir(parents=True)
    stray = [layout.state / "releases" / name for name in ("a.txt", "link")]
    stray[0].touch()
    stray[1].symlink_to(layout.shared)
    said: list[str] = []
    prune.discard_unknown(layout, Ledger(layout), said.append)
    assert said == [f"removing {CUT}"]
    assert present(layout) == {good, "20240101000000", "a.txt", "link"}
    assert [path for path in theirs if not path.is_dir()] == []


def test_what_cannot_be_removed_is_tried_again_and_hinders_no_other(
    layout: Layout, good: str
) -> None:
    odd = "20260101000000-0000000"
    layout.config(odd).mkdir(parents=True)  # no file: it cannot be removed as one
    said: list[str] = []
    for _ in range(2):
        prune.discard_unknown(layout, Ledger(layout), said.append)
        assert present(layout) == {good, odd}
        assert [line for line in said if line.startswith(f"{odd} could not be removed: ")]
        said.clear()
    layout.config(odd).rmdir()
    prune.discard_unknown(layout, Ledger(layout), said.append)
    assert present(layout) == {good}
