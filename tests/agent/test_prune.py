"""What is in use stays on disk."""

from __future__ import annotations

import subprocess
import sys

import pytest

from satellite_infra.agent import prune
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger, Target
from satellite_infra.agent.release import Release
from tests.agent.conftest import FakeSystem, Origin, request


def test_a_directory_that_a_process_stands_in_is_kept(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
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


@pytest.mark.parametrize("name", ["20260101000000-abcdefg"])
def test_an_interrupted_release_is_removed(name: str, layout: Layout) -> None:
    (layout.releases / name / "half").mkdir(parents=True)
    layout.config(name).parent.mkdir(parents=True)
    layout.config(name).write_text("{}")
    prune.discard_unknown(layout, Ledger(layout), lambda _: None)
    assert list(layout.releases.iterdir()) == []
    assert list((layout.state / "releases").iterdir()) == []


def test_a_tree_is_removed_as_deep_as_it_is(layout: Layout) -> None:
    """The app's user may make one in its release: deeper than Python's stack, and than a path."""
    release = layout.releases / "20260101000000-abcdefg"
    release.mkdir()
    deeper = "import os\nfor _ in range(3000):\n    os.mkdir('a' * 9)\n    os.chdir('a' * 9)"
    subprocess.run([sys.executable, "-c", deeper], cwd=release, check=True)
    prune.discard_unknown(layout, Ledger(layout), lambda _: None)
    assert not list(layout.releases.iterdir())
