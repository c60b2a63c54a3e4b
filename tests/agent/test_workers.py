"""Workers' notes: who is alive, who is dead, and whose jobs are given back how."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import backoff, jobs, limits, notes, storage, units, workers
from satellite_infra.agent.layout import AGENT, Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release
from satellite_infra.agent.release_manifest import Process
from satellite_infra.agent.system import CommandError, Say, UnitState
from tests.agent.conftest import FakeSystem, Killed, Origin, request
from tests.agent.test_units import MANIFEST

NOTE = notes.Note(
    name="h.m.worker.1.aa",
    type="worker",
    number=1,
    release="r1",
    shape="s",
    pid=os.getpid(),
    started=notes.process_start(os.getpid()),
    boot=notes.boot_id(),
)


class Adapter(FakeSystem):
    """Hears what is given to the queue's adapter."""

    heard: list[tuple[list[str], str]]
    down = False

    def run(
        self,
        argv: Sequence[str],
        say: Say,
        *,
        user: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | Path | None = None,
        timeout: float = 60,
    ) -> None:
        if self.down:
            raise CommandError("the database does not answer")
        assert env
        assert cwd
        self.heard.append((env["DEAD_WORKERS"].split("\n"), cwd.name))


@pytest.fixture
def adapter(layout: Layout) -> Adapter:
    for release in ("r1", "r2"):
        directory = layout.releases / release
        directory.mkdir()
        (directory / "Gemfile.lock").write_text("GEM\n    delayed_job (4.1.9)\n")
        storage.write_json(layout.config(release), {"DATABASE_URL": "postgres://db/app"})
    found = Adapter(layout)
    found.heard = []
    return found


def write(layout: Layout, *some: notes.Note) -> None:
    for note in some:
        storage.write_json(layout.notes / f"{note.name}.json", note._asdict())


def names(layout: Layout) -> list[str]:
    return [note.name for note in notes.of(layout)]


def test_a_note_is_alive_only_as_that_very_process() -> None:
    assert NOTE.alive()
    assert not NOTE._replace(started="1").alive()  # the number went to another process
    assert not NOTE._replace(boot="another boot").alive()
    with subprocess.Popen(["sleep", "60"]) as other:
        started = notes.process_start(other.pid)
        assert NOTE._replace(pid=other.pid, started=started).alive()
        other.kill()
        other.wait()
        assert not NOTE._replace(pid=other.pid, started=started).alive()


def test_a_newer_agents_note_is_read_for_what_is_known_of_it(layout: Layout) -> None:
    write(layout, NOTE)
    path = layout.notes / f"{NOTE.name}.json"
    storage.write_json(path, {**storage.read_json(path), "colour": "red"})
    assert notes.of(layout) == [NOTE]
    assert notes.live(layout) == {layout.worker_unit("worker", 1): NOTE}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"name": "x"}', '"name"', "\xff"])
def test_a_damaged_note_is_said_and_keeps_nobody_from_the_others(
    text: str, layout: Layout, adapter: Adapter
) -> None:
    write(layout, NOTE, NOTE._replace(name="dead.1", boot="old"))
    path = layout.notes / "damaged.json"
    path.write_text(text, "latin-1")
    said: list[str] = []
    assert jobs.reap(layout, adapter, said.append)
    assert said == [f"{path} cannot be read: what that worker may hold stays as it is"]
    assert adapter.heard == [(["dead.1"], "r1")]
    assert names(layout) == [NOTE.name]
    assert path.exists()


def test_where_the_state_is_not_there_nobody_is_taken_for_having_no_dead(
    layout: Layout, adapter: Adapter
) -> None:
    """Its disk may come late, and systemd tries again."""
    layout.identity.unlink()
    with pytest.raises(LookupError, match=r"host\.json is not there"):
        jobs.reap(layout, adapter, lambda _: None)


def test_jobs_of_the_dead_are_given_back_together_and_of_the_living_never(
    layout: Layout, adapter: Adapter
) -> None:
    dead = [NOTE._replace(name=f"dead.{n}", boot="old") for n in range(3)]
    write(layout, NOTE, *dead, dead[0]._replace(name="dead.of-r2", release="r2"))
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard == [(["dead.0", "dead.1", "dead.2"], "r1"), (["dead.of-r2"], "r2")]
    assert names(layout) == [NOTE.name]


