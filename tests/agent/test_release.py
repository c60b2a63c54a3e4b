"""A release on a host that is only files: forward, back, and cut off at every step."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import backoff, gate, ledger, notes, orphans, prune, state, storage
from satellite_infra.agent.converge import MARGIN, MissingReleaseError, converge
from satellite_infra.agent.drain import drain
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger, Target
from satellite_infra.agent.mirror import Mirror
from satellite_infra.agent.release import Release, ReleaseError, Request, recover
from satellite_infra.agent.release_manifest import Process
from satellite_infra.agent.system import CommandError, UnitState
from tests.agent.conftest import FakeSystem, Killed, Origin, bare, request

PHASES = ["check", "fetch", "check out", "link", "build", "journal", "switch", "gate"]
PHASES += ["mark good", "close", "prune"]


def deploy(
    layout: Layout, system: FakeSystem, wanted: Request, log: list[str] | None = None
) -> str:
    said = log if log is not None else []
    return Release(layout, system, said.append).run(wanted)


def history(layout: Layout) -> list[dict[str, Any]]:
    return [json.loads(line) for line in layout.history.read_text().splitlines()]


def no_leftovers(layout: Layout) -> None:
    """Only good releases are on disk, code and config vars alike, and nothing is under way."""
    good = {target.release for target in Ledger(layout).good()}
    assert {path.name for path in layout.releases.iterdir()} == good
    states = layout.state / "releases"
    assert {path.name for path in states.iterdir()} == good
    assert not layout.journal.exists()


def test_what_a_commit_has_in_the_place_of_a_link_gives_way(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    for folder in ("REVISION", "log", "tmp"):
        (origin.path / folder).mkdir()
        (origin.path / folder / "theirs").write_text("")
    (origin.path / "tmp/pids").symlink_to("nowhere")
    revision = origin.commit()
    deploy(layout, system, request(origin, revision))
    directory = layout.current.resolve()
    assert (directory / "REVISION").read_text() == revision + "\n"
    assert (directory / "log").readlink() == layout.shared / "log"
    assert (directory / "tmp/pids").readlink() == layout.shared / "pids"
    assert (directory / "tmp/theirs").is_file()


def test_first_release_runs_all_workers(layout: Layout, system: FakeSystem, origin: Origin) -> None:
    revision = origin.commit()
    phases: list[str] = []
    said = Release(layout, system, lambda _: None, phases.append).run(request(origin, revision))
    release = Ledger(layout).current()
    assert release is not None
    assert said == f"{release}: {revision[:12]} is live, 2 workers"
    assert phases == PHASES
    assert system.running() == {
        "satellite-shop.worker@1.service": release,
        "satellite-shop.worker@2.service": release,
    }
    directory = layout.releases / release
    assert (directory / "REVISION").read_text() == revision + "\n"
    assert (directory / "log").resolve() == layout.shared / "log"
    assert layout.config(release).stat().st_mode & 0o777 == 0o600
    assert json.loads(layout.config(release).read_text()) == {"TOKEN": "canary-value"}
    assert (layout.units / "multi-user.target.wants" / layout.target).is_symlink()
    assert [(line["outcome"], line["revision"]) for line in history(layout)] == [("good", revision)]
    no_leftovers(layout)


def test_same_request_again_touches_no_worker(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    wanted = request(origin, origin.commit())
    deploy(layout, system, wanted)
    starts = system.starts
    deploy(layout, system, wanted)
    assert system.starts == starts
    no_leftovers(layout)


def test_scaling_touches_only_the_difference(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit()
    deploy(layout, system, request(origin, revision))
    before = dict(system.loaded)
    deploy(layout, system, request(origin, revision, quantity=4))
    assert {n: u for n, u in system.loaded.items() if n in before} == before
    assert len(system.loaded) == 4
    deploy(layout, system, request(origin, revision, quantity=1))
    assert list(system.loaded.items()) == list(before.items())[:1]
    no_leftovers(layout)


def test_removed_process_type_leaves_no_unit(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit()
    both = (Process("worker", 1), Process("mailer", 1))
    deploy(layout, system, request(origin, revision, processes=both))
    assert sorted(system.running()) == [
        "satellite-shop.mailer@1.service",
        "satellite-shop.worker@1.service",
    ]
    deploy(layout, system, request(origin, revision, quantity=1))
    assert sorted(system.running()) == ["satellite-shop.worker@1.service"]
    names = sorted(path.name for path in layout.units.iterdir() if path.is_file())
    assert names == ["satellite-shop.target", "satellite-shop.worker@.service"]


def test_a_type_that_is_gone_keeps_its_unit_until_its_workers_ended(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """The unit tells systemd whom to call at the end, and with that what becomes of the jobs."""
    both = (Process("worker", 1), Process("mailer", 1))
    deploy(layout, system, request(origin, origin.commit(), processes=both))
    template = layout.units / layout.template_unit("mailer")
    target = Ledger(layout).last_good()
    assert target is not None
    alone = Target(target.release, target.manifest._replace(processes=both[:1]))
    system.slow = True
    converge(layout, alone, system, lambda _: None, wait=False)
    assert template.exists()
    system.slow = False
    converge(layout, alone, system, lambda _: None)
    assert not template.exists()


class Leaving(FakeSystem):
    """Workers that are stopped finish a job first; those that start anew have none."""

    def systemctl(self, *argv: str) -> str:
        self.slow = argv[0] == "stop"
        text = super().systemctl(*argv)
        self.slow = False
        return text

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for name, unit in [*self.loaded.items()]:
            if unit.active == "deactivating":
                self._end(name)


def test_those_that_stop_are_waited_for_beside_those_that_start(
    layout: Layout, origin: Origin
) -> None:
    system = Leaving(layout)
    both = (Process("worker", 1, grace=5), Process("mailer", 1, grace=7))
    deploy(layout, system, request(origin, origin.commit(a="1"), processes=both))
    deploy(layout, system, request(origin, origin.commit(a="2"), processes=both[:1]))
    assert system.waits == [7 + MARGIN, 7 + MARGIN]
    assert [*system.loaded] == [layout.worker_unit("worker", 1)]
    assert not (layout.units / layout.template_unit("mailer")).exists()


class Starting(FakeSystem):
    """The connection to systemd is lost while workers start, or the time is over."""

    def restart(
        self, names: Sequence[str], seconds: float, meanwhile: Callable[[], None] | None = None
    ) -> bool:
        super().restart(names, seconds)
        for name in names:
            self.loaded[name] = self.loaded[name]._replace(job=True)
        return False

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.loaded = {name: unit._replace(job=False) for name, unit in self.loaded.items()}


def test_those_that_still_start_are_looked_at(layout: Layout, origin: Origin) -> None:
    system = Starting(layout)
    deploy(layout, system, request(origin, origin.commit(a="1"), gate_seconds=0))
    last = Ledger(layout).last_good()
    assert last is not None
    (layout.current).unlink()
    for path in layout.notes.glob("*.json"):  # as after a crash: nobody runs what shall run
        path.unlink()
    converge(layout, last, system, lambda _: None)
    assert len(system.waits) == 2
    assert not any(unit.job for unit in system.loaded.values())


class Asked(FakeSystem):
    """A worker needs a moment for its note; looks at units are counted."""

    late = 0
    looks = 0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.late -= 1
        for path in self.layout.notes.glob("*.late") if self.late == 0 else ():
            path.rename(path.with_suffix(".json"))

    def units(self, names: object) -> dict[str, UnitState]:
        self.looks += 1
        return super().units(names)


def test_the_gate_asks_systemd_once_the_workers_have_their_notes(
    layout: Layout, origin: Origin
) -> None:
    system = Asked(layout)
    deploy(layout, system, request(origin, origin.commit()))
    target = Ledger(layout).last_good()
    assert target is not None
    at_once = Target(target.release, target.manifest._replace(gate_seconds=0))
    for sleeps, often in ((1, False), (20, False), (60, True)):  # a slow one may be a failed one
        for path in layout.notes.glob("*.json"):
            path.rename(path.with_suffix(".late"))
        system.late, system.looks = sleeps, 0
        gate.watch(layout, at_once, system, lambda _: None)
        assert (system.looks > 1) == often, sleeps


def test_new_command_restarts_only_its_type(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit()
    worker, mailer = Process("worker", 1), Process("mailer", 1)
    deploy(layout, system, request(origin, revision, processes=(worker, mailer)))
    before = dict(system.loaded)
    changed = (worker, mailer._replace(command="./mail --fast"))
    deploy(layout, system, request(origin, revision, processes=changed))
    same = {name for name in before if system.loaded[name] == before[name]}
    assert same == {"satellite-shop.worker@1.service"}


def test_a_deploy_waits_for_no_pause_of_what_ran_before(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit()
    units = [layout.worker_unit("worker", number) for number in (1, 2)]
    deploy(layout, system, request(origin, revision))
    for unit in units:
        backoff.count(layout, unit, 1)
    deploy(layout, system, request(origin, revision))  # touches nothing
    assert [backoff.ends(layout, unit) for unit in units] == [1, 1]
    deploy(layout, system, request(origin, origin.commit(a="2")))
    assert [backoff.ends(layout, unit) for unit in units] == [0, 0]


def test_rollback_to_a_release_on_disk_is_only_a_switch(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    old = request(origin, origin.commit(a="1"))
    deploy(layout, system, old)
    first = Ledger(layout).current()
    deploy(layout, system, request(origin, origin.commit(a="2")))
    phases: list[str] = []
    Release(layout, system, lambda _: None, phases.append).run(old)
    assert phases == ["check", "journal", "switch", "gate", "mark good", "close", "prune"]
    assert Ledger(layout).current() == first
    assert set(system.running().values()) == {first}


def test_only_good_releases_are_kept_and_never_too_few(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    names = []
    for number in range(4):
        deploy(layout, system, request(origin, origin.commit(a=str(number))))
        names.append(Ledger(layout).current())
        with pytest.raises(ReleaseError):
            deploy(layout, system, request(origin, origin.commit(CRASH="yes")))
        origin.git("rm", "-q", "CRASH")
    assert [target.release for target in Ledger(layout).good()] == names[-2:]
    no_leftovers(layout)


def test_a_commits_first_line_is_cut_once_nothing_secret_is_in_it_and_stops_nothing(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit(b="1")
    origin.git("commit", "-q", "--amend", "-m", f"{'x' * 92} canary-value")
    deploy(layout, system, request(origin, origin.git("rev-parse", "HEAD")))
    assert history(layout)[-1]["subject"] == f"{'x' * 92} [TOKEN]"

    def fails(_: Mirror) -> str:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(Mirror, "subject", fails)
    deploy(layout, system, request(origin, origin.commit(b="2")))
    assert (history(layout)[-1]["outcome"], "subject" in history(layout)[-1]) == ("good", False)


def test_the_history_says_who_what_when_and_why_and_has_an_end(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = request(origin, origin.commit()), request(origin, origin.commit(b="2"))
    build = ("echo canary-value; exit 3",)
    bad = bad._replace(manifest=bad.manifest._replace(build=build), deployer="ada@laptop")
    deploy(layout, system, good._replace(deployer="bob (GitHub Actions)"))
    with pytest.raises(ReleaseError):
        deploy(layout, system, bad)
    first, second = history(layout)
    for line in (first, second):
        assert time.strptime(line.pop("at"), "%Y-%m-%dT%H:%M:%SZ")
        assert line.pop("seconds") >= 0
    assert first == {
        "outcome": "good",
        "by": "bob (GitHub Actions)",
        "release": Ledger(layout).current(),
        "revision": good.manifest.revision,
        "changed": ["commit"],
        "subject": "c",
    }
    assert second == {
        "outcome": "failed",
        "by": "ada@laptop",
        "phase": "build",
        "reason": "`/bin/bash -c echo [TOKEN]; exit 3` ended with status 3",
        "revision": bad.manifest.revision,
        "changed": ["commit", "build"],
        "subject": "c",
    }
    monkeypatch.setattr(ledger, "HISTORY_KEPT", 3)
    for _ in range(4):
        deploy(layout, system, good)
    assert [line["outcome"] for line in history(layout)] == ["good"] * 3


@pytest.mark.parametrize("line", ["garbage", "[]", '{"at": "2026-01-01T00:00:00Z"}', "\udcff"])
def test_a_line_of_the_history_that_nobody_can_read_stops_nothing(
    line: str, layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="1")))
    with layout.history.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"{line}\n")
    deploy(layout, system, request(origin, origin.commit(a="2")))
    assert [line["outcome"] for line in history(layout)] == ["good", "good"]


def test_a_history_that_cannot_be_opened_stops_nothing(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Ledger) -> list[dict[str, Any]]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Ledger, "history", fails)
    assert "is live" in deploy(layout, system, request(origin, origin.commit()))


def test_what_fails_once_a_release_is_good_is_only_said(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old workers that cannot be told to end are the recovery's."""
    overlap = (Process("worker", 2, grace=5, overlap=True),)
    deploy(layout, system, request(origin, origin.commit(a="1"), processes=overlap))
    systemctl, said = system.systemctl, list[str]()

    def hangs(*argv: str) -> str:
        if argv[0] == "stop":
            raise CommandError("`systemctl stop`: Connection timed out")
        return systemctl(*argv)

    monkeypatch.setattr(system, "systemctl", hangs)
    wanted = request(origin, origin.commit(a="2"), processes=overlap)
    assert "is live" in deploy(layout, system, wanted, said)
    late = "not all of the work after it was done: `systemctl stop`: Connection timed out"
    assert f"the release is good, and {late}" in said
    assert [line["outcome"] for line in history(layout)] == ["good", "good"]
    monkeypatch.undo()
    assert (len(system.running()), layout.journal.exists()) == (4, True)
    recover(layout, system, lambda _: None)
    assert set(system.running().values()) == {Ledger(layout).current()}
    good = Ledger(layout).last_good()
    assert good is not None
    assert (good.manifest, len(system.running())) == (wanted.manifest, 2)
    assert not layout.journal.exists()


