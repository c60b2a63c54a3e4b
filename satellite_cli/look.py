"""Commands that look: info, ps, releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from satellite_cli import options, remote, screen
from satellite_cli.aim import aimed
from satellite_cli.asking import SECONDS, answers_of, ask, finish, sorted_out
from satellite_cli.fleet import Fleet, Host
from satellite_cli.histories import Event, together
from satellite_cli.running import pin, wanted

COLUMNS: tuple[str, ...] = (
    *("host", "state", "id", "environment", "address", "launched", "booted", "revision", "workers"),
    "drift",
)
FEW = ("host", "state", "id", "address", "age", "revision", "workers", "drift")
NARROW = ("address", "age", "revision", "workers", "drift")
"""What a terminal of few columns does without, in that order, once the id is gone."""


@click.command()
@options.stack
@options.hosts
@options.seconds(SECONDS)
@options.as_json
def info(stack: str, names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Each host: state, id, address, age, revision, workers, drift.

    The age is since its launch, or since its last boot where no launch is known. A revision with a
    ! is another one than that of the first line: of the last update, or of most hosts where that
    was to some alone. None has one where too few answer to know that.
    Drift is how many things there are not as they should be: `satellite doctor` says which.
    """
    from satellite_cli.doctor import judged

    fleet = Fleet.of(stack)
    hosts = fleet.chosen(names)
    answers = answers_of(fleet, hosts, seconds, "status")
    said, silent = sorted_out(answers)
    # as `satellite doctor` counts
    found = [one for one in judged(fleet, answers) if one.host in said]
    drift = {name: [one.code for one in found if one.host == name] for name in said}
    runs, whose = wanted(fleet, said)
    shown = [h for h in fleet.hosts if h in hosts or (h.lost and not names)]
    pinned = pin(fleet.pinned, fleet.branch)
    if as_json:
        screen.data(
            {
                "stack": fleet.stack,
                "app": fleet.app,
                "environment": fleet.environment,
                "revision": runs,
                "pinned": fleet.pinned if pinned else None,
                "queue": _queue(said.values()),
                "hosts": [_facts(host, said, silent, drift) for host in shown],
                "unanswered": silent,
            }
        )
    else:
        about = f"app {fleet.app}, environment {fleet.environment}: {screen.short(runs)}"
        click.echo(f"{about} (stack {fleet.stack})")
        if pinned:
            click.echo(aimed(pinned))
        if queue := _queue(said.values()):
            click.echo(
                f"queue {queue['name']}: {queue['depth']:g} jobs could run, the oldest for "
                f"{queue['age']:.0f} s; measured {queue['seconds_ago']:.0f} s ago"
            )
        rows = [_row(fleet, runs if whose else "", host, said, silent, drift) for host in shown]
        columns = COLUMNS
        if screen.terminal():  # 80 columns; the environment is the one of the line above
            columns, rows = FEW, [_short(row) for row in rows]
        screen.table(columns, rows, may_go="id", narrow=NARROW)  # ssh takes names
    finish(silent)


def _queue(told: Iterable[Mapping[str, Any]]) -> Any:
    """The newest measurement of those hosts that measure the queue."""
    found = [one["queue"] for one in told if one.get("queue")]
    return min(found, key=lambda queue: queue["seconds_ago"], default=None)


def _short(row: tuple[str, ...]) -> tuple[str, ...]:
    """Of COLUMNS, as FEW has them."""
    cells = dict(zip(COLUMNS, row, strict=True))
    cells["age"] = cells["booted"] if cells["launched"] == "-" else cells["launched"]
    return tuple(cells[name] for name in FEW)


def _state(host: Host, told: Mapping[str, Any] | None, problem: str | None) -> str:
    if host.lost:
        return "lost"
    if told is None:
        return "not prepared" if problem == remote.UNPREPARED else "no answer"
    if told["lock"]:
        return "busy"
    return "running" if told["current"] else "empty"


