"""What an example's worker does with jobs, signals and kills: the programs themselves, no host."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.waiting import wait_until
from satellite_infra.agent import procfile
from tests.examples.example import EXAMPLES, PYTHON, SHELL, Event, Example, events

LONG = 600  # seconds; a job that never ends by itself here
NAME = "host.i-1.worker.1."


@dataclass
class Released:
    """An example in a directory, built, with a spool of its own."""

    example: Example
    directory: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """A worker of that name, as a host starts it: in a group of its own, by the Procfile."""
        command = procfile.parse((self.directory / "Procfile").read_text())["worker"]
        argv = ["/bin/bash", "-c", command]
        env = self.env(WORKER_NAME=name)
        worker = subprocess.Popen(argv, cwd=self.directory, env=env, start_new_session=True)
        self.processes.append(worker)
        return worker

    def run(self, command: str, **env: str) -> str:
        """What a command prints."""
        argv = ["/bin/bash", "-c", command]
        done = subprocess.run(
            argv, cwd=self.directory, env=self.env(**env), check=True, stdout=subprocess.PIPE
        )
        return done.stdout.decode().strip()

    def put(self, seconds: float = 0) -> str:
        return self.run(self.example.put_command(seconds))

    def give_back(self, *dead: str) -> list[str]:
        """The ids of the jobs that `on_kill` says it gave back."""
        command = self.example.settings()["processes"]["worker"]["on_kill"]
        lines = self.run(command, DEAD_WORKERS="\n".join(dead)).splitlines()
        return [line.removesuffix(" is new again") for line in lines]

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory / "home"), **more}

    def there(self, state: str) -> list[str]:
        """The jobs in that state."""
        return sorted(path.name for path in (self.directory / "home/spool" / state).glob("*"))

    def log(self) -> list[Event]:
        path = self.directory / "log/jobs.log"
        return events(path.read_text(encoding="utf-8")) if path.exists() else []


@pytest.fixture(params=[PYTHON, SHELL], ids=lambda example: str(example.folder))
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Released]:
    released = Released(request.param, tmp_path / "release")
    shutil.copytree(EXAMPLES / request.param.folder, released.directory)
    (released.directory / "REVISION").write_text("abc123\n")
    for command in request.param.settings().get("build", []):
        released.run(command)
    yield released
    for worker in released.processes:
        if worker.poll() is None:
            end(worker, signal.SIGKILL)


def end(worker: subprocess.Popen[bytes], with_signal: signal.Signals) -> int:
    """Signal each process of the worker, as systemd does; its status."""
    os.killpg(worker.pid, with_signal)
    return worker.wait(60)


def test_two_workers_do_each_job_once(app: Released) -> None:
    jobs = [app.put() for _ in range(8)]
    assert jobs == sorted(jobs) == app.there("new")
    names = {NAME + "a", NAME + "b"}
    workers = [app.start(name) for name in sorted(names)]
    while {event.worker for event in app.log()} != names:
        jobs.append(app.put(0.1))  # one of them may do all while the other starts
    wait_until("all are done", lambda: app.there("done") == jobs)
    assert [end(worker, signal.SIGTERM) for worker in workers] == [0, 0]
    found = [(event.what, event.job) for event in app.log()]
    assert sorted(found) == sorted((what, job) for what in ("start", "finish") for job in jobs)
    assert {event.revision for event in app.log()} == {"abc123"}
    assert app.there("new") == app.there("running") == app.there("failed") == []


def test_sigterm_ends_a_worker_after_the_job_at_hand(app: Released) -> None:
    job, later = app.put(1.5), app.put()
    worker = app.start(NAME + "a")
    wait_until("it has the job", lambda: app.log())
    assert app.there("running") == [f"{job}@{NAME}a"]
    assert end(worker, signal.SIGTERM) == 0
    assert app.log() == [Event(what, job, NAME + "a", "abc123") for what in ("start", "finish")]
    assert (app.there("done"), app.there("new"), app.there("running")) == ([job], [later], [])


def test_sigterm_ends_an_idle_worker(app: Released) -> None:
    worker = app.start(NAME + "a")
    job = app.put()
    wait_until("it works", lambda: app.there("done") == [job])
    assert end(worker, signal.SIGTERM) == 0


def test_what_a_killed_worker_held_is_done_by_another(app: Released) -> None:
    job = app.put(1.5)
    worker = app.start(NAME + "a")
    wait_until("it has the job", lambda: app.log())
    end(worker, signal.SIGKILL)
    assert app.there("running") == [f"{job}@{NAME}a"]
    # not by a name that only begins alike
    assert app.give_back(NAME + "b", NAME.rstrip(".")) == []
    assert app.give_back(NAME + "b", NAME + "a") == [job]
    assert app.give_back(NAME + "a") == []
    app.start(NAME + "b")
    wait_until("it is done", lambda: app.there("done") == [job])
    wait_until("the log says so", lambda: len(app.log()) == 3)
    assert [(event.what, event.worker) for event in app.log()] == [
        ("start", NAME + "a"),
        ("start", NAME + "b"),
        ("finish", NAME + "b"),
    ]


def test_what_a_lost_machine_held_is_given_back_by_how_its_names_begin(app: Released) -> None:
    jobs = [app.put(LONG) for _ in range(3)]
    names = ["host.i-1.worker.1.a", "host.i-1.worker.2.b", "host.i-10.worker.1.c"]
    workers = [app.start(name) for name in names]
    wait_until("all are held", lambda: len(app.log()) == 3)
    for worker in workers:
        end(worker, signal.SIGKILL)
    held = {event.worker: event.job for event in app.log()}
    assert sorted(app.give_back("host.i-1.")) == sorted(held[name] for name in names[:2])
    assert app.there("running") == [f"{held[names[2]]}@{names[2]}"]
    assert sorted([held[names[2]], *app.there("new")]) == jobs


def test_a_job_that_fails_is_put_aside(app: Released) -> None:
    bad = app.put()
    (app.directory / "home/spool/new" / bad).write_text("exit 3\n")  # nor is that JSON
    good = app.put()
    app.start(NAME + "a")
    wait_until("the next one is done", lambda: app.there("done") == [good])
    assert app.there("failed") == [bad]
    assert [event.what for event in app.log()][:2] == ["start", "fail"]
    assert app.there("running") == []


def test_the_shell_workers_job_ends_although_its_worker_was_killed(tmp_path: Path) -> None:
    app = Released(SHELL, tmp_path)
    shutil.copytree(EXAMPLES / SHELL.folder, tmp_path, dirs_exist_ok=True)
    job = app.put(1.5)
    worker = app.start(NAME + "a")
    wait_until("it has the job", lambda: app.log())
    worker.kill()  # alone; then systemd sends SIGTERM to the others
    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait(60)
    wait_until("it is done", lambda: app.there("done") == [job])
    wait_until("the log says so", lambda: len(app.log()) == 2)
    assert app.give_back(NAME + "a") == []