def test_what_cannot_be_removed_decides_nothing(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = request(origin, origin.commit(a="1"), keep_releases=1)
    deploy(layout, system, first)

    def deep(*_: object) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(prune, "discard", deep)
    said: list[str] = []
    with pytest.raises(ReleaseError, match=r"^build: .* ended with status 3"):
        deploy(layout, system, request(origin, origin.commit(a="2"), build=("exit 3",)), said)
    not_removed = "old releases could not be removed: maximum recursion depth exceeded"
    assert not_removed in said
    assert recover(layout, system, said.append).startswith("runs its last good release")
    assert said[-1] == not_removed
    wanted = request(origin, origin.commit(a="3"), keep_releases=1)
    assert "is live" in deploy(layout, system, wanted, said)
    assert said[-1] == not_removed
    assert [line["outcome"] for line in history(layout)] == ["good", "failed", "good"]
    monkeypatch.undo()
    recover(layout, system, lambda _: None)
    no_leftovers(layout)


def test_names_sort_by_what_came_first_though_the_clock_was_once_ahead(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, names, ledger = time.time(), list[str](), Ledger(layout)
    for number, ahead in enumerate((0, 86_400, 86_400, 0, 3600)):
        clock = time.gmtime(now + ahead)
        monkeypatch.setattr(time, "gmtime", lambda *_, clock=clock: clock)
        deploy(layout, system, request(origin, origin.commit(a=str(number))))
        names.append(str(ledger.current()))
    assert names == sorted({*names})
    # the first release of what runs is on disk no more
    first = "20990101000000-abcdef0"
    records = [{**target.record(), "first": first} for target in ledger.good()]
    storage.write_json(layout.good, records)
    deploy(layout, system, request(origin, origin.commit(a="last")))
    assert str(ledger.current()).startswith("20990101000001-")


@pytest.mark.parametrize("how", ["said", "raised"])
def test_a_full_disk_is_named(
    how: str,
    layout: Layout,
    system: FakeSystem,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = request(origin, origin.commit())
    if how == "said":
        build = ("echo tar: x: Cannot write: No space left on device; exit 2",)
        wanted = request(origin, wanted.manifest.revision, build=build)
    else:

        def full(_path: Path, _size: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(storage, "reserve", full)
    with pytest.raises(
        ReleaseError,
        match=r"; the disk was full: \d+ MB of \d+ MB are free now at /.*; make room there, or",
    ):
        deploy(layout, system, wanted)


BROKEN: dict[str, tuple[str, dict[str, object], str]] = {
    "no such commit": ("fetch", {"revision": "0" * 40}, "has no commit 0000"),
    "repository down": (
        "fetch",
        {"repository": "/nowhere"},
        "^fetch: /nowhere did not give [0-9a-f]{12}: fatal: ./nowhere. does not appear",
    ),
    "not in the Procfile": (
        "check out",
        {"processes": (Process("wroker", 1),)},
        r"processes/wroker: should be in the Procfile \(it has: worker, mailer\)",
    ),
    "build fails": ("build", {"build": ("echo no; exit 3",)}, "ended with status 3"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_failure_before_the_switch_touches_no_worker(
    case: str, first: bool, layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    phase, changes, reason = BROKEN[case]
    revision = origin.commit()
    if not first:
        deploy(layout, system, request(origin, revision))
    before = (dict(system.loaded), Ledger(layout).current(), list(system.calls))
    changes = {"revision": origin.commit(b="2"), "build": ("true",), **changes}
    with pytest.raises(ReleaseError, match=reason) as failure:
        deploy(layout, system, request(origin, revision, 2, **changes))
    assert failure.value.phase == phase
    assert (system.loaded, Ledger(layout).current(), system.calls) == before
    assert history(layout)[-1]["outcome"] == "failed"
    assert list(layout.releases.iterdir()) == [
        layout.releases / t.release for t in Ledger(layout).good()
    ]


def test_workers_that_do_not_stay_bring_the_old_release_back(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit()))
    good = Ledger(layout).current()
    with pytest.raises(
        ReleaseError, match=r"worker@1.*ended while its health was watched"
    ) as failure:
        deploy(layout, system, request(origin, origin.commit(CRASH="yes"), quantity=3))
    assert failure.value.phase == "gate"
    assert failure.value.state == f"runs its last good release, {good}"
    assert system.running() == {
        "satellite-shop.worker@1.service": good,
        "satellite-shop.worker@2.service": good,
    }
    assert Ledger(layout).current() == good
    no_leftovers(layout)
    origin.git("rm", "-q", "CRASH")
    deploy(layout, system, request(origin, origin.commit()))
    no_leftovers(layout)


def test_the_way_back_lifts_a_limit_that_no_worker_could_start_under(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays with the unit, not with the release: the old one would be killed at its start.

    A worker that lives keeps its limits until it has ended, however long that takes.
    """
    deploy(layout, system, request(origin, origin.commit(), quantity=1))
    unit = layout.worker_unit("worker", 1)
    (layout.runtime_units / f"{unit}.d").mkdir(parents=True)  # as its worker leaves it
    begin = system._begin

    def killed_early(name: str) -> None:
        begin(name)
        if (layout.current / "CRASH").exists():
            for note in notes.of(layout):
                notes.forget(layout, note.name)

    monkeypatch.setattr(system, "_begin", killed_early)
    with pytest.raises(ReleaseError):
        deploy(layout, system, request(origin, origin.commit(CRASH="yes"), quantity=1))
    lifted = ("set-property", "--runtime", "--", unit, "MemoryMax=infinity", "CPUQuota=")
    started = ("restart", "--no-block", "--", unit)
    known = [call for call in system.calls if call in (lifted, started)]
    assert known == [started, started, lifted, started]


def test_a_worker_that_ends_at_each_start_is_not_waited_for(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd starts it again and again, and never does anybody see it run."""
    deploy(layout, system, request(origin, origin.commit(), quantity=1))
    crashing = origin.commit(CRASHES="at once")
    looks = iter(range(7, 100))  # ends that it had before this release do not count
    units = system.units

    def flapping(names: object) -> dict[str, UnitState]:
        found = units(names)
        if not (layout.current / "CRASHES").exists():
            return found
        return {
            name: unit._replace(
                sub="auto-restart",
                pid=0,
                restarts=(at := next(looks)),
                invocation=f"at {at}",
                result="exit-code",
            )
            for name, unit in found.items()
        }

    monkeypatch.setattr(system, "units", flapping)
    began = system.clock
    with pytest.raises(ReleaseError, match=r"worker@1.*: ended 3 times in a row \(exit-code\)"):
        deploy(layout, system, request(origin, crashing, quantity=1))
    assert system.clock - began < gate.START_LIMIT
    assert starts_asked_for(system) == ["at 10", "at 7", "at 8", "at 9"]
    no_leftovers(layout)


def starts_asked_for(system: FakeSystem) -> list[str]:
    """Those of which the journal was asked what the worker said, and systemd of them."""
    (argv,) = system.journal
    own, of_them = (
        [word[len(field) :] for word in argv if word.startswith(field)]
        for field in ("_SYSTEMD_INVOCATION_ID=", "INVOCATION_ID=")
    )
    assert own == of_them
    return own


def test_what_the_old_releases_workers_said_is_not_told_as_the_new_ones_last_words(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit()))
    with pytest.raises(ReleaseError, match="worker@1"):
        deploy(layout, system, request(origin, origin.commit(CRASH="yes")))
    assert starts_asked_for(system) == ["3"]  # the first two were the old release's


def test_where_settings_alone_fail_it_goes_back_to_those_before(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit()
    deploy(layout, system, request(origin, revision))
    good, log = Ledger(layout).current(), list[str]()
    with pytest.raises(ReleaseError, match="health command failed") as failure:
        deploy(layout, system, request(origin, revision, health="exit 1"), log)
    assert failure.value.state == f"runs its last good release, {good}"
    assert f"{good} was left unfinished; going to its settings before" in log


def test_a_health_command_that_fails_brings_the_old_release_back(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit()))
    good = Ledger(layout).current()
    health = 'echo "$TOKEN $(cat ok) $PWD"; [ "$(cat ok)" = yes ]'
    log: list[str] = []
    with pytest.raises(ReleaseError, match=r"health command failed: .* status 1") as failure:
        deploy(layout, system, request(origin, origin.commit(ok="no"), health=health), log)
    assert failure.value.phase == "gate"
    assert failure.value.state == f"runs its last good release, {good}"
    assert set(system.running().values()) == {good}
    no_leftovers(layout)
    asked = system.clock
    deploy(layout, system, request(origin, origin.commit(ok="yes"), health=health), log)
    assert system.clock - asked >= 3  # it is asked when the gate's time is over
    directory = layout.releases / str(Ledger(layout).current())
    assert f"canary-value yes {directory}" in log
    no_leftovers(layout)


def test_a_health_command_that_hangs_has_failed(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    wanted = request(origin, origin.commit(), health="sleep 60", health_seconds=1)
    with pytest.raises(ReleaseError, match="`/bin/bash` did not end within 1 s"):
        deploy(layout, system, wanted)
    assert system.running() == {}


def test_a_worker_that_ends_while_the_health_command_runs_has_not_stayed(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    wanted = request(origin, origin.commit(), health="touch CRASH")
    with pytest.raises(ReleaseError, match="ended while its health was watched"):
        deploy(layout, system, wanted)


def test_a_canary_soaks_what_is_new_to_it_and_nothing_else(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    revision = origin.commit()
    for changes, seconds in (({}, 63), ({"quantity": 3}, 3), ({"generation": 1}, 3)):
        before = system.clock
        deploy(layout, system, request(origin, revision, soak_seconds=60, **changes))
        assert system.clock - before == pytest.approx(seconds, abs=1)


def test_a_canary_does_not_soak_what_was_good_there_before(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    old, new = (request(origin, origin.commit(a=a), soak_seconds=60) for a in ("1", "2"))
    for wanted, seconds in ((old, 63), (new, 63), (old, 3), (new, 3)):
        before = system.clock
        deploy(layout, system, wanted)
        assert system.clock - before == pytest.approx(seconds, abs=1)


def test_a_canary_soaks_what_was_only_built_or_has_failed_there(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="1")))
    built = request(origin, origin.commit(a="2", ok="no"), soak_seconds=60, health="[ -e ok ]")
    bad = built._replace(manifest=built.manifest._replace(health="false"))
    layout.home.mkdir(parents=True, exist_ok=True)
    Release(layout, system, lambda _: None).run_phase(built)
    for wanted, fails in ((bad, True), (built, False)):
        before = system.clock
        with pytest.raises(ReleaseError) if fails else contextlib.nullcontext():
            deploy(layout, system, wanted)
        assert system.clock - before == pytest.approx(63, abs=1)


def test_first_release_that_does_not_stay_leaves_a_clean_host(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, request(origin, origin.commit(CRASH="yes")))
    assert failure.value.state == "runs no release: it never had a good one"
    assert system.running() == {}
    assert not layout.current.is_symlink()
    assert [path.name for path in layout.units.iterdir() if path.is_file()] == []
    no_leftovers(layout)


def test_a_first_release_that_fails_leaves_another_tools_as_they_were(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    theirs = [layout.releases / name for name in ("20240101000000", "20240201000000")]
    for path in theirs:
        path.mkdir()
    layout.current.symlink_to(theirs[-1])
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, request(origin, origin.commit(CRASH="yes")))
    assert failure.value.state == "runs no release: it never had a good one"
    recover(layout, system, lambda _: None)
    assert layout.current.readlink() == theirs[-1]
    assert sorted(layout.releases.iterdir()) == theirs
    assert system.running() == {}
    (origin.path / "CRASH").unlink()
    deploy(layout, system, request(origin, origin.commit()))
    assert len(list(layout.releases.iterdir())) == 3


def cut_off(layout: Layout, system: FakeSystem, origin: Origin) -> str:
    """A release that was killed at its gate; the good one before it."""
    deploy(layout, system, request(origin, origin.commit(a="good")))
    good = str(Ledger(layout).current())
    killed_at("gate", layout, system, request(origin, origin.commit(a="cut")))
    assert set(system.running().values()) == {Ledger(layout).current()} != {good}
    return good


@pytest.mark.parametrize("lost", ["state", "base", "releases"])
def test_where_a_disk_is_not_mounted_a_recovery_waits_for_it(
    lost: str, layout: Layout, system: FakeSystem, origin: Origin, tmp_path: Path
) -> None:
    """In mid-release: what runs goes on, nothing is removed, and systemd tries again."""
    good = cut_off(layout, system, origin)
    before = (system.running(), {path.name for path in layout.releases.iterdir()})
    disk: Path = getattr(layout, lost)
    shutil.move(disk, tmp_path / "disk")
    disk.mkdir()
    telling = (
        (LookupError, "host.json is not there: this host is not bootstrapped, or the disk is not")
        if lost == "state"
        else (
            MissingReleaseError,
            rf"{good} is not there: is its disk mounted\? .* remove .*journal",
        )
    )
    for _ in range(2):
        with pytest.raises(telling[0], match=telling[1]):
            recover(layout, system, lambda _: None, wait=False)
    with pytest.raises(ReleaseError, match=f"^check: .*{telling[1]}"):
        deploy(layout, system, request(origin, origin.commit(a="new")))
    assert not any("stop" in call for call in system.calls)
    shutil.rmtree(disk)
    shutil.move(tmp_path / "disk", disk)
    assert (system.running(), {path.name for path in layout.releases.iterdir()}) == before
    said = recover(layout, system, lambda _: None, wait=False)
    assert said == f"runs its last good release, {good}"
    assert set(system.running().values()) == {Ledger(layout).current()} == {good}
    no_leftovers(layout)


@pytest.mark.parametrize("lost", ["state", "base"])
@pytest.mark.parametrize("ask", ["run", "run_phase"])
def test_workers_of_which_an_empty_place_knows_nothing_are_left_alone(
    lost: str, ask: str, layout: Layout, system: FakeSystem, origin: Origin, tmp_path: Path
) -> None:
    """Though somebody has written there which host it is: a failure would have no way back."""
    deploy(layout, system, request(origin, origin.commit(a="good")))
    runs, empty = system.running(), bare(tmp_path / "empty")
    disk: Path = getattr(layout, lost)
    shutil.move(disk, tmp_path / "disk")
    shutil.move(getattr(empty, lost), disk)
    system.calls.clear()
    bad = request(origin, origin.commit(CRASH="x"))
    for _ in range(2):
        with pytest.raises(ReleaseError, match=r"^check: nothing was changed: workers of "):
            getattr(Release(layout, system, lambda _: None), ask)(bad)
        assert recover(layout, system, lambda _: None, wait=False).startswith("runs no release: ")
    assert [call for call in system.calls if call[0] != "daemon-reload"] == []
    shutil.rmtree(disk)
    shutil.move(tmp_path / "disk", disk)
    assert system.running() == runs
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, bad)
    assert failure.value.state.startswith("runs its last good release, ")
    assert set(system.running().values()) == set(runs.values())


def test_where_such_workers_have_ended_or_are_ending_the_next_release_is_the_first(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="good")))
    shutil.rmtree(layout.state)
    storage.write_json(layout.identity, {"host": "h", "machine": "m"})
    wanted = request(origin, origin.commit(a="first"))
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, wanted)
    assert failure.value.state == "runs what it ran before"
    assert f"`systemctl disable --now {layout.target}` here ends them" in failure.value.reason
    for name, unit in system.loaded.items():
        system.loaded[name] = unit._replace(active="deactivating", job=True)
    orphans.check(layout, system)
    system.loaded.clear()
    assert "is live" in deploy(layout, system, wanted)


def test_what_came_with_the_image_of_another_environments_host_gives_way(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit(a="theirs")))
    Ledger(layout).begin_anew("staging")
    assert "is live" in deploy(layout, system, request(origin, origin.commit(a="ours")))


def test_where_the_releases_are_lost_for_good_the_next_one_is_the_first_again(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    cut_off(layout, system, origin)
    shutil.rmtree(layout.releases)
    layout.releases.mkdir()
    layout.journal.unlink()  # as the message says
    said = recover(layout, system, lambda _: None)
    assert said == "runs no release: none of its good ones is on disk"
    for crash in ({"CRASH": "y"}, {}):  # and one that fails is in nobody's way
        if not crash:
            (origin.path / "CRASH").unlink()
        with pytest.raises(ReleaseError) if crash else contextlib.nullcontext():
            deploy(layout, system, request(origin, origin.commit(**crash)))
    current = Ledger(layout).current()
    assert set(system.running().values()) == {path.name for path in layout.releases.iterdir()}
    assert set(system.running().values()) == {current}


@pytest.mark.parametrize("cut", [False, True], ids=["finished", "mid-release"])
def test_a_list_of_good_ones_that_is_lost_loses_none(
    cut: bool, layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """What the journal goes back to was good; and so was what runs, where there is no journal.

    Of those before the history tells.
    """
    deploy(layout, system, request(origin, origin.commit(a="older")))
    if cut:
        good = cut_off(layout, system, origin)
    else:
        deploy(layout, system, request(origin, origin.commit(a="good")))
        good = str(Ledger(layout).current())
    both = Ledger(layout).good()
    layout.good.unlink()
    if not cut:
        recover(layout, system, lambda _: None)
        assert Ledger(layout).good() == both
        layout.good.unlink()
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, request(origin, origin.commit(a="bad", CRASH="y")))
    assert failure.value.state == f"runs its last good release, {good}"
    assert set(system.running().values()) == {Ledger(layout).current()} == {good}
    recover(layout, system, lambda _: None)
    assert Ledger(layout).good() == both
    no_leftovers(layout)


@pytest.mark.parametrize("how", ["cut", "never written", "lost", "in a power cut"])
def test_what_runs_is_good_though_list_and_history_do_not_say_so(
    how: str,
    layout: Layout,
    system: FakeSystem,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The history has an end, and is written where the disk has room for it."""
    deploy(layout, system, request(origin, origin.commit(a="older")))
    if how == "never written":
        monkeypatch.setattr(Ledger, "record", lambda *_, **__: None)
    if how == "in a power cut":
        killed_at("prune", layout, system, request(origin, origin.commit(a="good")))
        recover(layout, system, lambda _: None)
    else:
        deploy(layout, system, request(origin, origin.commit(a="good")))
    both, good = Ledger(layout).good(), str(Ledger(layout).current())
    monkeypatch.undo()
    if how == "cut":
        layout.history.write_text('{"at": "2026-01-01T00:00:00Z", "outcome": "restarted"}\n' * 3)
    if how == "lost":
        layout.history.unlink()
    layout.good.unlink()
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, request(origin, origin.commit(a="bad", CRASH="y")))
    assert failure.value.state == f"runs its last good release, {good}"
    assert set(system.running().values()) == {good}
    assert Ledger(layout).good() == both


def test_where_what_runs_was_never_good_the_newest_that_was_is_gone_back_to(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    good = cut_off(layout, system, origin)
    layout.journal.unlink()
    layout.good.unlink()
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, request(origin, origin.commit(a="bad", CRASH="y")))
    assert failure.value.state == f"runs its last good release, {good}"


def killed_at(
    phase: str, layout: Layout, system: FakeSystem, wanted: Request, drained: bool = False
) -> None:
    """A release that was killed there, with or without a drain of its machine."""

    def kill(now: str) -> None:
        if now == phase:
            raise Killed

    with pytest.raises(Killed):
        Release(layout, system, lambda _: None, kill).run(wanted)
    if drained:
        storage.write(layout.draining, "")  # its recovery gives way
        recover(layout, system, lambda _: None)
        storage.remove(layout.draining)
        drain(layout, "h", "m", system, lambda _: None)


@pytest.mark.parametrize("how", ["drained", "its damaged journal moved away"])
def test_a_first_release_that_was_ended_early_was_never_good(
    how: str, layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """Though `current` points to it, and no journal says that it was not finished."""
    wanted = request(origin, origin.commit())
    killed_at("gate", layout, system, wanted, drained=how == "drained")
    layout.journal.unlink(missing_ok=True)
    said = recover(layout, system, lambda _: None)
    assert (said, Ledger(layout).good()) == ("runs no release: it never had a good one", [])
    bad = request(origin, origin.commit(CRASH="x"))
    with pytest.raises(ReleaseError) as failure:
        deploy(layout, system, bad)
    assert failure.value.state == "runs no release: it never had a good one"
    assert system.running() == {}
    done = Release(layout, system, lambda _: None).run_phase(wanted)
    assert "before" not in done


def test_first_releases_that_are_killed_leave_nothing(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """A small disk would be full before any became good."""
    wanted = request(origin, origin.commit())
    for phase in ("build", "gate", "build"):
        killed_at(phase, layout, system, wanted)
        recover(layout, system, lambda _: None)
    assert [*layout.releases.iterdir(), *(layout.state / "releases").iterdir()] == []
    deploy(layout, system, wanted)
    no_leftovers(layout)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("good", "[1]"),
        ("good", "[{}]"),
        ("good", '[{"release": null, "manifest": ""}]'),
        ("journal", '{"a": 1}'),
        ("journal", '{"to": {}, "stopped": 5}'),
        ("prepared", '{"a": 1}'),
    ],
)
def test_what_is_no_release_is_named_by_its_file(
    name: str, text: str, layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit()))
    path: Path = getattr(layout, name)
    path.write_text(text)
    with pytest.raises(ReleaseError, match=f"^[a-z]+: .*{path.name} cannot be read: it should "):
        deploy(layout, system, request(origin, origin.commit(a="new")))
    (finding,) = [f for f in state.report(layout, system)["findings"] if f["code"] == "unreadable"]
    assert path.name in finding["text"]


def test_what_a_build_prints_is_in_the_log_and_config_reaches_it(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    log: list[str] = []
    build = ('echo "$TOKEN $PWD $SATELLITE_SHARED"',)
    deploy(layout, system, request(origin, origin.commit(), build=build), log)
    directory = layout.releases / str(Ledger(layout).current())
    assert f"canary-value {directory} {layout.shared}" in log


def test_manifest_and_bundle_must_name_the_same_vars(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    wanted = request(origin, origin.commit())._replace(config={"OTHER": "x"})
    with pytest.raises(
        ReleaseError,
        match="config: the manifest and the bundle should name the same, not OTHER, TOKEN",
    ):
        deploy(layout, system, wanted)


# every durable step of the agent and every order to systemd is a crash point
STEPS = ("write", "point", "remove", "remove_tree", "reserve")


def count_down(
    monkeypatch: pytest.MonkeyPatch, system: FakeSystem, steps: int, after: bool
) -> Callable[[], int]:
    """Kill at the step of that number, before it is done or right after; how many were left."""
    left = [steps]

    def wrapped(action: Callable[..., Any]) -> Callable[..., Any]:
        def run(*argv: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            result = action(*argv, **named)
            if left[0] == 0 and after:
                raise Killed
            return result

        return run

    for name in STEPS:
        monkeypatch.setattr(storage, name, wrapped(getattr(storage, name)))
    monkeypatch.setattr(system, "systemctl", wrapped(system.systemctl))
    return lambda: left[0]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fails", [False, True], ids=["good", "crashing"])
@pytest.mark.parametrize("overlap", [False, True], ids=["", "overlap"])
def test_killed_at_every_step_the_host_ends_at_old_or_new(
    overlap: bool, fails: bool, after: bool, tmp_path: Path, origin: Origin
) -> None:
    two, three = (Process("worker", n, grace=5, overlap=overlap) for n in (2, 3))
    old = request(origin, origin.commit(a="old"), processes=(two,))
    bad = {"CRASH": "y"} if fails else {}
    new = request(origin, origin.commit(a="new", **bad), processes=(three,))
    outcomes = set()
    for step in range(1, 200):
        layout = bare(tmp_path / f"host{step}")
        system = FakeSystem(layout)
        deploy(layout, system, old)
        first = Ledger(layout).current()
        before = system.running()
        with pytest.MonkeyPatch.context() as patch:
            left = count_down(patch, system, step, after)
            with contextlib.suppress(Killed, ReleaseError):
                deploy(layout, system, new)
        recover(layout, system, lambda _: None)
        current = Ledger(layout).current()
        last = Ledger(layout).last_good()
        assert last is not None
        assert current == last.release
        running = system.running()
        slots = sorted(layout.slot(name)[:2] for name in running)
        assert (slots, set(running.values())) == (last.manifest.slots(), {current}), f"step {step}"
        if current == first:
            assert overlap <= (running == before), f"step {step}: the old ones never stopped"
        no_leftovers(layout)
        outcomes.add("old" if current == first else "new")
        if left() > 0:
            break
        # and the next good deploy needs no cleaning
        deploy(
            layout,
            system,
            request(origin, new.manifest.revision if not fails else old.manifest.revision),
        )
        no_leftovers(layout)
    else:
        pytest.fail("the release never came to its end")
    assert outcomes == ({"old"} if fails else {"old", "new"})


def test_recovery_that_systemd_waits_for_waits_for_no_release(
    layout: Layout, system: FakeSystem
) -> None:
    with (
        storage.locked(layout.lock, "release of 1"),
        pytest.raises(
            BlockingIOError, match=r"release of 1, since .* is under way, and recovers by"
        ),
    ):
        recover(layout, system, lambda _: None, wait=False)
    assert recover(layout, system, lambda _: None, wait=False).startswith("runs no release")
