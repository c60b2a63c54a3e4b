"""One run of the engine: what it does as it does it, a resource's own error, one Ctrl-C."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satellite_cli import drains, screen
from satellite_cli.fleet import counted
from satellite_cli.noted import kind
from satellite_cli.problems import note, say
from satellite_infra import naming
from satellite_infra.agent.progress import MARK, WAITS
from satellite_infra.reach import INTERRUPTED
from satellite_stack.engine import cli, environment, explained

DOING = {"create": "makes", "update": "changes", "replace": "replaces", "delete": "removes"}
DONE = {"create": "made", "update": "changed", "replace": "replaced", "delete": "removed"}
ASKS = ("create", "create-replacement", "update")
"""What is done with a host's `reach`, which makes nothing: it asks whether the host answers."""
LEFT = re.compile(r"^ *\* (urn:\S+), interrupted while (\w+)$", re.MULTILINE)
"""What an update that was killed was at work on, in the engine's warning of it."""
ROOT = "pulumi:pulumi:Stack"
QUIET = (ROOT, "pulumi:providers:")
MARKUP = re.compile(r"<\{%.*?%\}>")
QUOTED = re.compile(r'running "(?:[^"\\]|\\.)*"(?:\.\.\.)?:?\s*')
"""The text of a command, which stands in its error before what it said."""
ON_THE_WAY = re.compile(rf"^{re.escape(MARK)}.*\n", re.MULTILINE)
"""A phase that was shown while it lasted, in what an error quotes."""
UNDRAINED = re.compile(r"(\S+) drain: .*\bafter \d+ failed attempts: ", re.DOTALL)
"""An error of a drain that has not reached its machine."""
LOCKED = "the stack is currently locked by"
IN_THE_CLOUD = re.compile(
    r"^error: \[409\] Conflict: Another update is currently in progress", re.M
)
"""The same of Pulumi Cloud, which does not say whose."""
HOLDER = re.compile(r"^ .*: created by (.+) at (\S+)$", re.MULTILINE)
"""A line of that error: the lock's file, and who has made it."""
POLL = 0.05
"""Seconds between two looks at what has happened."""
Event = dict[str, Any]


@dataclass
class Outcome:
    """How it ended."""

    status: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    revision: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    """How many hosts answered, or would be asked, before they are sent something; by what the
    engine calls it, such as replace."""
    replaced: set[str] = field(default_factory=set)
    """What was replaced, or would be: `TYPE::NAME` of each."""
    interrupted: bool = False
    said: str = ""
    """What the engine said on standard error."""

    @property
    def idle(self) -> bool:
        """Nothing was, or would be, changed."""
        return not {kind for kind in self.changes if kind != "same"}


