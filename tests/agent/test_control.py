"""Workers stopped, started and restarted by a person; what the host says of itself."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from satellite_infra.agent import backoff, control, notes, procfile, state, storage
from satellite_infra.agent.control import Control
from satellite_infra.agent.converge import MARGIN
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release, ReleaseError, Request, Rotation, recover
from satellite_infra.agent.release_manifest import Process
from satellite_infra.agent.system import CommandError, UnitState
from tests.agent.conftest import FakeSystem, Killed, Origin, bare, request
from tests.agent.test_overlap import wants
from tests.agent.test_release import count_down

ONE, TWO = ("satellite-shop.worker@1.service", "satellite-shop.worker@2.service")
MAIL = "satellite-shop.mailer@1.service"
TWO_TYPES = (Process("worker", 2, grace=5), Process("mailer", 1, grace=5))


@pytest.fixture
def host(layout: Layout, system: FakeSystem, origin: Origin) -> Control:
    """Two workers and a mailer run the first commit."""
    Release(layout, system, lambda _: None).run(
        request(origin, origin.commit(), processes=TWO_TYPES)
    )
    return Control(layout, system)


def states(host: Control) -> dict[str, str]:
    found = state.report(host.layout, host.system)["workers"]
    return {worker["name"]: worker["state"] for worker in found}


def wanted(host: Control) -> list[str]:
    return wants(host.layout)


def running(host: Control) -> set[str]:
    assert isinstance(host.system, FakeSystem)
    return set(host.system.running())


def test_a_stopped_type_is_not_started_by_the_next_boot(host: Control) -> None:
    assert host.stop(["worker"], "ada@laptop") == (
        "stopped worker.1, worker.2, until `satellite start`, or until another commit is deployed"
    )
    assert running(host) == {MAIL}
    assert wanted(host) == [MAIL]
    assert states(host) == {"mailer.1": "running", "worker.1": "stopped", "worker.2": "stopped"}
    last = Ledger(host.layout).history()[-1]
    assert (last["outcome"], last["names"], last["by"]) == (
        "stopped",
        ["worker.1", "worker.2"],
        "ada@laptop",
    )


def test_what_is_stopped_is_said_and_not_done_twice(host: Control) -> None:
    host.stop(["worker.2"])
    lines = len(Ledger(host.layout).history())
    assert host.stop(["worker.2"]) == "stopped already: worker.2"
    assert len(Ledger(host.layout).history()) == lines


def test_start_brings_back_what_was_named_and_no_more(host: Control) -> None:
    host.stop([])
    assert running(host) == set()
    assert host.start(["worker.2"]) == "started worker.2"
    assert running(host) == {TWO}
    assert wanted(host) == [TWO]
    assert host.start([]) == "started mailer.1, worker.1"
    assert running(host) == {ONE, TWO, MAIL}
    assert sorted(wanted(host)) == sorted([ONE, TWO, MAIL])
    assert host.start([]) == "started already: worker.1, worker.2, mailer.1"


def test_restart_leaves_what_is_stopped(host: Control) -> None:
    host.stop(["mailer"])
    backoff.count(host.layout, ONE, 0)
    assert isinstance(host.system, FakeSystem)
    before = host.system.starts
    assert host.restart([]) == "restarted worker.1, worker.2; stopped, and stays so: mailer.1"
    assert host.system.starts == before + 2
    assert backoff.ends(host.layout, ONE) == 0
    assert running(host) == {ONE, TWO}


def test_the_next_release_starts_what_is_stopped(host: Control, origin: Origin) -> None:
    host.stop([])
    Release(host.layout, host.system, lambda _: None).run(
        request(origin, origin.commit(a="b"), processes=TWO_TYPES)
    )
    assert running(host) == {ONE, TWO, MAIL}


def test_other_settings_for_the_commit_that_runs_start_nothing(
    host: Control, origin: Origin
) -> None:
    host.stop(["mailer"])
    revision = state.report(host.layout, host.system)["revision"]
    more = (Process("worker", 3, grace=5), TWO_TYPES[1])
    scaled = request(origin, revision, processes=more)
    said = Release(host.layout, host.system, lambda _: None).run(scaled)
    assert running(host) == {ONE, TWO, host.layout.worker_unit("worker", 3)}
    assert "3 workers" in said


@pytest.mark.parametrize(
    "fewer",
    [(Process("worker", 1, grace=5),), (Process("poster", 1, grace=5),)],
    ids=["a number", "a type"],
)
def test_what_was_stopped_and_is_no_more_counts_nowhere(
    fewer: tuple[Process, ...], host: Control, origin: Origin
) -> None:
    same = origin.git("rev-parse", "HEAD")
    host.stop(["worker.2", "mailer"])
    commands = tuple(process._replace(command="./work") for process in fewer)

    def run(health: str = "") -> list[str]:
        said: list[str] = []
        wanted = request(origin, same, processes=commands, health=health)
        release = Release(host.layout, host.system, said.append)
        return [release.run(wanted), *(line for line in said if line.startswith("stopped by"))]

    with pytest.raises(ReleaseError):  # on the way back it is one that was stopped
        run(health="false")
    assert states(host) == {"mailer.1": "stopped", "worker.1": "running", "worker.2": "stopped"}
    (told,) = run()
    assert told.endswith(" is live, 1 worker")
    assert len(running(host)) == 1


def test_a_recovery_tells_of_no_stopped_worker_that_is_no_more(
    host: Control, origin: Origin
) -> None:
    host.stop(["worker.2"])
    same = origin.git("rev-parse", "HEAD")

    def kill(phase: str) -> None:
        if phase == "close":
            raise Killed

    fewer = (Process("worker", 1, grace=5),)
    with pytest.raises(Killed):
        Release(host.layout, host.system, lambda _: None, kill).run(
            request(origin, same, processes=fewer)
        )
    said: list[str] = []
    recover(host.layout, host.system, said.append)
    assert not [line for line in said if line.startswith("stopped by")]
    assert running(host) == {ONE}


def test_without_waiting_the_grace_goes_on(host: Control) -> None:
    assert isinstance(host.system, FakeSystem)
    host.system.slow = True
    host.wait = False
    assert host.stop(["mailer"]) == (
        "stopped mailer.1, until `satellite start`, or until another commit is deployed; "
        "each ends within its grace"
    )
    assert states(host)["mailer.1"] == "ending"
    host.restart(["worker"])
    assert host.system.waits[-1] == 0


def test_a_restart_is_waited_for_as_long_as_the_grace_allows(host: Control) -> None:
    assert isinstance(host.system, FakeSystem)
    host.restart(["worker"])
    assert host.system.waits[-1] == 5 + MARGIN


REAPS = ("start", "--no-block", "satellite-shop-reap.service")


@pytest.mark.parametrize("when", ["while another ends", "at the end", "looked at", "never"])
@pytest.mark.parametrize("done", [False, True, None], ids=["late", "done", "one is refused"])
def test_an_end_left_to_a_start_that_does_not_come_is_asked_for(
    when: str, done: bool | None, host: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody stops it by hand meanwhile, or systemd skips it; the other takes its hour."""
    system = host.system
    assert isinstance(system, FakeSystem)
    restart, left = system.restart, notes.left_to_start(host.layout, ONE)
    asked: list[int] = []

    def slow(names: Sequence[str], seconds: float, meanwhile: Callable[[], None]) -> bool:
        for second in range(4):
            if (second, when) in ((1, "while another ends"), (3, "at the end"), (1, "looked at")):
                storage.write(left, "now")
            meanwhile()
            if when == "looked at":
                storage.remove(left)
            asked.append(system.calls.count(REAPS))
        restart(names, seconds)
        if done is None:
            raise CommandError("Unit is masked.")
        return done

    monkeypatch.setattr(system, "restart", slow)
    before = system.now()
    with contextlib.suppress(CommandError):
        host.restart(["worker"])
    at_once = when == "while another ends"
    assert asked == [0, 0, int(at_once), int(at_once)]
    assert system.calls.count(REAPS) == int(at_once or when == "at the end")
    assert (system.now() - before > notes.SOON) is (when == "at the end")


