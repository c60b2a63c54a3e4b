"""The release phase on the leader: once for each commit, before anything that runs is touched."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release, ReleaseError, Request, recover
from tests.agent.conftest import FakeSystem, Killed, Origin, bare, request
from tests.agent.test_release import count_down, deploy, history, no_leftovers

PROCFILE = "release: ./migrate\nworker: ./work\n"
# says what it sees, and counts in what outlives releases
MIGRATE = """\
echo "$PS $TOKEN $(cat REVISION) $SATELLITE_RELEASE $PWD" >>"$HOME/../../ran"
[ ! -e FAIL ] || { echo "no $TOKEN here"; exit 7; }
"""


def migrating(origin: Origin, **files: str) -> Request:
    """A commit with a release process, whose build counts, too."""
    commit = origin.commit(Procfile=PROCFILE.replace("./", "sh ./"), migrate=MIGRATE, **files)
    return request(origin, commit, build=('echo built >>"$HOME/../../built"',))


def run_phase(layout: Layout, system: FakeSystem, wanted: Request) -> str:
    return Release(layout, system, lambda _: None).run_phase(wanted)


def counted(layout: Layout, what: str) -> list[str]:
    path = layout.root / what
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def layout(layout: Layout) -> Layout:
    layout.home.mkdir(parents=True)
    return layout


def test_it_runs_once_and_the_release_switches_to_what_it_built(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    old = request(origin, origin.commit())
    deploy(layout, system, old)
    before = dict(system.loaded)
    new = migrating(origin)
    phases: list[str] = []
    said = Release(layout, system, lambda _: None, phases.append).run_phase(new)
    prepared = Ledger(layout).prepared()
    assert prepared is not None
    assert said == f"{prepared.release}: the release phase succeeded"
    assert phases == [
        *("check", "fetch", "check out", "link", "build", "keep", "release phase", "mark phase"),
    ]
    directory = layout.releases / prepared.release
    revision = new.manifest.revision
    assert counted(layout, "ran") == [
        f"release.1 canary-value {revision} {prepared.release} {directory}"
    ]
    assert system.loaded == before
    assert Ledger(layout).current() != prepared.release
    # what the next recovery finds is left for the release
    recover(layout, system, lambda _: None)
    again = run_phase(layout, system, new)
    assert again == f"the release phase of {revision[:12]} succeeded before: nothing to do"
    deploy(layout, system, new)
    assert Ledger(layout).current() == prepared.release
    assert Ledger(layout).prepared() is None
    assert (len(counted(layout, "ran")), len(counted(layout, "built"))) == (1, 1)
    assert [line["outcome"] for line in history(layout)] == ["good", "phase", "good"]
    no_leftovers(layout)
    # nor on the way back and forth, nor for another config var
    run_phase(layout, system, new._replace(config={"TOKEN": "other"}))
    assert len(counted(layout, "ran")) == 1


def test_a_commit_that_was_live_on_a_host_has_had_its_phase_whoever_led(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """A host that leads only now knows of its phase by having run its workers."""
    old = migrating(origin, a="old")
    deploy(layout, system, old)
    deploy(layout, system, migrating(origin, a="new"))
    before, lines = dict(system.loaded), history(layout)
    phases: list[str] = []
    said = Release(layout, system, lambda _: None, phases.append).run_phase(old)
    revision = old.manifest.revision[:12]
    assert said == f"{revision} was live on this host, so its release phase has run before"
    assert phases == ["check"]
    assert (counted(layout, "ran"), system.loaded, history(layout)) == ([], before, lines)
    deploy(layout, system, old)
    third = migrating(origin, a="third")
    run_phase(layout, system, third)
    assert len(counted(layout, "ran")) == 1


def test_another_config_var_means_another_release_but_no_second_run(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    new = migrating(origin)
    run_phase(layout, system, new)
    digest = new.manifest._replace(config={"TOKEN": "another digest"})
    other = new._replace(manifest=digest, config={"TOKEN": "another value"})
    run_phase(layout, system, other)
    deploy(layout, system, other)
    assert (len(counted(layout, "ran")), len(counted(layout, "built"))) == (1, 2)
    no_leftovers(layout)


def test_its_failure_touches_nothing_and_is_tried_again(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit()))
    before = (dict(system.loaded), Ledger(layout).current(), list(system.calls))
    bad = migrating(origin, FAIL="yes")
    for times in (1, 2):
        with pytest.raises(ReleaseError, match=r"migrate` ended with status 7") as failure:
            run_phase(layout, system, bad)
        assert failure.value.phase == "release phase"
        assert failure.value.state == f"runs its last good release, {before[1]}"
        assert (system.loaded, Ledger(layout).current(), system.calls) == before
        assert len(counted(layout, "ran")) == times
        no_leftovers(layout)
    assert Ledger(layout).prepared() is None
    origin.git("rm", "-q", "FAIL")
    good = migrating(origin)
    run_phase(layout, system, good)
    deploy(layout, system, good)
    no_leftovers(layout)


def test_an_app_without_a_release_process_has_nothing_to_run(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    said = run_phase(layout, system, request(origin, origin.commit()))
    assert said.endswith(": the Procfile has no process `release`: nothing to run")


def test_what_it_built_and_did_not_stay_up_is_never_chosen_again(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    bad = migrating(origin, CRASH="yes")
    run_phase(layout, system, bad)
    for built in (1, 2):  # the second time it is built again
        with pytest.raises(ReleaseError, match="ended while its health was watched"):
            deploy(layout, system, bad)
        assert len(counted(layout, "built")) == built
        assert Ledger(layout).prepared() is None
        no_leftovers(layout)
    assert len(counted(layout, "ran")) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_step_it_can_be_run_again(
    after: bool, tmp_path: Path, origin: Origin
) -> None:
    old = request(origin, origin.commit(a="old"))
    new = migrating(origin, a="new")
    for step in range(1, 200):
        layout = bare(tmp_path / f"host{step}")
        layout.home.mkdir(parents=True)
        system = FakeSystem(layout)
        deploy(layout, system, old)
        with pytest.MonkeyPatch.context() as patch:
            left = count_down(patch, system, step, after)
            with contextlib.suppress(Killed):
                run_phase(layout, system, new)
                deploy(layout, system, new)
        recover(layout, system, lambda _: None)
        ledger = Ledger(layout)
        last, prepared = ledger.last_good(), ledger.prepared()
        assert last is not None
        assert ledger.current() == last.release
        assert set(system.running().values()) == {last.release}
        kept = {target.release for target in [*ledger.good(), *([prepared] if prepared else [])]}
        assert {path.name for path in layout.releases.iterdir()} == kept, f"step {step}"
        runs = len(counted(layout, "ran"))
        marked = ledger.phase_succeeded(new.manifest.revision)
        assert runs == 1 or not marked
        run_phase(layout, system, new)
        # it ran again only where nobody could know that it had succeeded
        assert len(counted(layout, "ran")) == (runs if marked else runs + 1)
        deploy(layout, system, new)
        assert ledger.current() != last.release or last.manifest.revision == new.manifest.revision
        no_leftovers(layout)
        if left() > 0:
            break
    else:
        pytest.fail("it never came to its end")
