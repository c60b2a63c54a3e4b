"""The system's own ssh, to all hosts side by side: pinned host keys, the stack's key, a limit."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from satellite_cli import bastion, login
from satellite_cli.fleet import Fleet, Host
from satellite_cli.problems import FAILED, SatelliteError, note
from satellite_infra import key_agent
from satellite_infra.agent.layout import AGENT
from satellite_infra.tunnel import FORBIDS

AT_ONCE = 64
"""Connections that log in at the same time; through a bastion `AT_ONCE_THROUGH`: its sshd drops
what is more than ten that have not logged in yet (MaxStartups)."""
AT_ONCE_THROUGH = 8
DIAL = 10
"""Seconds for a connection to be made."""
LOGIN = 2 * DIAL
"""Seconds after which one that has not logged in keeps no other one waiting any more."""
FILES = 4096
"""Files that may be open: two for each connection, and a terminal's shell often allows 256."""
OPENLY = "curve25519-sha256"
"""How keys are exchanged for what is not secret: what stays safe from tomorrow's quantum computers
costs five times the computing."""
CLOSED = 255
"""Status of an ssh that did not get there, or not to the end."""
NOT_PREPARED = 113
STRANGER = "it shows another host key than the pinned one; nothing was sent: satellite preview"
REFUSED = "it does not let the stack's key in: satellite:private_key, or your SSH agent"
UNPREPARED = "not prepared yet: satellite up"
OLDER = "its agent is older than this command: satellite up"
UNREAD = "its answer cannot be read"
FAILS = "its agent fails: "
"""How a reason begins of a host that lets in, and runs nothing for us."""
MISSES = "it knows nothing of itself: "
"""How it begins where what the host has to remember is not there: another agent mends nothing."""
NO_STATE = "this host is not bootstrapped, or the disk is not mounted"
"""How an agent ends what it says then."""
NOT_ASKED = "was not asked"
REACHED = frozenset({STRANGER, REFUSED, UNPREPARED, OLDER})
"""Reasons of a host that is there all the same."""
NETWORK = "this machine's network"
BASTION = "the bastion: "
"""How a reason begins that says nothing of the host."""
BY_BASTION = ", says the bastion"
"""How a reason ends that the bastion itself has given, of a host."""
ENDS = re.compile(r"kex_exchange_identification: |stdio forwarding failed|.* UNKNOWN port \d+")
"""What ssh says when its way to the host, another ssh to the bastion, ends; why is said before."""
NO_WAY = re.compile(r"\bchannel \d+: open failed: (.+)")
"""What a bastion tells of the way to a host; LogVerbose has its ssh say where it says so, too."""
STRANGE_BASTION = (
    "it shows another host key than the pinned one; nothing was sent: satellite:bastion.host_key"
)
SCRIPT = f"""\
[ -e {AGENT} ] || {{unprepared}}
[ "$(id -u)" -eq 0 ] || set -- sudo -n
exec "$@" {AGENT} """
"""What runs the agent; one that is not there yet."""


@dataclass(frozen=True)
class Answer:
    """What a command on a host came to; `problem`: why there is no answer at all."""

    status: int = 0
    out: str = ""
    err: str = ""
    problem: str = ""
    began: float = 0
    """When it was asked, by this machine's clock, in seconds since 1970."""
    ended: float = 0

    def json(self, kind: type = dict) -> Any:
        """The last of that kind that it printed, as data; else None.

        A shell's start-up file may have said anything before.
        """
        found, end = None, 0
        for begins in re.finditer(r"^[\[{]", self.out, re.MULTILINE):
            if begins.start() >= end:
                with contextlib.suppress(ValueError):
                    value, end = json.JSONDecoder().raw_decode(self.out, begins.start())
                    found = value if isinstance(value, kind) else found
        return found