class Disk:
    """A full one, with `room` once the reserve is gone; it notes who ran at each write."""

    cause = errno.ENOSPC

    def __init__(self, host: Control, room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.room, self.write = host, room, storage.write
        self.running: list[set[str]] = []
        monkeypatch.setattr(storage, "write", self)

    def __call__(self, path: Path, content: str, mode: int = 0o600) -> bool:
        self.running.append(running(self.host))
        if self.host.layout.reserve.exists() or not self.room:
            raise OSError(self.cause, os.strerror(self.cause))
        return self.write(path, content, mode)


def test_on_a_full_disk_a_stop_takes_the_room_that_is_held(
    host: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no worker that fills the disk may take it first."""
    assert host.layout.reserve.stat().st_size == storage.RESERVE
    disk = Disk(host, True, monkeypatch)
    until = "until `satellite start`, or until another commit is deployed"
    assert host.stop(["worker"]) == f"stopped worker.1, worker.2, {until}"
    assert disk.running[:2] == [{ONE, TWO, MAIL}, {MAIL}]
    assert (running(host), wanted(host)) == ({MAIL}, [MAIL])
    assert Ledger(host.layout).history()[-1]["outcome"] == "stopped"


def test_on_a_full_disk_a_stop_leaves_the_room_to_a_recovery(
    host: Control, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(host, origin)
    Disk(host, True, monkeypatch)
    host.stop(["worker"])
    assert wanted(host) == [MAIL]
    assert host.layout.reserve.stat().st_size == storage.RESERVE


@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EROFS])
def test_where_nothing_can_be_written_at_all_a_stop_says_what_a_boot_does(
    cause: int, host: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = storage.remove

    def fixed(path: Path) -> bool:
        if path == host.layout.reserve:
            raise OSError(cause, os.strerror(cause))
        return remove(path)

    Disk(host, False, monkeypatch).cause = cause
    if cause == errno.EROFS:
        monkeypatch.setattr(storage, "remove", fixed)
    text = (
        r"^worker.1, worker.2: stopped now, but the next boot starts them again: \S+target cannot "
        rf"be written: {os.strerror(cause)}; satellite doctor says what to do; then stop"
    )
    with pytest.raises(OSError, match=text):
        host.stop(["worker"])
    assert running(host) == {MAIL}
    monkeypatch.undo()
    assert host.stop(["worker"]) == "stopped already: worker.1, worker.2"
    assert wanted(host) == [MAIL]


@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EROFS])
def test_where_no_note_can_be_written_nobody_is_ended_or_started(
    cause: int, host: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them could come back."""
    assert isinstance(host.system, FakeSystem)
    host.stop(["mailer"])
    before = (running(host), wanted(host), len(host.system.calls))
    write = storage.write

    def full(path: Path, content: str, mode: int = 0o600) -> bool:
        if path.parent == host.layout.notes and content:  # what is empty needs no room
            raise OSError(cause, os.strerror(cause))
        return write(path, content, mode)

    monkeypatch.setattr(storage, "write", full)
    text = f"^nothing was done: no worker could start, .*: {os.strerror(cause)}; satellite "
    for act, words in ((host.restart, ["worker"]), (host.start, ["mailer"]), (host.restart, [])):
        with pytest.raises(OSError, match=text):
            act(words)
    assert (running(host), wanted(host), len(host.system.calls)) == before
    assert host.start(["worker"]) == "started already: worker.1, worker.2"
    monkeypatch.undo()
    assert host.restart(["worker"]) == "restarted worker.1, worker.2"
    assert not [path for path in host.layout.notes.iterdir() if path.suffix != ".json"]


def queued(system: FakeSystem) -> None:
    """As while a boot waits for the network: systemd still has to start all workers."""
    for path in system.layout.notes.glob("*.json"):
        path.unlink()
    waits = UnitState("", "inactive", "dead", 0, 0, "", True)
    system.loaded = {name: waits._replace(name=name) for name in system.loaded}


def test_what_systemd_has_still_to_start_is_stopped(host: Control, system: FakeSystem) -> None:
    queued(system)
    assert host.stop(["worker"]).startswith("stopped worker.1, worker.2, until")
    assert list(system.loaded) == [MAIL]
    assert host.start(["worker"]) == "started worker.1, worker.2"
    assert running(host) == {ONE, TWO}


def test_every_wrong_name_is_told(host: Control) -> None:
    with pytest.raises(ValueError, match="web: should be") as problem:
        host.stop(["web", "worker.3", "worker.x", "mailer"])
    assert str(problem.value) == (
        "web: should be a process type (worker, mailer), or TYPE.N; "
        "worker.3: its number should be from 1 to 2; worker.x: its number should be from 1 to 2"
    )
    assert running(host) == {ONE, TWO, MAIL}


def test_nothing_is_controlled_before_the_first_release(layout: Layout, system: FakeSystem) -> None:
    with pytest.raises(LookupError, match="no release runs here yet"):
        Control(layout, system).stop([])


def test_nothing_is_controlled_while_current_is_no_release(host: Control) -> None:
    host.layout.current.unlink()
    host.layout.current.symlink_to("/somewhere/else")
    for act in (host.stop, host.start, host.restart):
        with pytest.raises(LookupError, match="is no release, or its manifest cannot be read"):
            act([])
    assert running(host) == {ONE, TWO, MAIL}


def test_without_the_target_what_runs_is_stopped_and_the_rest_says_what_mends_it(
    host: Control, origin: Origin
) -> None:
    path = host.layout.units / host.layout.target
    path.unlink()
    mends = f"{path} is gone: satellite up --same-commit --again"
    for act in (host.start, host.restart):
        with pytest.raises(LookupError) as failure:
            act([])
        assert str(failure.value) == mends
    assert running(host) == {ONE, TWO, MAIL}
    for _ in range(2):
        assert host.stop(["worker"]).endswith(f"; {mends}")
        assert running(host) == {MAIL}
    same = request(origin, origin.git("rev-parse", "HEAD"), processes=TWO_TYPES)
    Release(host.layout, host.system, lambda _: None).run(same)
    assert running(host) == {ONE, TWO, MAIL}
    assert host.start([]).startswith("started already")


@pytest.mark.parametrize("text", ["", '[\n {\n  "first": "2026', "null\n", "\0" * 64], ids=repr)
@pytest.mark.parametrize("name", ["good", "journal", "prepared", "phases"])
def test_a_damaged_file_of_the_state_is_named_and_stops_nothing_but_what_a_person_does(
    name: str, text: str, host: Control, origin: Origin
) -> None:
    layout, system = host.layout, host.system
    path: Path = getattr(layout, name)
    path.write_text(text)
    told = f"{path} cannot be read: "
    findings = state.report(layout, system)["findings"]
    (found,) = (finding for finding in findings if finding["code"] == "unreadable")
    assert found["text"].startswith(told)
    assert found["about"] == str(path)
    new = request(origin, origin.commit(a="new"), processes=TWO_TYPES)
    if name in ("good", "journal"):
        with pytest.raises(ValueError, match=f"^{told}"):
            recover(layout, system, lambda _: None)
        with pytest.raises(ReleaseError, match=f"^check: {told}"):
            Release(layout, system, lambda _: None).run(new)
    assert running(host) == {ONE, TWO, MAIL}
    assert host.stop(["worker"]).startswith("stopped worker.1, worker.2")
    assert host.start(["worker.1"]).startswith("started worker.1")
    assert running(host) == {ONE, MAIL}
    path.unlink()  # as the runbook says
    Release(layout, system, lambda _: None).run(new)
    assert running(host) == {ONE, TWO, MAIL}
    codes = [finding["code"] for finding in state.report(layout, system)["findings"]]
    assert "unreadable" not in codes


def test_a_host_says_what_it_is(host: Control) -> None:
    found = state.report(host.layout, host.system)
    current = Ledger(host.layout).current()
    assert (found["host"], found["machine"], found["environment"]) == ("h", "m", "test")
    assert found["current"] == current
    assert found["good"] == [{"release": current, "revision": found["revision"], "first": current}]
    assert (found["unfinished"], found["lock"]) == (False, None)
    assert found["procfile"] == sorted(procfile.read(host.layout.releases / str(current)))
    assert "worker" in found["procfile"]
    last = found["last_release"]
    assert (last["outcome"], last["revision"]) == ("good", found["revision"])
    worker = found["workers"][1]
    assert (worker["name"], worker["unit"], worker["pid"]) == ("worker.1", ONE, os.getpid())
    assert worker["revision"] == found["revision"]


def test_what_is_cached_for_a_worker_is_not_its_memory(host: Control, system: FakeSystem) -> None:
    unit = system.loaded[ONE]._replace(memory=900 << 20, group="/system.slice/one")
    system.loaded[ONE] = unit
    account = host.layout.control_groups / "system.slice/one/memory.stat"
    for shown in (900 << 20, 84 << 20):
        assert state.report(host.layout, host.system)["workers"][1]["memory"] == shown
        storage.write(account, f"anon {84 << 20}\nfile {800 << 20}\n")


def test_when_a_machine_was_launched_is_what_its_first_boot_has_marked(
    layout: Layout, system: FakeSystem
) -> None:
    assert state.report(layout, system)["launched"] is None  # without cloud-init
    layout.first_boot.mkdir(parents=True)
    assert state.report(layout, system)["launched"] is None
    for name, at in (("config_ssh", 1_700_000_000), ("config_runcmd", 1_700_000_009)):
        (layout.first_boot / name).touch()
        os.utime(layout.first_boot / name, (at, at))
    assert state.report(layout, system)["launched"] == "2023-11-14T22:13:20Z"


def test_a_host_without_a_release_says_so(layout: Layout, system: FakeSystem) -> None:
    found = state.report(layout, system)
    assert (found["current"], found["revision"], found["workers"]) == (None, None, [])
    assert found["last_release"] is None


def test_what_an_operator_or_a_rotation_did_is_no_release(host: Control) -> None:
    ledger = Ledger(host.layout)
    ledger.record("failed", revision="f" * 40, phase="gate", reason="it ended")
    host.stop([])
    ledger.record("failed", revision="e" * 40, phase="gate", reason="it ended", by="rotation")
    last = state.report(host.layout, host.system)["last_release"]
    assert (last["outcome"], last["revision"]) == ("failed", "f" * 40)
    host.layout.history.write_text("{edited by hand\n")
    assert state.report(host.layout, host.system)["last_release"] is None


def test_a_lock_is_looked_up_and_not_tried(layout: Layout) -> None:
    assert state.lock(layout) is None
    with storage.locked(layout.lock, "release of abc"):
        held = state.lock(layout)
        assert held is not None
        assert held.startswith("release of abc, since ")
        with layout.lock.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert state.lock(layout) is None


def test_one_that_waits_for_the_lock_holds_none(layout: Layout, tmp_path: Path) -> None:
    layout.lock.touch()
    found = layout.lock.stat()
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    locks = tmp_path / "locks"
    locks.write_text(f"1: -> FLOCK  ADVISORY  WRITE 7 {where} 0 EOF\n")
    assert state.lock(layout, locks) is None
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 7 {where} 0 EOF\n")
    assert state.lock(layout, locks) == "other work"


def test_an_ended_release_says_what_runs_now(host: Control) -> None:
    text = control.end_release(host.layout, host.system, print)
    assert text == "no release runs here"
    release = host.layout.release_unit
    unit = UnitState(release, "active", "running", 1, 0, "", False)
    assert isinstance(host.system, FakeSystem)
    host.system.loaded[release] = unit
    current = Ledger(host.layout).current()
    assert control.end_release(host.layout, host.system, print) == f"ended; runs {current} now"
    host.layout.journal.touch()
    assert control.end_release(host.layout, host.system, print) == (
        "ended; satellite-shop-recover.service still puts the last good release back"
    )


def journal(host: Control) -> dict[str, object]:
    found = storage.read_json(host.layout.journal)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("words", [["worker.2", "mailer"], []], ids=["some", "all"])
def test_a_release_that_fails_leaves_stopped_what_was_stopped(
    host: Control, origin: Origin, words: list[str]
) -> None:
    good = Ledger(host.layout).current()
    host.stop(words)
    before = (running(host), wanted(host), states(host))
    with pytest.raises(ReleaseError, match="health command failed"):
        Release(host.layout, host.system, lambda _: None).run(
            request(origin, origin.commit(a="bad"), processes=TWO_TYPES, health="false")
        )
    assert Ledger(host.layout).current() == good
    assert (running(host), wanted(host), states(host)) == before
    host.start([])
    assert running(host) == {ONE, TWO, MAIL}


def test_a_worker_that_is_new_in_the_formation_was_stopped_by_nobody(
    host: Control, origin: Origin
) -> None:
    """Nor is one that goes: it is told of those that were good."""
    host.stop(["worker.2"])
    more = (TWO_TYPES[0]._replace(quantity=4),)
    with pytest.raises(ReleaseError):
        Release(host.layout, host.system, lambda _: None).run(
            request(origin, origin.commit(a="bad"), processes=more, health="false")
        )
    assert running(host) == {ONE, MAIL}


def killed_at(system: FakeSystem, wanted: Request, step: int, after: bool) -> bool:
    """Release that, killed at a step behind the one that first touches what runs; False: it was."""
    left = [lambda: step]
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):

        def begin(phase: str) -> None:
            if phase == "journal":
                left[0] = count_down(patch, system, step, after)

        release = Release(system.layout, system, lambda _: None, begin)
        release.rotate(wanted) if wanted.rotation else release.run(wanted)
    return left[0]() > 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", ["another", "the same", "rotation"])
def test_killed_at_every_step_a_stop_stays_or_the_release_is_good(
    what: str, after: bool, tmp_path: Path, origin: Origin
) -> None:
    old = request(origin, origin.commit(a="old"), processes=TWO_TYPES)
    new = request(origin, origin.commit(a="new"), processes=TWO_TYPES)
    outcomes = set()
    for step in range(1, 100):
        layout = bare(tmp_path / f"host{step}")
        system = FakeSystem(layout)
        Release(layout, system, lambda _: None).run(old)
        first = str(Ledger(layout).current())
        Control(layout, system).stop(["worker.2"])
        rotation = Rotation(("TOKEN",), first, until=10)
        by_night = old._replace(config={"TOKEN": "another"}, rotation=rotation)
        wanted = {"another": new, "the same": old, "rotation": by_night}[what]
        done = killed_at(system, wanted, step, after)
        recover(layout, system, lambda _: None, wait=False)
        last = Ledger(layout).last_good()
        assert last is not None
        running = system.running()
        assert set(running.values()) == {last.release}
        assert sorted(running) in (sorted([ONE, MAIL]), sorted([ONE, TWO, MAIL]))
        assert sorted(wants(layout)) == sorted(running), f"step {step}"
        outcomes.add((last.release == first, TWO in running))
        if done:
            break
    else:
        pytest.fail("it never came to its end")
    assert (TWO in running) == (what == "another")
    back, there = (True, False), {"another": (False, True), "the same": (True, False)}
    assert outcomes == {back, there.get(what, (False, False))}


def cut(host: Control, origin: Origin) -> None:
    """A release that was killed when its workers had been started."""

    def kill(phase: str) -> None:
        if phase == "gate":
            raise Killed

    with pytest.raises(Killed):
        Release(host.layout, host.system, lambda _: None, kill).run(
            request(origin, origin.commit(a="cut"), processes=TWO_TYPES)
        )


def test_what_a_person_does_before_the_recovery_stays_so(host: Control, origin: Origin) -> None:
    """Who waited for the lock may get it before the recovery does."""
    host.stop(["worker"])
    cut(host, origin)
    assert running(host) == {ONE, TWO, MAIL}
    host.stop(["worker.2", "mailer"])
    host.start(["worker.1"])
    recover(host.layout, host.system, lambda _: None)
    assert running(host) == {ONE}
    assert wanted(host) == [ONE]


def test_an_older_agents_journal_says_nothing_of_stops(host: Control, origin: Origin) -> None:
    host.stop(["worker"])
    cut(host, origin)
    storage.write_json(
        host.layout.journal, {k: v for k, v in journal(host).items() if k != "stopped"}
    )
    recover(host.layout, host.system, lambda _: None)
    assert running(host) == {ONE, TWO, MAIL}
    host.stop(["worker"])
    cut(host, origin)
    record = journal(host)
    del record["stopped"]
    storage.write_json(host.layout.journal, record)
    host.stop(["mailer"])
    recover(host.layout, host.system, lambda _: None)
    assert running(host) == {ONE, TWO}


def test_a_boot_starts_nothing_that_was_stopped_before_the_power_cut(
    host: Control, origin: Origin
) -> None:
    host.stop(["worker.2"])
    cut(host, origin)
    assert isinstance(host.system, FakeSystem)
    for path in host.layout.notes.glob("*.json"):  # nobody lives
        path.unlink()
    waits = UnitState("", "inactive", "dead", 0, 0, "", True)
    host.system.loaded = {name: waits._replace(name=name) for name in (ONE, TWO, MAIL)}
    recover(host.layout, host.system, lambda _: None, wait=False)
    assert host.system.waits[-1] == 0  # systemd starts them once the recovery has ended
    assert running(host) == {ONE, MAIL}
    assert TWO not in host.system.loaded


def test_what_is_asked_waits_for_a_release_for_a_while_and_does_nothing_later(
    host: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(host.system, FakeSystem)
    monkeypatch.setattr(control, "LOCK_LIMIT", 0.3)
    before = (running(host), len(host.system.calls), Ledger(host.layout).history())
    with storage.locked(host.layout.lock, "release of 0123 by ada@laptop"):
        for act in (host.stop, host.start, host.restart):
            with pytest.raises(TimeoutError) as told:
                act([])
            assert re.fullmatch(
                r"nothing was done: release of 0123 by ada@laptop, since \S+Z, holds this host; "
                r"to end a release: satellite lock release --host h",
                str(told.value),
            )
    assert (running(host), len(host.system.calls), Ledger(host.layout).history()) == before
    assert host.stop(["mailer"]).startswith("stopped mailer.1")


def test_a_release_that_ends_in_time_is_waited_for(host: Control) -> None:
    held, over = threading.Event(), threading.Event()

    def release() -> None:
        with storage.locked(host.layout.lock, "release of 0123"):
            held.set()
            over.wait(10)

    thread = threading.Thread(target=release)
    thread.start()
    assert held.wait(10)
    threading.Timer(0.3, over.set).start()
    assert host.stop(["mailer"]).startswith("stopped mailer.1")
    thread.join()