@dataclass
class Update:
    """A verb of the engine upon a stack; `tell` hears a line for each step."""

    verb: str
    stack: str
    words: Sequence[str]
    tell: Callable[[str], None]
    told: Mapping[str, str] = field(default_factory=dict)
    """Variables for the engine and its plugins."""
    outcome: Outcome = field(default_factory=Outcome)
    _began: dict[str, float] = field(default_factory=dict)
    _stop: Path = field(default_factory=Path)
    """A file that ends what only waits, once it is there."""

    def run(self) -> Outcome:
        """Run it to its end."""
        with tempfile.TemporaryDirectory(prefix="satellite-") as folder:
            log = Path(folder, "events")
            log.touch()
            self._stop = Path(folder, "interrupted")
            argv = [cli(), self.verb, "--stack", self.stack, "--non-interactive", "--color=never"]
            argv += ["--event-log", str(log), *self.words]
            told = {"PULUMI_DEBUG_COMMANDS": "true", INTERRUPTED: str(self._stop)}
            with subprocess.Popen(
                argv,
                env={**environment(), **told, **self.told},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # a Ctrl-C reaches it once, and by us
            ) as process:
                self._follow(process, log)
                self.outcome.status = process.returncode
        return self.outcome

    def _follow(self, process: subprocess.Popen[str], log: Path) -> None:
        said: list[str] = []
        assert process.stderr
        listener = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        listener.start()
        before = signal.signal(signal.SIGINT, lambda *_: self._interrupt(process))
        try:
            with log.open(encoding="utf-8") as events:
                while True:
                    ended = process.poll() is not None
                    for event in _events(events):
                        self._hear(event)
                    if ended:
                        break
                    listener.join(POLL)
                    if not listener.is_alive():  # it is about to end
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(POLL)
        finally:
            signal.signal(signal.SIGINT, before)
            listener.join()
        self.outcome.said = "".join(said)

    def _interrupt(self, process: subprocess.Popen[str]) -> None:
        if self.outcome.interrupted:
            note("stopping already: what has begun on a host ends there first")
            return
        self.outcome.interrupted = True
        note("stopping: nothing new begins, and what has begun on a host ends there first")
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # then that is waited for
            self._stop.touch()

    def _hear(self, event: Event) -> None:
        if found := event.get("resourcePreEvent"):
            self._step(found["metadata"])
        elif found := event.get("resOutputsEvent"):
            self._ended(found["metadata"], bool(event["resOutputsEvent"].get("planning")))
        elif found := event.get("resOpFailedEvent"):
            metadata = found["metadata"]
            self.tell(f"{named(metadata['urn'])}: FAILED{self._took(metadata['urn'])}")
        elif found := event.get("diagnosticEvent"):
            self._diagnosed(found)
        elif found := event.get("summaryEvent"):
            self.outcome.changes = found.get("resourceChanges") or {}

    def _step(self, metadata: Event) -> None:
        op, urn = metadata["op"], metadata["urn"]
        reach = is_reach(urn)
        if op not in (ASKS if reach else DOING) or kind(urn).startswith(QUIET):
            return
        self._began[urn] = time.monotonic()
        if op == "replace":
            self.outcome.replaced.add(f"{kind(urn)}::{urn.rpartition('::')[2]}")
        if reach:
            self.tell(f"{named(urn)}: asks")
        elif self.verb == "preview":
            self.tell(f"{named(urn)}: {op}")
            for line in changed_lines(metadata):
                self.tell(f"    {line}")
        else:
            self.tell(f"{named(urn)}: {DOING[op]}")

    def _ended(self, metadata: Event, planning: bool) -> None:
        op, urn = metadata["op"], metadata["urn"]
        if kind(urn) == ROOT:
            outputs = (metadata.get("new") or {}).get("outputs") or {}
            self.outcome.revision = str(outputs.get("revision") or self.outcome.revision)
        reach = is_reach(urn)
        if reach and op in ("create", "update", "replace"):
            self.outcome.asked[op] += 1
        if planning or urn not in self._began or op not in (ASKS if reach else DONE):
            return
        self.tell(f"{named(urn)}: {'answers' if reach else DONE[op]}{self._took(urn)}")

    def _took(self, urn: str) -> str:
        return f" in {time.monotonic() - self._began[urn]:.1f} s" if urn in self._began else ""

    def _diagnosed(self, found: Event) -> None:
        urn = found.get("urn", "")
        line = MARKUP.sub("", found.get("message", "")).strip()
        if found.get("severity") == "info" and line.startswith((MARK, WAITS)):
            self.tell(f"{named(urn)}: {line.removeprefix(MARK)}")
        text = own_error(line)
        if found.get("severity") == "warning":
            left = LEFT.findall(text)
            note("\n".join(unfinished(left)) if left else f"warning: {text}")
        elif found.get("severity") == "error" and text:
            # of the program itself only what no resource says
            where = f"{named(urn)}: " if urn and kind(urn) != ROOT else ""
            if f"{where}{text}" not in self.outcome.errors:
                self.outcome.errors.append(f"{where}{text}")


def _events(lines: Any) -> Iterator[Event]:
    """The whole lines that are there now."""
    while True:
        place = lines.tell()
        line = lines.readline()
        if not line.endswith("\n"):
            lines.seek(place)
            return
        yield json.loads(line)


def named(urn: str) -> str:
    """`worker-1 release` for what is of a host, else the resource's name and type."""
    name = urn.rpartition("::")[2]
    host, role = naming.host_and_role(name)
    return (
        f"{host} {role}" if host and kind(urn).startswith("command:") else f"{name} ({kind(urn)})"
    )


def is_reach(urn: str) -> bool:
    """Whether it is what asks a host for an answer."""
    name = urn.rpartition("::")[2]
    return kind(urn).startswith("command:") and naming.host_and_role(name)[1] == naming.REACH


