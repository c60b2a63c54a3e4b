"""Lines of the hosts' journals, merged: what was said, and what is said as it comes."""

from __future__ import annotations

import heapq
import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from satellite_cli import screen
from satellite_cli.fleet import Host
from satellite_cli.problems import INTERRUPTED, UNANSWERED, deafen, note
from satellite_cli.remote import Asking, Connection, judged, logged_in, unanswered

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
HOLD = 0.5
"""Seconds that a line waits for an earlier one of another host."""
QUIET = 3
"""Seconds after which a host that has logged in, and tells nothing, has had nothing to tell."""
LATE = 5
"""Seconds after a login in which a further one is waited for, before what was said is shown."""
SHOWN = 80
"""Characters that are shown of what is no entry of a journal."""
COLOURS = ("cyan", "magenta", "blue", "green", "yellow")


def since(text: str) -> str:
    """The time as journalctl takes it; UsageError says what is taken."""
    if not text:
        return ""
    try:
        if match := re.fullmatch(r"(\d+)\s*([smhd])", text):
            moment = datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
        else:
            moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"--since: should be such as 10m, 2h, 1d, or 2026-11-25 10:00 (UTC), got {text}"
        ) from None
    told = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if moment > (now := datetime.now(UTC)):  # such as a time of one's own zone
        raise click.UsageError(
            f"--since: should not be in the future, got {told}, and it is {now:%H:%M} UTC now"
        )
    return told


@dataclass(frozen=True, order=True)
class Line:
    """One line of one host's journal; `at`: microseconds since 1970."""

    at: int
    host: str
    who: str = field(compare=False)
    text: str = field(compare=False)


def parsed(host: str, text: str, app: str) -> Line | None:
    """The line of a JSON object of journalctl; None of what is none."""
    try:
        entry: dict[str, Any] = json.loads(text)
        at = int(entry["__REALTIME_TIMESTAMP"])
    except (ValueError, KeyError, TypeError):
        return None
    who = (_text(entry.get("SYSLOG_IDENTIFIER")) or "-").removeprefix(f"{app}.")
    return Line(at, host, who, _text(entry.get("MESSAGE")))


def _text(value: Any) -> str:
    """A field of an entry, whose values are lines where it has several."""
    if not isinstance(value, list):
        return str(value or "")
    if all(isinstance(one, int) for one in value):  # no text, or coloured: its bytes
        return bytes(value).decode(errors="replace")
    return "\n".join(map(_text, value))


Heard = queue.Queue[Line | str | Host | Future[str]]
"""Lines and remarks as they come, each host that is logged in, each listener that has ended."""


class Backlog:
    """Until when hosts tell what was said before: their own clocks say which lines that is.

    `last`: each host tells no more than so many of them; 0: all.
    """

    def __init__(self, hosts: int, last: int) -> None:
        self._hosts = hosts
        self._last = last
        self._told: Counter[str] = Counter()
        self._began = time.time() * 1e6
        self._login = time.monotonic()
        self._ends: dict[str, float] = {}

    def entered(self, host: str) -> None:
        """It is logged in, or will not be."""
        self._login = time.monotonic()
        self._ends[host] = self._login + QUIET

    def told(self, line: Line) -> bool:
        """Whether it was said before: a host's first lines come together, so more may come then.

        What a host tells after its `last` lines is new, though its clock may be behind.
        """
        self._told[line.host] += 1
        old = line.at < self._began and not 0 < self._last < self._told[line.host]
        end = time.monotonic() + HOLD
        known = self._ends.get(line.host, end)
        more = old and end < self._login + LATE
        self._ends[line.host] = end if more else min(known, end)
        return old

    def wait(self) -> float | None:
        """Seconds until all have told it, 0 from then on; None: until one tells its first line."""
        late = [self._login + LATE] if len(self._ends) < self._hosts else []
        if late and not self._told:  # there is nothing to show, and the late ones' lines count too
            return None
        return max(0, max([*self._ends.values(), *late]) - time.monotonic())


class Held:
    """Lines that wait for earlier ones of other hosts, each HOLD seconds at most.

    `last`: of those that were said before no more than so many are wanted; 0: all.
    """

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._by_time: list[tuple[Line, int]] = []
        self._old: list[tuple[Line, int]] = []
        self._ends: OrderedDict[int, float] = OrderedDict()
        self._count = 0

    def add(self, line: Line, old: bool = False) -> None:
        """It has come now; where it is `old`, said before, the first of these may be unwanted."""
        self._count += 1
        heapq.heappush(self._by_time, (line, self._count))
        self._ends[self._count] = time.monotonic() + HOLD
        if old and self.last:
            heapq.heappush(self._old, (line, self._count))
            if len(self._old) > self.last:
                _, unwanted = heapq.heappop(self._old)
                del self._ends[unwanted]

    def wait(self) -> float | None:
        """Seconds until one of them has waited long enough; None where there is none."""
        end = next(iter(self._ends.values()), None)
        return None if end is None else max(end - time.monotonic(), 0)

    def due(self) -> Iterator[Line]:
        """Those that have waited long enough, and all before them; none of these is held then.

        A host's clock may be ahead: its lines wait no longer for that.
        """
        while self.wait() == 0:
            last = next(iter(self._ends))
            while last in self._ends:
                yield self._first()

    def rest(self) -> list[Line]:
        """All that are held, at the end."""
        return [line for line, number in sorted(self._by_time) if number in self._ends]

    def _first(self) -> Line:
        line, number = heapq.heappop(self._by_time)
        while number not in self._ends:  # it is unwanted
            line, number = heapq.heappop(self._by_time)
        del self._ends[number]
        return line


