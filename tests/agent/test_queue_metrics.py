"""A queue is measured by what the app has; whatever fails is said without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from satellite_infra.agent import cloudwatch, queue_metrics, state, storage
from satellite_infra.agent.bootstrap_manifest import BootstrapManifest, Queue
from satellite_infra.agent.cloudwatch import Datum
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release
from satellite_infra.agent.system import CommandError
from tests.agent.conftest import FakeSystem, Origin, request
from tests.agent.machine import MANIFEST, Machine, files, new_machine, preparation
from tests.agent.test_bootstrap import QUEUE

TOKEN = "canary-value"  # the one config var of `request`


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return new_machine(tmp_path / "machine", monkeypatch)


@pytest.fixture
def release(layout: Layout, system: FakeSystem, origin: Origin) -> str:
    """A release that is live."""
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    return layout.current.readlink().name


def measured(layout: Layout, system: FakeSystem, **how: Any) -> tuple[float, float]:
    current = Ledger(layout).current()
    assert current
    return queue_metrics.measure(layout, current, Queue("default", **how), system)


def refused(layout: Layout, system: FakeSystem, **how: Any) -> str:
    with pytest.raises(CommandError) as failure:
        measured(layout, system, **how)
    return str(failure.value)


def test_a_manifest_says_how_and_reads_itself_back() -> None:
    for queue in (QUEUE, Queue("q", delayed_job=True), Queue("q", command="x y")):
        again = BootstrapManifest.parse(MANIFEST._replace(queue=queue).text())
        assert again.queue == queue
    assert BootstrapManifest.parse(MANIFEST.text()).queue is None


def test_the_timer_runs_and_goes_with_the_setting(machine: Machine) -> None:
    before = files(machine.root)
    host = preparation(machine, queue=QUEUE)
    timer = "satellite-shop-queue.timer"
    assert [queue_metrics.set_up(host), queue_metrics.set_up(host)] == [True, False]
    assert ("systemctl", "restart", timer) in machine.calls
    link = host.layout.timers / timer
    assert link.readlink() == host.layout.units / timer
    assert "OnCalendar=*:0/5\n" in link.read_text()

    machine.active.clear()  # somebody has stopped it
    assert [queue_metrics.set_up(host), queue_metrics.set_up(host)] == [True, False]
    assert timer in machine.active

    # what is measured is read each time; only another time is the timer's matter
    machine.calls.clear()
    other = preparation(machine, queue=QUEUE._replace(sql="SELECT 3, 4"))
    assert [queue_metrics.set_up(other), queue_metrics.set_up(other)] == [True, False]
    assert {call[:2] for call in machine.calls} == {("systemctl", "show")}
    rarer = preparation(machine, queue=QUEUE._replace(every_minutes=10))
    assert queue_metrics.set_up(rarer)
    assert ("systemctl", "restart", timer) in machine.calls

    machine.calls.clear()
    none = preparation(machine)
    assert [queue_metrics.set_up(none), queue_metrics.set_up(none)] == [True, False]
    assert machine.calls == [
        ("systemctl", "stop", "--", timer, "satellite-shop-queue.service"),
        ("systemctl", "daemon-reload"),
    ]
    assert files(machine.root) == before


@pytest.mark.parametrize(
    ("printed", "numbers"),
    [
        ("12 34.5", (12, 34.5)),
        ("12|34.5", (12, 34.5)),
        ("a warning\n0, 0\n\n", (0, 0)),
        ("3 -0.2", (3, 0)),  # the database's clock is behind
    ],
)
def test_the_last_line_is_two_numbers(
    layout: Layout,
    system: FakeSystem,
    release: str,
    printed: str,
    numbers: tuple[float, float],
) -> None:
    assert measured(layout, system, command=f"printf '%s' '{printed}'") == numbers


def test_a_command_runs_in_the_release_with_its_config_vars(
    layout: Layout, system: FakeSystem, release: str
) -> None:
    command = (
        f'test "$TOKEN" = {TOKEN} && test "$PWD" = {layout.releases / release} '
        f'&& test "$SATELLITE_RELEASE" = {release} && echo 1 2'
    )
    assert measured(layout, system, command=command) == (1, 2)


def test_what_fails_is_said_and_no_config_var_is_shown(
    layout: Layout, system: FakeSystem, release: str
) -> None:
    for command in ('echo "no $TOKEN" >&2; exit 3', 'echo "3 $TOKEN"', "echo 5"):
        said = refused(layout, system, command=command)
        assert TOKEN not in said
        assert said.startswith("queue default")
    assert refused(layout, system, command='echo "no $TOKEN"; exit 3') == (
        'queue default could not be measured: `/bin/bash -c echo "no $TOKEN"; exit 3` ended with '
        "status 3; it said: no [TOKEN]"
    )
    assert refused(layout, system, command="echo 5").startswith(
        "queue default: its last line should be two numbers, "
    )


def test_no_end_of_a_secret_is_left_where_much_was_said(
    layout: Layout, system: FakeSystem, release: str
) -> None:
    """What is shown may begin within one."""
    rest = "x" * (queue_metrics.LONGEST - 3)
    said = refused(layout, system, command=f'echo "${{TOKEN}}{rest}"; exit 3')
    assert said.endswith(f"; it said: EN]{rest}")


def test_one_that_hangs_is_ended(
    layout: Layout, system: FakeSystem, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_metrics, "LIMIT", 0.5)
    said = refused(layout, system, command="echo began; sleep 600")
    assert said == (
        "queue default could not be measured: `/bin/bash` did not end within 0 s; it said: began"
    )


def test_delayed_job_and_sql_say_what_they_lack(
    layout: Layout, system: FakeSystem, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(layout, system, delayed_job=True) == (
        "queue/delayed_job: the release's Gemfile.lock has no delayed_job; use queue/command or "
        "queue/sql"
    )
    assert refused(layout, system, sql="SELECT 1, 2") == (
        "queue/sql: needs a config var DATABASE_URL that begins with postgresql://; for another "
        "database use queue/command"
    )
    url = f"postgres://app:{TOKEN}@db/app"
    storage.write_json(layout.config(release), {"DATABASE_URL": url})
    monkeypatch.setattr(queue_metrics, "PSQL", ("psql-that-nobody-has",))
    assert "No such file" in refused(layout, system, sql="SELECT 1, 2")

    class Without(FakeSystem):
        def run(self, argv: Any, *_: Any, **__: Any) -> None:
            assert TOKEN not in str(argv)
            raise FileNotFoundError(argv[0])

    monkeypatch.undo()
    assert refused(layout, Without(layout), sql="SELECT 1, 2") == (
        "queue/sql: there is no psql on this host: satellite:packages needs one, such as "
        "postgresql-client"
    )


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        (
            "postgres://us%40er:p%3Ass@db.example.com:5433/a%20b?sslmode=require&pool=5",
            {
                "PGHOST": "db.example.com",
                "PGPORT": "5433",
                "PGUSER": "us@er",
                "PGPASSWORD": "p:ss",
                "PGDATABASE": "a b",
                "PGSSLMODE": "require",
                "PGCONNECT_TIMEOUT": "10",
            },
        ),
        ("postgresql:///app", {"PGDATABASE": "app", "PGCONNECT_TIMEOUT": "10"}),
        (
            "postgresql://a:b@c:1/d?host=%2Fvar/run/pg2&port=5433&user=shop&password=a+b%26c"
            "&dbname=shop&hostaddr=10.0.0.1&options=-c%20search_path%3Dx&service=s"
            "&target_session_attrs=read-write&pool=5&sslmode=",
            {
                "PGHOST": "/var/run/pg2",
                "PGPORT": "5433",
                "PGUSER": "shop",
                "PGPASSWORD": "a+b&c",
                "PGDATABASE": "shop",
                "PGHOSTADDR": "10.0.0.1",
                "PGOPTIONS": "-c search_path=x",
                "PGSERVICE": "s",
                "PGTARGETSESSIONATTRS": "read-write",
                "PGCONNECT_TIMEOUT": "10",
            },
        ),
        (
            "postgres://h1:1,h2,[::1]:3/app",
            {
                "PGHOST": "h1,h2,::1",
                "PGPORT": "1,,3",
                "PGDATABASE": "app",
                "PGCONNECT_TIMEOUT": "10",
            },
        ),
    ],
)
def test_a_databases_url_becomes_variables(url: str, variables: dict[str, str]) -> None:
    assert queue_metrics.database(url) == variables


@pytest.mark.parametrize("password", ["hunter2#secret", "hunter2?secret", "a:b[c", "hun@ter2", ""])
def test_a_password_may_hold_what_elsewhere_ends_a_host(password: str) -> None:
    found = queue_metrics.database(f"postgres://u:{password}@db:5432/app?sslmode=require")
    assert found.pop("PGPASSWORD", "") == password
    assert found == {
        "PGHOST": "db",
        "PGPORT": "5432",
        "PGUSER": "u",
        "PGDATABASE": "app",
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "10",
    }


@pytest.mark.parametrize("rest", ["u:hunter2/secret@db/app", "u:pw@hunter2#x/app", "[hunter2/app"])
def test_a_databases_url_that_cannot_be_read_is_not_shown(rest: str) -> None:
    with pytest.raises(CommandError, match=r"^queue/sql: DATABASE_URL cannot be read: ") as problem:
        queue_metrics.database(f"postgres://{rest}")
    assert "hunter2" not in str(problem.value)


def test_a_lock_file_is_read_whatever_its_bytes(
    layout: Layout, system: FakeSystem, release: str
) -> None:
    (layout.releases / release / "Gemfile.lock").write_bytes(b"\xff\n delayed_job (4.1)\n")
    assert "could not be measured: " in refused(layout, system, delayed_job=True)


def test_two_numbers_are_told_under_the_apps_name_and_none_without_a_release(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(cloudwatch, "put", lambda *what: told.append(what[:2]))
    said: list[str] = []
    storage.write_json(layout.queue, {"name": "mail", "command": "echo 7 80"})
    queue_metrics.tell(layout, system, said.append)
    assert (told, said) == ([], ["there is no release yet, and so nothing to measure"])
    Release(layout, system, lambda _: None).run(request(origin, origin.commit()))
    queue_metrics.tell(layout, system, said.append)
    assert told == [
        (
            [Datum("QueueDepth", 7, "Count"), Datum("QueueAge", 80, "Seconds")],
            {"App": "shop", "Environment": "test", "Queue": "mail"},
        )
    ]
    assert said[1:] == ["queue mail: 7 jobs could run, the oldest of them for 80 s"]
    assert state.report(layout, system)["queue"] == {
        "name": "mail",
        "depth": 7,
        "age": 80,
        "at": ANY,
        "seconds_ago": ANY,
    }
    assert layout.measured.stat().st_mode & 0o777 == 0o600
    layout.queue.unlink()  # it is measured no longer
    assert state.report(layout, system)["queue"] is None