def _facts(
    host: Host,
    said: Mapping[str, Any],
    silent: Mapping[str, str],
    drift: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    told = said.get(host.name)
    return {
        "name": host.name,
        "state": _state(host, told, silent.get(host.name)),
        "id": host.machine,
        "address": host.address,
        "launched": told.get("launched") if told else None,
        "problem": silent.get(host.name),
        **{
            key: told[key] if told else None
            for key in ("booted", "revision", "current", "lock", "unfinished", "disk", "workers")
        },
        "drift": drift.get(host.name),
    }


def _row(
    fleet: Fleet,
    runs: str,
    host: Host,
    said: Mapping[str, Any],
    silent: Mapping[str, str],
    drift: Mapping[str, Sequence[str]],
) -> tuple[str, ...]:
    told, drifted = said.get(host.name), drift.get(host.name)
    revision, workers, launched = "-", "-", "-"
    if told:
        other = runs and told["revision"] and told["revision"] != runs
        revision = screen.short(told["revision"]) + ("!" if other else "")
        states = [worker["state"] for worker in told["workers"]]
        workers = f"{states.count('running')} of {sum(fleet.formation.values())}"
        launched = screen.when(told.get("launched"))  # an agent that is older does not know
    booted = screen.when(told["booted"]) if told else "-"
    return (
        host.name,
        _state(host, told, silent.get(host.name)),
        host.machine,
        fleet.environment,
        host.address or "-",
        launched,
        booted,
        revision,
        workers,
        "-" if drifted is None else str(len(drifted)),
    )


@click.command()
@options.workers
@options.stack
@options.hosts
@options.seconds(SECONDS)
@options.as_json
def ps(
    workers: tuple[str, ...], stack: str, names: tuple[str, ...], seconds: float, as_json: bool
) -> None:
    """Each worker on each host: its state, age, revision, memory.

    waiting: it ended early again and again, and is started later and later.
    stopped: by `satellite stop`, until `satellite start` or another commit is deployed.
    """
    fleet, hosts, said, silent = ask(stack, names, seconds, "status", workers=workers)
    found = [
        {"host": host.name, **worker}
        for host in hosts
        for worker in said.get(host.name, {}).get("workers", ())
        if not workers or {worker["name"], worker["name"].partition(".")[0]} & set(workers)
    ]
    if as_json:
        screen.data({"stack": fleet.stack, "workers": found, "unanswered": silent})
    else:
        columns = ("host", "worker", "state", "since", "revision", "memory", "pid")
        narrow = ("pid", "memory", "revision", "since")
        screen.table(columns, [_worker(worker) for worker in found], narrow=narrow)
    finish(silent)


def _worker(worker: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        worker["host"],
        worker["name"],
        worker["state"],
        screen.when(worker["since"]),
        screen.short(worker["revision"]),
        screen.megabytes(worker["memory"]),
        str(worker["pid"] or "-"),
    )


@click.command()
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="The last so many.",
)
@options.stack
@options.hosts
@options.seconds(SECONDS)
@options.as_json
def releases(lines: int, stack: str, names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """What was released where, what that changed, by whom, and how it ended; the newest last.

    One line for what befell several hosts alike. A * is before what the hosts run now.
    """
    from satellite_infra.agent import changes  # no other command needs it

    fleet, hosts, said, silent = ask(stack, names, seconds, "history", "--json")
    found = together(said)[-lines:]
    if as_json:
        shown = {id(event) for _, on in found for event in on.values()}
        told = {name: [e for e in events if id(e) in shown] for name, events in said.items()}
        screen.data({"stack": fleet.stack, "hosts": told, "unanswered": silent})
        finish(silent)
        return
    now = {name: _last_good(events) for name, events in said.items()}
    rows = []
    for event, on in found:
        runs = any(now[name] is e for name, e in on.items())
        rows.append(
            (
                ("* " if runs else "  ") + screen.short(event.get("revision")),
                _outcome(event),
                changes.told(event) or "-",
                screen.when(event["at"]),
                str(event.get("by", "-")),
                "all hosts" if len(on) == len(hosts) > 1 else ", ".join(on),
            )
        )
    columns = ("  revision", "outcome", "changed", "when", "by", "on")
    screen.table(columns, rows, narrow=("by", "changed", "when", "on"))
    finish(silent)


def _last_good(events: Sequence[Event]) -> Event | None:
    good = [event for event in events if event["outcome"] in ("good", "recovered")]
    return good[-1] if good else None


def _outcome(event: Event) -> str:
    """One or a few words: `good`, `failed in gate: ...`, `stopped worker.1`."""
    text = str(event["outcome"])
    if "phase" in event:
        reason = str(event.get("reason", ""))
        return f"{text} in {event['phase']}: {reason}"
    return f"{text} {', '.join(event['names'])}" if "names" in event else text