def test_jobs_are_not_given_back_while_a_child_of_the_worker_may_run_them(
    layout: Layout, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell ends at once on SIGTERM; the program that it started finishes its job."""
    write(layout, NOTE._replace(name="shell.1", started="1"), NOTE._replace(name="b.1", boot="old"))
    with subprocess.Popen(["sleep", "60"], env={"WORKER_NAME": "shell.1"}) as child:
        said: list[str] = []
        assert not jobs.reap(layout, adapter, said.append)  # systemd starts it again
        assert said == ["shell.1: ended, but processes that it started still run, maybe its job"]
        assert adapter.heard == [(["b.1"], "r1")]
        end(monkeypatch, "success", "exited", "0")
        notes.ended(layout, "worker", 1, 0, adapter)
        assert adapter.calls == [("start", "--no-block", "satellite-shop-reap.service")]
        assert names(layout) == ["shell.1"]
        child.kill()
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard[1:] == [(["shell.1"], "r1")]
    assert names(layout) == []


def test_a_release_whose_config_vars_are_damaged_stops_no_other(
    layout: Layout, adapter: Adapter, origin: Origin
) -> None:
    layout.config("r1").write_text('{"TOKEN": "canary-value"')
    dead = [NOTE._replace(name=f"dead.{r}", release=r, boot="old") for r in ("r1", "r2")]
    write(layout, *dead)
    said: list[str] = []
    assert not jobs.reap(layout, adapter, said.append)
    why = (
        f"{layout.config('r1')} cannot be read: Expecting ',' delimiter: line 1 column 25 (char 24)"
    )
    assert said == [f"dead.r1: their jobs could not be given back yet: {why}"]
    assert adapter.heard == [(["dead.r2"], "r2")]
    assert names(layout) == ["dead.r1"]
    # as the release that runs now does it
    storage.point(layout.current, layout.releases / "r2")
    storage.write(layout.manifest("r2"), request(origin, origin.commit()).manifest.text())
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard[1:] == [(["dead.r1"], "r2")]


def test_a_worker_that_dies_while_others_are_reaped_is_not_forgotten(
    layout: Layout, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit that is being started is not started again: the run asks for another."""
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    run = adapter.run

    def meanwhile(*argv: Any, **named: Any) -> None:
        run(*argv, **named)
        if len(adapter.heard) == 1:
            write(layout, NOTE._replace(name="dead.2", boot="old"))

    monkeypatch.setattr(adapter, "run", meanwhile)
    assert [jobs.reap(layout, adapter, lambda _: None) for _ in range(2)] == [False, True]
    assert [heard[0] for heard in adapter.heard] == [["dead.1"], ["dead.2"]]


def test_while_the_queue_does_not_answer_the_dead_are_remembered(
    layout: Layout, adapter: Adapter
) -> None:
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    adapter.down = True
    assert not jobs.reap(layout, adapter, lambda _: None)
    assert names(layout) == ["dead.1"]
    adapter.down = False
    assert jobs.reap(layout, adapter, lambda _: None)
    assert names(layout) == []


REAPS = [("start", "--no-block", "satellite-shop-reap.service")]


def end(monkeypatch: pytest.MonkeyPatch, *how: str) -> None:
    """What systemd says of an end."""
    for name, value in zip(("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"), how, strict=True):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "how",
    [
        ("success", "exited", "0"),
        ("exit-code", "exited", "1"),
        ("signal", "killed", "KILL"),
        ("success", "killed", "TERM"),
        ("oom-kill", "exited", "0"),  # a child of it
        ("timeout", "exited", "0"),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_only_a_clean_end_is_forgotten_at_once(
    how: tuple[str, ...],
    piped: bool,
    layout: Layout,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And only of a worker itself: a shell ends well whatever befell what it ran first."""
    end(monkeypatch, *how)
    write(layout, NOTE._replace(name="dead.1", started="1"))
    if piped:
        storage.write(notes.piped(layout, "dead.1"), "")
    notes.ended(layout, "worker", 1, 0, system)
    clean = how == ("success", "exited", "0") and not piped
    assert names(layout) == ([] if clean else ["dead.1"])
    assert system.calls == ([] if clean else REAPS)
    jobs.reap(layout, system, lambda _: None)
    assert not list(layout.notes.iterdir())


def stop(layout: Layout, place: Path, main: str) -> None:
    """What a worker's unit runs when it is told to end, or has ended by itself."""
    text = units.render(MANIFEST, [])[0].content
    line = next(line for line in text.splitlines() if line.startswith("ExecStop="))
    line = line.replace("%n", layout.worker_unit("worker", 1)).replace("$$", "$")
    line = line.replace("/proc/", f"{place}/").replace(str(Layout("shop").run), str(layout.run))
    subprocess.run(shlex.split(line.partition("-")[2]), check=False, env={"MAINPID": main})


@pytest.mark.parametrize("main", ["7", ""], ids=["told", "by itself"])
@pytest.mark.parametrize("child", [False, True])
def test_a_worker_that_ends_well_and_was_not_alone_is_reaped(
    main: str,
    child: bool,
    layout: Layout,
    system: FakeSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its child has been told to end, too, and may have left its job."""
    unit = layout.worker_unit("worker", 1)
    monkeypatch.setattr(notes, "PROC", tmp_path / "proc")
    process(tmp_path / "proc", 1, 1)
    process(tmp_path / "proc", 20, 100, layout.worker_unit("worker", 2))
    if main:
        process(tmp_path / "proc", int(main), 100, unit)
    if child:
        process(tmp_path / "proc", 30, 100, unit)
    stop(layout, tmp_path / "proc", main)
    for pid in ("7", "30"):
        shutil.rmtree(tmp_path / "proc" / pid, ignore_errors=True)
    end(monkeypatch, "success", "exited", "0")
    # the next one is another's end, of which nothing is noted
    for calls in (REAPS if child else [], []):
        system.calls.clear()
        write(layout, NOTE._replace(name="dead.1", pid=7, started="1"))
        notes.ended(layout, "worker", 1, 0, system)
        assert (names(layout), system.calls) == (["dead.1"] if calls else [], calls)


def post(layout: Layout, place: Path, how: str, invocation: str = "now") -> bool:
    """What a worker's unit runs at its end; whether that asks the agent.

    `how`: what systemd says of it, in three words. It is itself in the unit's control group.
    """
    unit, asked = layout.worker_unit("worker", 1), layout.root / "asked"
    text = units.render(MANIFEST, [])[0].content
    line = next(line for line in text.splitlines() if line.startswith("ExecStopPost="))
    for written, meant in (("%n", unit), ("$$", "$"), ("%%", "%"), ("/proc/", f"{place}/")):
        line = line.replace(written, meant)
    line = line.replace(str(Layout("shop").run), str(layout.run)).replace(AGENT, f"touch {asked};:")
    group = f"0::/system.slice/{unit}"
    own = f'mkdir -p {place}/$$; echo "{group}" >{place}/$$/cgroup; exec "$@"'
    told = dict(zip(("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"), how.split(), strict=True))
    subprocess.run(
        ["/bin/sh", "-c", own, "sh", *shlex.split(line.partition("-")[2])],
        check=False,
        env={**told, "INVOCATION_ID": invocation, "PATH": os.environ["PATH"]},
    )
    found = asked.exists()
    asked.unlink(missing_ok=True)
    return found


CLEAN = "success exited 0"


@pytest.mark.parametrize(
    ("how", "invocation", "child", "waits", "left"),
    [
        (CLEAN, "now", "", True, True),
        (CLEAN, "now", "dead", True, True),  # and not waited for yet
        (CLEAN, "now", "alive", True, False),
        (CLEAN, "another", "", True, False),  # of the unit's start after that
        (CLEAN, "now", "", False, False),
        ("exit-code exited 1", "now", "", True, False),
        ("success killed TERM", "now", "", True, False),
        ("oom-kill exited 0", "now", "", True, False),
    ],
)
def test_a_clean_end_is_left_to_the_next_start_where_somebody_waits_for_that(
    how: str,
    invocation: str,
    child: str,
    waits: bool,
    left: bool,
    layout: Layout,
    system: FakeSystem,
    tmp_path: Path,
) -> None:
    unit, place = layout.worker_unit("worker", 1), tmp_path / "proc"
    if child:
        process(place, 30, 100, unit)
    if child == "alive":
        (place / "30" / "exe").symlink_to("/bin/sh")
    if waits:
        process(place, os.getpid(), 100)
    write(layout, NOTE._replace(invocation="now"))
    names = [unit, layout.worker_unit("worker", 2)]
    storage.write(layout.stops / f"{names[1]}.anew", "now 1")  # of one who was killed
    with notes.awaited(layout, names, notes.live(layout), system):
        assert post(layout, place, how, invocation)  # whoever notes what else ran there has failed
        storage.write(layout.stops / unit, "told\n/proc/30/cgroup\n")
        assert post(layout, place, how, invocation) is not left
        found = notes.left_to_start(layout, unit)
        assert (found.read_text() if left else "") == "now\ntold\n/proc/30/cgroup\n.\n" * left
    assert post(layout, place, how, invocation)
    storage.remove(layout.stops / unit)
    assert sorted(path.name for path in layout.stops.iterdir()) == [f"{unit}.left"] * left


@pytest.mark.parametrize("child", [False, True], ids=["alone", "a child elsewhere"])
@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("said", ["told\n.", "told\n/proc/30/cgroup\n.", "told\n", ""])
def test_a_worker_that_starts_looks_at_the_end_that_was_left_to_it(
    child: bool,
    piped: bool,
    said: str,
    layout: Layout,
    adapter: Adapter,
) -> None:
    """As the program at its end does: what may have left a job is asked for; or was cut off."""
    unit = layout.worker_unit("worker", 1)
    write(layout, NOTE._replace(name="dead.1", started="1", invocation="now"))
    storage.write(layout.stops / unit, "told")
    storage.write(notes.left_to_start(layout, unit), f"now\n{said}")
    if piped:
        storage.write(notes.piped(layout, "dead.1"), "")
    backoff.count(layout, unit, 0)
    with contextlib.ExitStack() as stack:
        if child:
            other = subprocess.Popen(["sleep", "60"], env={"WORKER_NAME": "dead.1"})
            stack.enter_context(other)
            stack.callback(other.kill)
        notes.left_end(layout, "worker", 1, 0, adapter)
    clean = not child and not piped and said == "told\n."
    assert (names(layout), adapter.calls) == (([], []) if clean else (["dead.1"], REAPS))
    assert not list(layout.stops.iterdir())
    assert backoff.ends(layout, unit) == 0
    adapter.calls.clear()
    notes.left_end(layout, "worker", 1, 0, adapter)
    assert adapter.calls == ([] if clean else REAPS)


@pytest.mark.parametrize("where", ["before it looks", "as it asks", "in its own end"])
def test_what_a_start_that_is_killed_has_not_looked_at_or_asked_for_is_asked_for_later(
    where: str, layout: Layout, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has become of the worker's child by then."""
    left = notes.left_to_start(layout, layout.worker_unit("worker", 1))
    write(layout, NOTE._replace(name="dead.1", started="1", invocation="now"))
    storage.write(left, "now\ntold\n.\n")

    def killed(*_: object) -> str:
        raise Killed

    with subprocess.Popen(["sleep", "60"], env={"WORKER_NAME": "dead.1"}) as child:
        if where != "before it looks":
            monkeypatch.setattr(adapter, "systemctl", killed)
            with pytest.raises(Killed):
                notes.left_end(layout, "worker", 1, 0, adapter)
            monkeypatch.undo()
        if where != "as it asks":
            end(monkeypatch, "signal", "killed", "KILL")
            notes.ended(layout, "worker", 1, 0, adapter)
            assert adapter.calls == REAPS
            adapter.calls.clear()
        child.kill()
    notes.left_end(layout, "worker", 1, 0, adapter)
    assert (names(layout), adapter.calls) == (["dead.1"], REAPS)
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard == [(["dead.1"], "r1")]
    assert not list(layout.stops.iterdir())


def test_a_start_that_systemd_does_not_hear_goes_on(
    layout: Layout, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than it executes itself anew."""

    def deaf(*argv: str) -> str:
        raise CommandError("Connection refused")

    write(layout, NOTE._replace(name="dead.1", started="1"))
    monkeypatch.setattr(system, "systemctl", deaf)
    notes.left_end(layout, "worker", 1, 0, system)
    assert names(layout) == ["dead.1"]


@pytest.mark.parametrize("this", ["before", "", "\n"])
def test_an_end_that_was_left_is_of_that_very_start(
    this: str, layout: Layout, system: FakeSystem
) -> None:
    write(layout, NOTE._replace(name="dead.1", started="1", invocation="now"))
    write(layout, NOTE._replace(name="dead.2", started="1", boot="old", invocation=this.strip()))
    storage.write(notes.left_to_start(layout, layout.worker_unit("worker", 1)), f"{this}\n.")
    notes.left_end(layout, "worker", 1, 0, system)
    assert names(layout) == (["dead.1"] if this == "before" else ["dead.1", "dead.2"])
    assert system.calls == REAPS


@pytest.mark.parametrize(
    ("lock", "on_kill", "reaped"),
    [("", "", False), ("", "./free", True), ("GEM\n  delayed_job (4.1)\n", "", True)],
)
def test_of_whose_jobs_nobody_can_be_told_the_note_goes_at_once(
    lock: str,
    on_kill: str,
    reaped: bool,
    layout: Layout,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = layout.releases / NOTE.release
    release.mkdir(parents=True, exist_ok=True)
    (release / "Gemfile.lock").write_text(lock)
    storage.write(layout.stops / layout.worker_unit("worker", 1), "told\n/proc/30/cgroup\n")
    write(layout, NOTE._replace(name="dead.1", started="1", on_kill=on_kill))
    end(monkeypatch, "success", "exited", "0")
    notes.ended(layout, "worker", 1, 0, system)
    assert (names(layout), system.calls) == ((["dead.1"], REAPS) if reaped else ([], []))


def test_an_end_that_was_asked_for_is_no_early_one(
    layout: Layout, system: FakeSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a worker that SIGTERM ends, or that is killed at the end of its grace."""
    unit = layout.worker_unit("worker", 1)
    for how, main, ends in (
        (("signal", "killed", "KILL"), None, 1),
        (("success", "killed", "TERM"), "", 2),  # by somebody else than systemd
        (("success", "killed", "TERM"), "7", 0),
        (("timeout", "killed", "KILL"), "7", 0),
        (("signal", "killed", "KILL"), None, 1),
    ):
        if main is not None:
            stop(layout, tmp_path / "proc", main)
        end(monkeypatch, *how)
        write(layout, NOTE._replace(name="dead.1", started="1", since=time.monotonic()))
        notes.ended(layout, "worker", 1, 0, system)
        assert backoff.ends(layout, unit) == ends
        assert names(layout) == ["dead.1"]


def test_a_clean_end_forgets_nobody_who_was_killed_before(
    layout: Layout, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue has not answered since: what they held is locked still."""
    killed = NOTE._replace(name="killed.1", started="2"), NOTE._replace(name="killed.0", boot="old")
    write(layout, *killed)
    adapter.down = True
    assert not jobs.reap(layout, adapter, lambda _: None)
    write(layout, NOTE._replace(name="clean.1", started="10"))
    end(monkeypatch, "success", "exited", "0")
    # the second time as where somebody has given back for it before its end was noted
    for _ in range(2):
        notes.ended(layout, "worker", 1, 0, adapter)
        assert names(layout) == ["killed.0", "killed.1"]
    assert adapter.calls == REAPS * 2
    adapter.down = False
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard == [(["killed.0", "killed.1"], "r1")]


@pytest.mark.parametrize("shell", ["{}; true", "{}\ntrue", "{} | cat", "{} || true", "{} & wait"])
def test_a_shell_that_ends_well_although_its_worker_was_killed_is_known(shell: str) -> None:
    worker = "sh -c 'kill -KILL $$'"
    assert not workers.PIPED.search(worker)
    command = shell.format(worker)
    assert subprocess.run(["bash", "-c", command], check=False).returncode == 0
    assert workers.PIPED.search(command)


ROOT = "/lxc/h"
"""Where a system that runs in a container has its control groups."""


def process(place: Path, pid: int, started: int, unit: str = "", root: str = ROOT) -> None:
    """One that the kernel tells of."""
    own = place / str(pid)
    own.mkdir(parents=True)
    (own / "stat").write_text(f"{pid} (a b) S {'0 ' * 18}{started} 0\n")
    (own / "environ").write_text("")
    below = f"system.slice/system-satellite\\x2dshop.worker.slice/{unit}" if unit else "init.scope"
    group = f"{root}/{below}"
    (own / "cgroup").write_text(f"2:memory:/\n1:name=systemd:{group}\n0::{group}\n")


def test_what_is_left_of_a_worker_is_in_its_control_group(
    layout: Layout, adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have set a title of its own where its name stood."""
    unit = layout.worker_unit("worker", 1)
    write(layout, NOTE._replace(name="dead.1", pid=7))
    monkeypatch.setattr(notes, "PROC", tmp_path / "proc")
    process(tmp_path / "proc", 1, 1)
    process(tmp_path / "proc", 20, 100, layout.worker_unit("worker", 2))
    process(tmp_path / "proc", 21, 100, unit, f"{ROOT}/system.slice/container")
    process(tmp_path / "proc", 22, 100, unit, "/other")
    process(tmp_path / "proc", 30, 100, unit)
    said: list[str] = []
    assert not jobs.reap(layout, adapter, said.append)
    assert adapter.heard == []
    # what notes its end is nothing that is left, either
    process(tmp_path / "proc", 35, 200, unit)
    process(tmp_path / "proc", 36, 201, unit)
    ending = UnitState(unit, "deactivating", "stop-post", 0, 1, "", False, control=35)
    adapter.loaded[unit] = ending
    (tmp_path / "proc/30").rename(tmp_path / "thirty")
    write(layout, NOTE._replace(name="dead.0", pid=6))
    assert notes.outlived(layout, notes.of(layout), {unit: 200.0}) == set()
    (tmp_path / "thirty").rename(tmp_path / "proc/30")
    for pid in ("35", "36"):
        shutil.rmtree(tmp_path / "proc" / pid)
    storage.remove(layout.notes / "dead.0.json")
    # started anew in the same group, which nothing is left of that is older
    state = UnitState(unit, "active", "running", 40, 1, "", False)
    adapter.loaded[unit] = state
    process(tmp_path / "proc", 40, 300, unit)
    process(tmp_path / "proc", 41, 310, unit)
    assert not jobs.reap(layout, adapter, said.append)
    shutil.rmtree(tmp_path / "proc/30")
    assert jobs.reap(layout, adapter, said.append)
    assert adapter.heard == [(["dead.1"], "r1")]


def test_a_worker_that_ended_well_and_left_something_in_its_group_is_reaped(
    layout: Layout, system: FakeSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(monkeypatch, "success", "exited", "0")
    monkeypatch.setattr(notes, "PROC", tmp_path / "proc")
    unit = layout.worker_unit("worker", 1)
    process(tmp_path / "proc", 1, 1)
    process(tmp_path / "proc", os.getppid(), 399, unit)  # the shell around the very program
    process(tmp_path / "proc", os.getpid(), 400, unit)
    for left in (True, False):
        write(layout, NOTE._replace(name="dead.1", pid=7))
        if left:
            process(tmp_path / "proc", 30, 100, unit)
        notes.ended(layout, "worker", 1, 0, system)
        assert (names(layout), system.calls) == ((["dead.1"], REAPS) if left else ([], []))
        system.calls.clear()
        shutil.rmtree(tmp_path / "proc/30", ignore_errors=True)


def test_what_fails_as_it_was_is_tried_as_it_is_now(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    """The password that they had is revoked by then, or their command was mended since."""
    now = (
        Process("worker", 1, on_kill='[ "$TOKEN" = canary-value ] && echo $DEAD_WORKERS $A'),
        Process("mailer", 1, on_kill="exit 4", env={"A": "b"}),
    )
    Release(layout, system, lambda _: None).run(request(origin, origin.commit(), processes=now))
    (layout.releases / "r1").mkdir()
    storage.write_json(layout.config("r1"), {"TOKEN": "revoked"})
    dead = NOTE._replace(boot="old", on_kill="exit 3")
    write(
        layout,
        dead._replace(name="dead.worker", on_kill=now[0].on_kill),
        dead._replace(name="dead.mailer", type="mailer"),
        dead._replace(name="dead.gone", type="gone", on_kill=now[0].on_kill),
    )
    said: list[str] = []
    assert not jobs.reap(layout, system, said.append)
    assert [name for name in names(layout) if name.startswith("dead.")] == ["dead.mailer"]
    assert [line for line in said if " could not " not in line] == ["dead.gone dead.worker"]


def test_what_fails_once_is_asked_again_where_the_release_that_runs_has_no_adapter(
    layout: Layout, adapter: Adapter, origin: Origin
) -> None:
    """That knows of no queue: it has given nothing back."""
    (layout.releases / "r2/Gemfile.lock").write_text("GEM\n    sidekiq (7.0.0)\n")
    storage.point(layout.current, layout.releases / "r2")
    storage.write(layout.manifest("r2"), request(origin, origin.commit()).manifest.text())
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    adapter.down = True
    assert not jobs.reap(layout, adapter, lambda _: None)
    assert names(layout) == ["dead.1"]
    adapter.down = False
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard == [(["dead.1"], "r1")]
    assert names(layout) == []


def test_where_the_database_is_another_by_now_both_are_asked(
    layout: Layout, adapter: Adapter, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that was promoted has the same locks."""
    storage.point(layout.current, layout.releases / "r2")
    storage.write(layout.manifest("r2"), request(origin, origin.commit()).manifest.text())
    dead = NOTE._replace(name="dead.1", started="1")

    def heard(own: str, url: str) -> list[str]:
        for release, each in (("r1", own), ("r2", url)):
            storage.write_json(layout.config(release), {"DATABASE_URL": each})
        adapter.heard.clear()
        # a clean end, too, has given back in its own alone
        write(layout, dead)
        adapter.calls.clear()
        end(monkeypatch, "success", "exited", "0")
        notes.ended(layout, "worker", 1, 0, adapter)
        clean = not names(layout)
        assert adapter.calls == ([] if clean else REAPS)
        write(layout, dead)
        assert jobs.reap(layout, adapter, lambda _: None)
        assert names(layout) == []
        assert clean == (len(adapter.heard) == 1)
        return [release for _, release in adapter.heard]

    old = "postgres://u:p@db:5432/app?sslmode=require"
    assert heard(old, old) == ["r1"]
    assert heard(old, "postgresql://v:another@db:5432/app") == ["r1"]
    for url in ("postgres://u:p@new:5432/app", "postgres://u:p@db:5433/app", "postgres://db/b"):
        assert heard(old, url) == ["r1", "r2"]
    socket = "postgres:///app?pool=5&host=%2Frun%2Fa"
    assert heard(socket, "postgres:///app?host=/run/a") == ["r1"]
    for url in ("postgres:///app?host=/run/b", "postgres:///app?host=/run/a&port=5433"):
        assert heard(socket, url) == ["r1", "r2"]
    # the new one does not answer: its jobs are not forgotten, and asked for again
    run = adapter.run

    def silent(*argv: Any, **named: Any) -> None:
        if named["cwd"].name == "r2":
            raise CommandError("the database does not answer")
        run(*argv, **named)

    write(layout, dead)
    monkeypatch.setattr(adapter, "run", silent)
    assert not jobs.reap(layout, adapter, lambda _: None)
    assert names(layout) == ["dead.1"]


def test_a_command_is_asked_as_each_release_has_it_where_a_url_leads_elsewhere(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    processes = (Process("worker", 0, on_kill="echo now $QUEUE $DEAD_WORKERS"),)
    Release(layout, system, lambda _: None).run(
        request(origin, origin.commit(), processes=processes)
    )
    current = str(Ledger(layout).current())
    (layout.releases / "r1").mkdir()
    here, key, there = "redis://:k@a/0", "redis://:new@a/0", "redis://:k@b/0"
    own = "own [QUEUE] dead.1"
    for theirs, told in ((key, [own]), (there, [own, "now [QUEUE] dead.1"])):
        storage.write_json(layout.config("r1"), {"QUEUE": here, "LOG_LEVEL": "info"})
        storage.write_json(layout.config(current), {"QUEUE": theirs, "LOG_LEVEL": "debug"})
        write(layout, NOTE._replace(name="dead.1", boot="old", on_kill="echo own $QUEUE dead.1"))
        said: list[str] = []
        assert jobs.reap(layout, system, said.append)
        assert said == told
        assert names(layout) == []


def test_a_worker_that_starts_asks_for_what_nobody_could_ask_for_at_its_last_end(
    layout: Layout, system: FakeSystem
) -> None:
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    for number, calls in ((2, []), (1, REAPS)):
        with pytest.raises(LookupError, match="there is no release to run"):
            workers.work(layout, "worker", number, 0, system)
        assert system.calls == calls


class BegunError(Exception):
    """The worker has become the app's."""


@pytest.mark.parametrize("due", [False, True])
@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EROFS])
def test_on_a_full_disk_a_worker_takes_the_room_that_is_held(
    cause: int,
    due: bool,
    layout: Layout,
    system: FakeSystem,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not while a way back may need it."""
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    for path in layout.notes.iterdir():
        path.unlink()
    if due:
        layout.journal.touch()
    write_all = storage.write

    def full(path: Path, content: str, mode: int = 0o600) -> bool:
        if path.parent == layout.notes and (cause != errno.ENOSPC or layout.reserve.exists()):
            raise OSError(cause, os.strerror(cause))
        return write_all(path, content, mode)

    def begun(_user: str) -> None:
        raise BegunError

    monkeypatch.setattr(storage, "write", full)
    monkeypatch.setattr(workers, "become", begun)
    monkeypatch.setattr(workers, "user_environment", lambda *_: {})
    helped = cause == errno.ENOSPC and not due
    with pytest.raises(BegunError if helped else OSError):
        workers.work(layout, "worker", 1, 0, system)
    assert (len(names(layout)), layout.reserve.exists()) == (int(helped), not helped)
    assert notes.unnoted(layout, layout.worker_unit("worker", 1)).exists() is not helped


def test_ends_in_a_row_are_counted_and_said(
    layout: Layout,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    unit = layout.worker_unit("worker", 1)

    def after(result: str, code: str, status: str, ran: float | None) -> int:
        end(monkeypatch, result, code, status)
        if ran is not None:
            write(layout, NOTE._replace(name="dead.1", started="1", since=time.monotonic() - ran))
        notes.ended(layout, "worker", 1, 0, system)
        return backoff.ends(layout, unit)

    many = [after("oom-kill", "killed", "KILL", ran) for ran in (2, 2, 300, 2)]
    assert many == [1, 2, 1, 2]
    assert capsys.readouterr().out == "ended after 2 s (oom-kill), 2 times in a row\n" * 2
    assert after("success", "exited", "0", 2) == 0
    # a boot's clock says nothing of another's
    write(layout, NOTE._replace(name="dead.0", boot="old", since=time.monotonic() + 9000))
    assert after("oom-kill", "killed", "KILL", 300) == 1
    assert after("oom-kill", "killed", "KILL", 300) == 1
    assert after("success", "exited", "0", 2) == 0
    # of one that could not write its note there is none, and another's before it tells nothing
    write(layout, NOTE._replace(name="dead.1", started="1", invocation="of another start"))
    many = []
    for _ in range(3):
        storage.write(notes.unnoted(layout, unit), "")
        many.append(after("exit-code", "exited", "1", None))
    assert many == [1, 2, 3]
    # whoever gives back came first: nobody knows how long that one ran
    assert after("oom-kill", "killed", "KILL", None) == 3
    assert after("success", "exited", "0", 2) == 0
    # one that a signal ended while it waited to be started is no worker that ended
    storage.remove(layout.notes / "dead.1.json")
    monkeypatch.setenv("EXIT_CODE", "killed")
    notes.ended(layout, "worker", 1, 0, system)
    assert backoff.ends(layout, unit) == 0


def test_shape_is_what_a_restart_would_change() -> None:
    process = Process("worker", 1, command="a", grace=5)
    same = process._replace(quantity=9, grace=60)
    assert workers.shape("r1", process) == workers.shape("r1", same)
    for told in (process._replace(signal="INT"), process._replace(signal_to="main")):
        assert workers.shape("r1", process) == workers.shape("r1", told)
    changes = ({"command": "b"}, {"memory_max": "1G"}, {"cpu": "50%"}, {"env": {"A": "b"}})
    for change in (*changes, {"on_kill": "c"}):
        other = process._replace(**change)
        assert workers.shape("r1", process) != workers.shape("r1", other)
    assert workers.shape("r1", process) != workers.shape("r2", process)


def test_a_worker_that_an_earlier_agent_started_is_left_alone() -> None:
    """Its shape as it stood in notes before there were cpu, env and on_kill; and its note."""
    process = Process("worker", 1, command="a")
    assert workers.shape("r1", process) == "80c66d337afe33fd"
    # but not one whose limits were in the unit file, for they are gone from there
    assert workers.shape("r1", process._replace(memory_max="1G")) != "0a7c8f26a02da4cc"
    later = ("on_kill", "env", "invocation")
    earlier = {k: v for k, v in NOTE._asdict().items() if k not in later}
    assert notes.Note(**earlier) == NOTE


def test_limits_are_the_units_own_and_go_with_the_next_start(
    layout: Layout, system: FakeSystem
) -> None:
    unit, process = layout.worker_unit("worker", 1), Process("worker", 1)
    limits.apply(layout, unit, process, system)
    assert system.calls == []
    limits.apply(layout, unit, process._replace(memory_max="1G", cpu="50%"), system)
    there = layout.runtime_units / f"{unit}.d"
    there.mkdir(parents=True)  # as systemd does
    limits.apply(layout, unit, process._replace(cpu="20%"), system)
    limits.apply(layout, unit, process, system)
    begin = ("set-property", "--runtime", "--", unit)
    assert system.calls == [
        (*begin, "MemoryMax=1G", "CPUQuota=50%"),
        (*begin, "MemoryMax=infinity", "CPUQuota=20%"),
        (*begin, "MemoryMax=infinity", "CPUQuota="),
    ]
    system.calls.clear()
    limits.lift(layout, [unit, layout.worker_unit("worker", 2)], system)
    assert system.calls == [(*begin, "MemoryMax=infinity", "CPUQuota=")]


def test_on_kill_runs_in_the_release_with_the_variables_that_the_dead_had(
    layout: Layout, system: FakeSystem
) -> None:
    directory = layout.releases / "r1"
    directory.mkdir()
    storage.write_json(layout.config("r1"), {"QUEUE": "low", "TOKEN": "canary-value"})
    command = 'echo "$PWD $QUEUE ${#TOKEN} $TOKEN" $DEAD_WORKERS'
    dead = NOTE._replace(boot="old", on_kill=command)
    mail = {"QUEUE": "mail"}
    write(
        layout,
        *(dead._replace(name=f"dead.{n}") for n in (1, 2)),
        dead._replace(name="dead.mailer", env=mail),
        dead._replace(name="dead.failing", on_kill="exit 3"),
    )
    said: list[str] = []
    assert not jobs.reap(layout, system, said.append)
    assert said == [
        f"{directory} low 12 [TOKEN] dead.1 dead.2",
        "dead.failing: their jobs could not be given back yet: "
        "`/bin/bash -c exit 3` ended with status 3",
        f"{directory} mail 12 [TOKEN] dead.mailer",
    ]
    assert names(layout) == ["dead.failing"]  # and systemd tries again


def test_jobs_of_another_machine_are_given_back_by_what_its_names_begin_with(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    command = 'echo "$DEAD_WORKERS $KIND $TOKEN"'
    processes = (
        Process("worker", 1, on_kill=command, env={"KIND": "a"}),
        Process("mailer", 1, on_kill=command, env={"KIND": "b"}),  # such as one with its own spool
        # the same queue: once is enough
        Process("second", 1, command="sleep 9", on_kill=command, env={"KIND": "b"}),
    )
    wanted = request(origin, origin.commit(), processes=processes)
    Release(layout, system, lambda _: None).run(wanted)
    said: list[str] = []
    done = jobs.of_machine(layout, "h", "i-old", system, said.append)
    assert done == "jobs of h, machine i-old, were given back"
    assert said == ["h.i-old. a [TOKEN]", "h.i-old. b [TOKEN]"]
    fails = (Process("clock", 1, command="sleep 9", on_kill="exit 3"), *processes)
    Release(layout, system, lambda _: None).run(request(origin, origin.commit(), processes=fails))
    said.clear()
    with pytest.raises(CommandError, match="status 3"):
        jobs.of_machine(layout, "h", "i-old", system, said.append)
    assert said == ["h.i-old. a [TOKEN]", "h.i-old. b [TOKEN]"]  # whatever is with the others
    plain = request(origin, origin.commit(), processes=(Process("worker", 1),))
    Release(layout, system, lambda _: None).run(plain)
    done = jobs.of_machine(layout, "h", "i-old", system, said.append)
    assert done == "jobs of h, machine i-old, stay as they are: no adapter for their queue"


def test_jobs_of_this_machine_are_not_given_back_as_a_whole(
    layout: Layout, system: FakeSystem
) -> None:
    with pytest.raises(LookupError, match="this is h, machine m, and its workers may live"):
        jobs.of_machine(layout, "h", "m", system, lambda _: None)
    with pytest.raises(LookupError, match="points nowhere"):
        jobs.of_machine(layout, "other", "m", system, lambda _: None)


def test_jobs_are_given_back_elsewhere_while_their_release_is_removed(
    layout: Layout, adapter: Adapter
) -> None:
    storage.remove(layout.config("r1"))  # what goes first
    storage.point(layout.current, layout.releases / "r2")
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    assert jobs.reap(layout, adapter, lambda _: None)
    assert adapter.heard == [(["dead.1"], "r2")]


@pytest.mark.parametrize("config", [{}, {"DATABASE_URL": ""}])
def test_without_a_url_of_the_database_it_is_said_and_nobody_is_forgotten(
    config: dict[str, str], layout: Layout, adapter: Adapter
) -> None:
    storage.write_json(layout.config("r1"), config)
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    said: list[str] = []
    assert not jobs.reap(layout, adapter, said.append)
    assert said == [f"dead.1: their jobs could not be given back yet: {jobs.NO_URL}"]
    assert (adapter.heard, names(layout)) == ([], ["dead.1"])
    env = {"DATABASE_URL": "postgres://db/app"}  # of their type alone
    write(layout, NOTE._replace(name="dead.1", boot="old", env=env))
    assert jobs.reap(layout, adapter, said.append)
    assert adapter.heard == [(["dead.1"], "r1")]


@pytest.mark.parametrize("lock", [b"", b"# not UTF-8: \xff\n"])
def test_an_app_without_an_adapter_is_forgotten_and_said(
    lock: bytes, layout: Layout, system: FakeSystem
) -> None:
    (layout.releases / "r1").mkdir(parents=True)
    (layout.releases / "r1" / "Gemfile.lock").write_bytes(lock)
    storage.write_json(layout.config("r1"), {})
    write(layout, NOTE._replace(name="dead.1", boot="old"))
    said: list[str] = []
    assert jobs.reap(layout, system, said.append)
    assert said == ["dead.1: ended; no adapter for their queue"]
    assert names(layout) == []