@dataclass(frozen=True)
class Printer:
    """Prints lines as `TIME HOST WORKER: TEXT`, or each as a JSON object."""

    app: str
    hosts: Sequence[str]
    as_json: bool = False

    def __call__(self, line: Line) -> None:
        """Print one."""
        at = datetime.fromtimestamp(line.at / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        if self.as_json:
            click.echo(
                json.dumps({"at": at, "host": line.host, "process": line.who, "text": line.text})
            )
            return
        colour = COLOURS[self.hosts.index(line.host) % len(COLOURS)]
        width = max(map(len, self.hosts))
        host = screen.coloured(line.host.ljust(width), colour)
        who = screen.safe(line.who.replace("\n", " "))
        for text in line.text.split("\n"):
            click.echo(f"{at} {host} {who}: {screen.safe(text)}")


def _entries(host: str, texts: Iterable[str], app: str) -> Iterator[Line | str]:
    """A host's lines, and a remark on each that cannot be read, as where a connection was cut.

    What comes before the first one is what a shell's start-up file has said.
    """
    begun = False
    for text in texts:
        if line := parsed(host, text, app):
            begun = True
            yield line
        elif begun and (said := text.strip()):
            yield f"{host}: no entry of a journal: {said[:SHOWN]!r}"


def past(
    connection: Connection,
    hosts: Sequence[Host],
    command: str,
    seconds: float,
    lines: int,
    show: Printer,
) -> int:
    """The last lines (0: all) of all hosts in the order of time; the exit status."""
    answers = connection.everywhere(hosts, command, seconds)
    every: list[Line] = []
    for host, answer in answers.items():
        # by its end alone: what a worker said may hold what else ends a line for Python
        for found in _entries(host.name, answer.out.split("\n"), show.app):
            every.append(found) if isinstance(found, Line) else note(found)
    for line in sorted(every)[-lines:]:
        show(line)
    failed = [h.name for h, a in answers.items() if a.status and not a.problem]
    for host, answer in answers.items():
        if host.name in failed:
            note(f"{host.name}: {answer.err.strip()}")
    return UNANSWERED if unanswered(answers) or failed else 0


def follow(
    connection: Connection, hosts: Sequence[Host], command: str, lines: int, show: Printer
) -> int:
    """The last lines (0: all) of all hosts, and those that come, until Ctrl-C or no host is left.

    A host whose connection ends is named, and the others go on. The exit status.
    """
    heard: Heard = queue.Queue()
    held, status, asking = Held(lines), UNANSWERED, Asking()
    with ThreadPoolExecutor(len(hosts)) as listeners:
        try:
            for host in hosts:
                listener = listeners.submit(
                    _listen, connection, host, command, show.app, heard, asking
                )
                listener.add_done_callback(heard.put)
            for line in _in_order(heard, held, len(hosts)):
                show(line) if isinstance(line, Line) else note(line)
        except KeyboardInterrupt:
            status = INTERRUPTED
        finally:
            asking.end()
    try:
        for line in held.rest():
            show(line)
    except BrokenPipeError:
        if status != INTERRUPTED:
            raise
        deafen(sys.stdout)  # who read it has heard the Ctrl-C, too
    return status


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)


def _listen(
    connection: Connection, host: Host, command: str, app: str, heard: Heard, asking: Asking
) -> str:
    """Hear a host's lines to their end; why they have ended."""
    with connection.turn():
        process = connection.start(host, command)
        asking.began(process)
        logged_in(process)
    heard.put(host)
    with process:
        assert process.stdout
        assert process.stderr
        try:
            for found in _entries(host.name, process.stdout, app):
                heard.put(found)
            said = process.stderr.read()
            answer = judged(process.wait(), "", said)
        finally:
            _end(process)  # where this has failed; else it has ended
    return f"{host.name}: {answer.problem or said.strip() or 'the journal ended'}"


def _in_order(heard: Heard, held: Held, listeners: int) -> Iterator[Line | str]:
    """Lines by their time, as far as they come while one is held, and remarks.

    What was said before is held until all hosts have told it. What a listener fails with is raised
    here.
    """
    before: Backlog | None = Backlog(listeners, held.last)
    while listeners:
        if before and before.wait() == 0:
            before = None
        if not before:
            yield from held.due()
        try:
            found = heard.get(timeout=before.wait() if before else held.wait())
        except queue.Empty:
            continue
        if isinstance(found, Line):
            held.add(found, old=before is not None and before.told(found))
        elif isinstance(found, Host):
            if before:
                before.entered(found.name)
        elif isinstance(found, str):
            yield found
        else:
            listeners -= 1
            yield found.result()