def changed_lines(metadata: Event) -> list[str]:
    """What differs in the text of a command, as a diff has it; the rest of it is not secret."""
    old, new = ((metadata.get(side) or {}).get("inputs") or {} for side in ("old", "new"))
    texts = [side.get("create") for side in (old, new)]
    if not all(isinstance(text, str) for text in texts):
        return []
    before, after = (str(text).splitlines() for text in texts)
    return [line for line in difflib.ndiff(before, after) if line.startswith(("- ", "+ "))]


def own_error(text: str) -> str:
    """A message without colours, the text of its command, what was shown before, and tracebacks."""
    text = QUOTED.sub("", ON_THE_WAY.sub("", MARKUP.sub("", f"{text}\n"))).strip()
    before, mark, after = text.partition("Traceback (most recent call last)")
    if mark:
        text = before.strip() or next(iter(reversed(after.strip().splitlines())), "").strip()
    return re.sub(r"\n{2,}", "\n", text)


def unfinished(left: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is so of what a killed update has left; the engine's advice is to repair all of it."""
    what = ", ".join(f"{named(urn)} ({doing})" for urn, doing in left)
    yield f"warning: an update was killed in the middle of: {what}"
    if any(kind(urn).startswith("command:") for urn, _ in left):
        yield "  Hosts end it themselves. What differs after this update: satellite doctor"
    new = [urn for urn, doing in left if doing == "creating"]
    if made := [named(urn) for urn in new if not kind(urn).startswith("command:")]:
        yield f"  AWS may have it all the same, unknown to the stack: {', '.join(made)}"
        yield "  What to do then: docs/runbook.md"
    if new:  # the engine keeps these
        yield "  This is said until: pulumi refresh --clear-pending-creates"


def shown(text: str) -> None:
    """A step, as a line; coloured on a terminal."""
    colour = None
    if screen.terminal():
        marks = {"    + ": "green", "    - ": "red"}
        colour = "red" if ": FAILED" in text else marks.get(text[:6])
    say(text, colour=colour)


def summary(outcome: Outcome, planned: bool) -> str:
    """The counts in a line."""
    words = {**DONE, "same": "unchanged"}
    changes = {op: many - outcome.asked[op] for op, many in outcome.changes.items()}
    counts = [
        f"{many} to {op}" if planned and op != "same" else f"{many} {words.get(op, op)}"
        for op, many in changes.items()
        if many
    ]
    if asked := outcome.asked.total():
        counts.insert(0, f"{counted(asked)} to ask" if planned else f"{counted(asked)} asked")
    return ", ".join(counts) or "nothing to do"


def left_over(outcome: Outcome, stack: str) -> list[str]:
    """The errors that people read: the resources' own, else the program's, else the engine's."""
    if locked(outcome):
        return list(_locked(outcome.said, stack))
    said = re.findall(r"^error:\s*(.+(?:\n(?!error:|warning:).*)*)", outcome.said, re.MULTILINE)
    texts = outcome.errors or [explained(text.strip()) for text in said]
    own = [text for text in texts if not text.startswith(("update failed", "preview failed"))]
    gone = [found[1] for text in own if (found := UNDRAINED.match(text))]
    if gone:
        own += _undrained(gone, stack)
    return own or texts or [outcome.said.strip()[-500:] or "the engine said nothing"]


def _undrained(hosts: Sequence[str], stack: str) -> Iterator[str]:
    """What ends it where the machines of these are gone, which were to be drained."""
    found = drains.left(stack)
    left = {host: found[host] for host in hosts if host in found}
    yield from drains.ways(left)
    if others := [host for host in hosts if host not in left]:
        yield f"  Is what {', '.join(others)} was gone for good: docs/tasks/a-host-died.md"


def locked(outcome: Outcome) -> bool:
    """Whether it has changed nothing because another update is under way."""
    said = LOCKED in outcome.said or IN_THE_CLOUD.search(outcome.said)
    return bool(said) and not outcome.errors


def _locked(said: str, stack: str) -> Iterator[str]:
    """Who is at work; not the engine's advice, by which one would cut off a colleague's update."""
    yield f"{LOCKED} another command: this update has changed nothing"
    for who, since in HOLDER.findall(said):
        yield f"  {who}, since {since}"
    yield f"  Look who it is: satellite lock status --stack {stack}"
    yield f"  Only if it was killed: satellite lock release --stack {stack}"