@dataclass(frozen=True)
class Connection:
    """The way to the hosts while a command runs."""

    config: Path
    door: threading.Semaphore
    """Of those who log in, no more at the same time than a server lets."""
    environment: Mapping[str, str] = field(repr=False)

    def argv(
        self, host: Host, command: str = "", terminal: bool = False, secret: bool = True
    ) -> list[str]:
        """The ssh command line; without a command it opens a shell.

        What is not `secret` need not stay so for decades: then the keys are exchanged the old way.
        """
        options = ["-t"] if terminal else [] if not command else ["-T"]
        options += [] if secret else openly()
        return ["ssh", "-F", str(self.config), *options, host.name, *([command] if command else [])]

    def start(self, host: Host, command: str, secret: bool = True) -> subprocess.Popen[str]:
        """A command on a host whose lines are read as they come."""
        return subprocess.Popen(
            self.argv(host, command, secret=secret),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",  # whatever this machine's language is
            errors="replace",
            start_new_session=True,
        )

    def heard(self, host: Host, command: str) -> Answer:
        """A command on a host with this program's own input: its status and what it said."""
        argv = self.argv(host, command)
        done = subprocess.run(
            argv,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def here(self, host: Host, command: str = "", terminal: bool = False) -> int:
        """A command on a host with this program's own input, output and terminal; its status."""
        told: list[int] = []
        begun: list[subprocess.Popen[bytes]] = []

        def hear(number: int, _: object) -> None:
            told.append(number)
            if number != signal.SIGINT and begun:  # that one it has had itself
                begun[0].terminate()  # it gives the terminal back before it ends

        before = signal.signal(signal.SIGINT, hear)
        try:
            with subprocess.Popen(
                self.argv(host, command, terminal), env=self.environment
            ) as process:
                begun.append(process)
                if told and told[-1] != signal.SIGINT:
                    process.terminate()
                status = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        if told and status in (CLOSED, -signal.SIGTERM, -signal.SIGINT):
            raise KeyboardInterrupt
        return status

    @contextlib.contextmanager
    def turn(self, end: float = math.inf) -> Iterator[bool]:
        """Whether it is one's turn to log in, by then."""
        left = min(max(end - time.monotonic(), 0), threading.TIMEOUT_MAX)
        mine = self.door.acquire(timeout=left)
        try:
            yield mine
        finally:
            if mine:
                self.door.release()

    def ask(
        self,
        host: Host,
        command: str,
        end: float,
        secret: bool = True,
        asking: Asking | None = None,
        seconds: float = math.inf,
    ) -> Answer:
        """Run a command on a host to its end, at most until then (of the monotonic clock).

        `seconds`: at most so many from its turn on.
        """
        with self.turn(end) as mine:
            if not mine:
                return Answer(CLOSED, problem=f"{NOT_ASKED}: the time was over before its turn")
            if asking and asking.over:
                return Answer(CLOSED, problem=NOT_ASKED)
            began, asked = time.monotonic(), time.time()
            end = min(end, began + seconds)
            process = self.start(host, command, secret)
            if asking:
                asking.began(process)
            logged_in(process, end)
        with process:
            try:
                out, err = process.communicate(timeout=max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return Answer(CLOSED, problem=f"no answer within {time.monotonic() - began:.0f} s")
            answer = judged(process.returncode, out, err)
            return replace(answer, began=asked, ended=time.time())

    def everywhere(
        self,
        hosts: Sequence[Host],
        command: str,
        seconds: float,
        secret: bool = True,
        each: bool = False,
    ) -> dict[Host, Answer]:
        """Run a command on all of these hosts side by side, at most so many seconds in all.

        `secret`: something of what passes is. `each`: every host has so many, once it is its turn;
        none is told what it has no time for. A Ctrl-C ends it at once: InterruptedRoundError.
        """
        end, own = time.monotonic() + seconds, math.inf
        if each:
            end, own = own, seconds
        if not secret:
            openly()  # once, and not in each thread
        asking = Asking()
        with ThreadPoolExecutor(max(len(hosts), 1)) as together:
            asked = {
                host: together.submit(self.ask, host, command, end, secret, asking, own)
                for host in hosts
            }
            try:
                return {host: answer.result() for host, answer in asked.items()}
            except KeyboardInterrupt:
                done = [host for host, answer in asked.items() if answer.done()]
                asking.end()
                told = {host: a.result() for host, a in asked.items() if not a.exception()}
                known = {h: a for h, a in told.items() if h in done or a.problem == NOT_ASKED}
                raise InterruptedRoundError(known) from None


class InterruptedRoundError(KeyboardInterrupt):
    """A Ctrl-C while hosts were asked; `answers`: of those that had answered by then.

    And of those that were not asked yet: NOT_ASKED.
    """

    def __init__(self, answers: Mapping[Host, Answer]) -> None:
        super().__init__()
        self.answers = answers


class Asking:
    """The connections of one round, which end together where nobody waits for them any more."""

    def __init__(self) -> None:
        self.over = False
        self._begun: list[subprocess.Popen[str]] = []
        self._one = threading.Lock()

    def began(self, process: subprocess.Popen[str]) -> None:
        """One more, from any thread."""
        with self._one:
            self._begun.append(process)
            if self.over:
                self._kill(process)

    def end(self) -> None:
        """End them all, and each that begins."""
        with self._one:
            self.over = True
            for process in self._begun:
                self._kill(process)

    @staticmethod
    def _kill(process: subprocess.Popen[str]) -> None:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


def logged_in(process: subprocess.Popen[str], end: float = math.inf) -> None:
    """Wait until that ssh has logged in: for the first that is said there, or for its end.

    At most until then, and for LOGIN seconds. What was said is not read.
    """
    watch = select.poll()
    watch.register(process.stdout or -1, select.POLLIN)
    watch.poll(1000 * min(max(end - time.monotonic(), 0), LOGIN))


@functools.cache
def openly() -> list[str]:
    """The options for that, where this computer's ssh may do it (one under FIPS may not)."""
    known = subprocess.run(["ssh", "-Q", "kex"], capture_output=True, text=True, check=False)
    return ["-o", f"KexAlgorithms=^{OPENLY}"] if OPENLY in known.stdout.split() else []


def judged(status: int, out: str, err: str) -> Answer:
    """The answer, or why it is none."""
    said = [line for line in err.strip().splitlines() if line]
    if status == CLOSED:
        return Answer(status, problem=_reason(said))
    if status == NOT_PREPARED:
        return Answer(status, problem=UNPREPARED)
    if status == 2 and "invalid choice" in err:
        return Answer(status, problem=OLDER)
    return Answer(status, out, err)


def _reason(said: Sequence[str]) -> str:
    if why := list(itertools.takewhile(lambda line: not ENDS.match(line), said)):
        if told := NO_WAY.search("\n".join(why)):
            forbids = "administratively prohibited" in told[1]
            return f"{BASTION}{FORBIDS}" if forbids else f"{told[1]}{BY_BASTION}"
        if len(why) < len(said):
            strange = "Host key verification failed" in why[-1]
            return BASTION + (STRANGE_BASTION if strange else _bare(why[-1]))
    text = "\n".join(said)
    if "Host key verification failed" in text or "IDENTIFICATION HAS CHANGED" in text:
        return STRANGER
    if "Permission denied" in text:
        return REFUSED
    return _bare(said[-1]) if said else "the connection was closed"


def _bare(line: str) -> str:
    """What ssh says, as a part of a sentence."""
    return line.removeprefix("ssh: ").removesuffix(".")


def away(fleet: Fleet, answers: Mapping[Host, Answer]) -> str:
    """What it may be where nobody is known to answer, rather than that all hosts are dead.

    Empty where somebody is, or where there is no bastion and not every host was asked.
    """
    silent = all(
        answer.status == CLOSED
        and answer.problem not in REACHED
        and not answer.problem.endswith(BY_BASTION)
        for answer in answers.values()
    )
    if silent and fleet.bastion:
        return f"the bastion, or {NETWORK}"
    everyone = {host for host in fleet.hosts if not host.lost}
    return NETWORK if silent and everyone <= {*answers} else ""


def agent(verb: str, *words: str) -> str:
    """The shell command that runs a verb of the host's agent.

    Before that it says a blank line, by which one sees that it is logged in (`logged_in`).
    """
    return "echo\n" + SCRIPT.format(unprepared=f"exit {NOT_PREPARED}") + shlex.join([verb, *words])


def agent_for(host: Host, verb: str, *words: str) -> str:
    """The same for a person, who is told on the host itself that it has no agent."""
    told = shlex.quote(f"{host.name}: {UNPREPARED}")
    unprepared = f"{{ echo {told} >&2; exit {FAILED}; }}"
    return SCRIPT.format(unprepared=unprepared) + shlex.join([verb, *words])


@contextlib.contextmanager
def connected(fleet: Fleet, alone: bool = False) -> Iterator[Connection]:
    """Everything that ssh needs, which goes afterwards.

    `alone`: of an agent's keys the stack's is to open the bastion, too, which may know another.
    """
    if not shutil.which("ssh"):
        raise SatelliteError("ssh is not installed here: apt install openssh-client")
    _may_open()
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="satellite-", dir=key_agent.place())
        folder = Path(stack.enter_context(made))
        if fleet.private_key:
            socket = stack.enter_context(login.agent_with(fleet.private_key, folder))
            identity = "IdentityFile none"
        elif fleet.public_key:
            socket = login.own_agent(fleet.public_key)
            public = folder / "key.pub"
            public.write_text(f"{fleet.public_key}\n", encoding="utf-8")
            identity = f"IdentityFile {public}\n  IdentitiesOnly yes"  # it holds others, too
        else:
            raise SatelliteError(
                "the stack has no login key: satellite:private_key, or ssh_agent: true"
            )
        config = folder / "ssh_config"
        hosts = bastion.current(fleet.ssh_config, fleet.moved)
        only = "yes" if alone and not fleet.private_key else "no"
        options = OPTIONS.format(identity=identity, alone=only, dial=DIAL)
        config.write_text(hosts + options, encoding="utf-8")
        environment = {**os.environ, "SSH_AUTH_SOCK": socket}
        door = threading.Semaphore(AT_ONCE_THROUGH if fleet.bastion else AT_ONCE)
        yield Connection(config, door, environment)


def _may_open() -> None:
    """Have as many files allowed, where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


OPTIONS = """
Host bastion.*
  IdentitiesOnly {alone}
  LogVerbose *:channel_input_open_failure():*

Host *
  {identity}
  BatchMode yes
  ConnectTimeout {dial}
  ServerAliveInterval 15
  ServerAliveCountMax 3
  LogLevel ERROR
"""
"""For all hosts: the stack's key of the agent alone, no questions, no waiting without end.

Of a bastion's ssh that one line besides; LogLevel INFO would say it, too, and show its banner.
"""


def read(answer: Answer, kind: type = dict) -> tuple[Any, str]:
    """What an answer holds that should be data; or None, and why there is nothing."""
    if answer.problem or answer.status:
        said = last_line(answer.err)
        return None, answer.problem or f"{MISSES if said.endswith(NO_STATE) else FAILS}{said}"
    told = answer.json(kind)
    return told, "" if told is not None else f"{UNREAD}: {last_line(answer.out)}"


def last_line(text: str) -> str:
    """What a program said at last."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def unanswered(answers: Mapping[Host, Answer]) -> dict[str, str]:
    """Name -> why, of the hosts that gave no answer; each is told on standard error."""
    silent = {host.name: answer.problem for host, answer in answers.items() if answer.problem}
    for name, problem in silent.items():
        note(f"{name}: {problem}")
    return silent
