"""Commands that are on a host: ssh, run, logs."""

from __future__ import annotations

import shlex
import sys
from typing import NoReturn

import click

from satellite_cli import options, remote, screen, stream
from satellite_cli.fleet import Fleet, Host
from satellite_cli.problems import note

FEW = 100
"""Lines that are shown where nobody says how many."""
WORDS = {"allow_interspersed_args": False}
"""What follows the first word that is no option belongs to the other command."""


def shell_line(words: tuple[str, ...]) -> str:
    """One word is a shell's line; several are a program and its arguments, exactly as they are."""
    return words[0] if len(words) == 1 else shlex.join(words)


@click.command(context_settings=WORDS)
@options.stack
@click.argument("host", metavar="HOST", shell_complete=options.complete_host)
@click.argument("command", nargs=-1, metavar="[-- CMD...]", type=click.UNPROCESSED)
@options.as_json
def ssh(stack: str, host: str, command: tuple[str, ...], as_json: bool) -> None:
    """A shell on a host, or one command there, as the login user.

    On a terminal it has one. Ends with the status of the command; 255: the host could not be
    reached, or a signal has ended the command. --json, before HOST, tells the status and what the
    command said once it has ended.
    """
    words = _words(command)
    if as_json and not words:
        raise click.UsageError("--json: a shell is no data; say a command")
    fleet = Fleet.of(stack)
    (chosen,) = fleet.chosen([host])
    line = shell_line(words) if words else ""
    _end(chosen, _done(fleet, chosen, line, as_json), as_json)


def _done(fleet: Fleet, host: Host, line: str, quietly: bool) -> remote.Answer:
    """How a command on a host ended; it had this program's input and, unless `quietly`, output."""
    with remote.connected(fleet) as connection:
        if quietly:
            return connection.heard(host, line)
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        # without a command ssh decides by itself
        return remote.Answer(connection.here(host, line, terminal=bool(line) and terminal))


def _end(host: Host, answer: remote.Answer, as_json: bool) -> NoReturn:
    """End as that command did."""
    if as_json:
        said = {"status": answer.status, "out": answer.out, "err": answer.err}
        screen.data({"host": host.name, **said})
    if answer.status == remote.CLOSED:
        note(f"{host.name}: its connection ended. What to do: satellite doctor --host {host.name}")
    sys.exit(answer.status)


def _words(command: tuple[str, ...]) -> tuple[str, ...]:
    """The other command; UsageError where it looks like an option of ours in a wrong place."""
    if command and command[0].startswith("-") and command[0] != "--":
        raise click.UsageError(
            f"{command[0]} stands where the command should: options come before HOST; say -- "
            "before a command that begins so"
        )
    return _bare(command)


def _bare(command: tuple[str, ...]) -> tuple[str, ...]:
    return command[1:] if command[:1] == ("--",) else command


@click.command(context_settings=WORDS)
@options.stack
@options.one_host("Where; the first host that is not lost where it is not given.")
@click.argument("command", nargs=-1, required=True, metavar="CMD...", type=click.UNPROCESSED)
@options.as_json
def run(stack: str, name: str, command: tuple[str, ...], as_json: bool) -> None:
    """A one-off command in the current release, with its config vars, as the app's user.

    On a terminal it has one. Several words are a program and its arguments; one word in quotes is
    a line for the shell. Ends with the status of the command, 128 and the number of the signal
    that has ended it; 255: the host could not be reached. Where the connection ends, so does the
    command. --json, before CMD, tells the status and what the command said once it has ended.
    """
    words = _bare(command)
    fleet = Fleet.of(stack)
    hosts = fleet.living([name] if name else [])
    line = remote.agent_for(hosts[0], "run", "--app", fleet.app, "--", shell_line(words))
    _end(hosts[0], _done(fleet, hosts[0], line, as_json), as_json)


@click.command()
@click.option(
    *("--follow", "-f", "--tail", "-t", "follow"),
    is_flag=True,
    help="Go on with what comes, until Ctrl-C.",
)
@click.option(
    "--process",
    "-p",
    "workers",
    multiple=True,
    metavar="TYPE[.N]",
    shell_complete=options.complete_type,
    help="Only these workers; may be given again.",
)
@click.option(
    "--since",
    default="",
    callback=options.said,
    metavar="TIME",
    help="Such as 10m, 2h, 1d, or 2026-11-25 10:00 (UTC).",
)
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=1),
    help="The last so many; 100, or all with --since, where it is not given.",
)
@click.option("--release", is_flag=True, help="What the last release said instead: all of its log.")
@options.hosts
@options.stack
@options.seconds(30)
@options.as_json
def logs(
    follow: bool,
    workers: tuple[str, ...],
    since: str,
    lines: int | None,
    release: bool,
    names: tuple[str, ...],
    stack: str,
    seconds: float,
    as_json: bool,
) -> None:
    """What the workers said, of all hosts in the order of time, with the host before each line."""
    began = stream.since(since)
    if release and (follow or workers or began):
        raise click.UsageError("--release: is a log of its own; without -f, -p and --since")
    fleet = Fleet.of(stack)
    hosts: list[Host] = fleet.living(names)
    fleet.check_workers(workers)
    last = lines or (0 if began or release else FEW)
    words = ["--app", fleet.app, "--lines", str(last)]
    words += [f"--since={began}"] if began else []
    words += ["--follow"] if follow else []
    command = remote.agent("logs", *words, "--", *workers)
    if release:
        command = remote.agent("release-log", "--app", fleet.app)
    with remote.connected(fleet) as connection:
        show = stream.Printer(fleet.app, [host.name for host in hosts], as_json)
        if follow:
            status = stream.follow(connection, hosts, command, last, show)
        else:
            status = stream.past(connection, hosts, command, seconds, last, show)
    sys.exit(status)
