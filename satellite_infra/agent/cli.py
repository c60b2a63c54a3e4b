"""The agent's command line: verbs for the deployer, for `satellite`, for systemd, for people.

Each verb imports its own modules, and a verb of programs no parser for people: a release starts the
agent six times, and workers wait for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .layout import Layout, instance_of

if TYPE_CHECKING:
    import argparse

    from .ledger import Unfinished

UNIT_VERBS = {
    "release": "release-job",
    "release-phase": "release-phase-job",
    "rotation": "rotate-job",
}
"""What is asked for, and the verb that does it as a unit of systemd."""
READERS = {"bootstrap", "release", "release-phase", *UNIT_VERBS.values()}
TYPES: dict[str, Callable[[str], Any]] = {"number": instance_of, "result": Path}
"""What an argument becomes; the others are text."""
Verb = Callable[[Any], int]


def main(argv: list[str]) -> int:
    """Run one verb; 0 when what it says is true now, 1 with one clear message when not."""
    os.umask(0o022)  # a login's may be 077, and the app's user must get into what is made here
    # always first: a sender whose input is left unread fails at random and shows no message
    text = sys.stdin.read() if argv[:1] and argv[0] in READERS else ""
    arguments = _plain(argv) or _parser().parse_args(argv)
    arguments.text = text
    verb: Verb = arguments.verb
    try:
        _check_root()
        return verb(arguments)
    except Exception as problem:  # noqa: BLE001 - the last stop: a person reads it
        print(str(problem) or repr(problem), file=sys.stderr)
        return 1


def _bootstrap(arguments: Any) -> int:
    from . import bootstrap, frontend, progress
    from .bootstrap_manifest import BootstrapManifest
    from .preparation import Preparation
    from .system import System

    head, bundle = frontend.split(arguments.text)
    manifest = BootstrapManifest.parse(head)
    lines: list[str] = []
    steps = [""]
    archive = Path(sys.argv[0])
    try:
        layout = Layout(manifest.app)
        host = Preparation(manifest, bundle, archive, layout, System(), lines.append)
        with progress.told(lambda: steps[-1], _say):
            done = bootstrap.bootstrap(host, steps.append)
    except Exception:
        print("\n".join(f"  | {line}" for line in lines[-frontend.TAIL :]), file=sys.stderr)
        raise
    print("\n".join(f"{manifest.host}: {line}" for line in done.splitlines()))
    return 0


def _release(arguments: Any) -> int:
    from . import frontend
    from .release_manifest import ReleaseManifest
    from .system import System

    manifest = ReleaseManifest.parse(frontend.split(arguments.text)[0])
    layout, kind = Layout(manifest.app), frontend.KINDS[arguments.kind]
    status, told = frontend.submit(layout, arguments.text, System(), kind, _say)
    print(told, file=sys.stderr if status else sys.stdout)
    return status


def _work_on(arguments: Any) -> int:
    from . import frontend, release_unit
    from .system import System

    layout, kind = Layout(arguments.app), frontend.KINDS[arguments.kind]
    return release_unit.work(layout, arguments.text, arguments.result, System(), _say, kind)


def _recover(arguments: Any) -> int:
    from . import frontend, release, release_unit, webhook
    from .system import System

    layout, result = Layout(arguments.app), arguments.result
    cut_off: list[Unfinished] = []

    def told(found: Unfinished, state: str) -> None:
        cut_off.append(found)
        if found.good or not result:  # else `killed` knows more of it
            webhook.put_recovered(layout, found, state, _say)

    state = release.recover(layout, System(), _say, not arguments.no_wait, told)
    if result:
        kind, commit = frontend.KINDS[arguments.kind], arguments.revision
        found = cut_off[0] if cut_off else None
        release_unit.killed(layout, result, state, commit, System(), _say, kind, found)
    if not result or any(found.good for found in cut_off):
        webhook.send(layout, System(), _say)
    return 0


def _check(arguments: Any) -> int:
    from . import check
    from .system import System

    limits = arguments.memory, arguments.cpu, arguments.restarts
    found = check.check(Layout(arguments.app), arguments.type, *limits, System())
    print("\n".join(found))
    return 1 if found else 0


def _rotate(arguments: Any) -> int:
    from . import rotate
    from .system import System

    return rotate.rotate(Layout(arguments.app), System(), _say)


def _send(arguments: Any) -> int:
    from . import webhook
    from .system import System

    return webhook.send_all(Layout(arguments.app), System(), _say)


def _queue(arguments: Any) -> int:
    from . import queue_metrics
    from .system import System

    queue_metrics.tell(Layout(arguments.app), System(), _say)
    return 0


def _drain(arguments: Any) -> int:
    from . import drain
    from .system import System

    print(drain.drain(Layout(arguments.app), arguments.host, arguments.machine, System(), _say))
    return 0


def _give_back(arguments: Any) -> int:
    from . import jobs
    from .system import System

    machine = arguments.host, arguments.machine
    print(jobs.of_machine(Layout(arguments.app), *machine, System(), _say))
    return 0


def _work(arguments: Any) -> int:
    from . import workers
    from .system import System

    number, lane = arguments.number
    workers.work(Layout(arguments.app), arguments.type, number, lane, System())


def _ended(arguments: Any) -> int:
    from . import notes
    from .system import System

    number, lane = arguments.number
    notes.ended(Layout(arguments.app), arguments.type, number, lane, System())
    return 0


def _reap(arguments: Any) -> int:
    from . import jobs
    from .system import System

    return 0 if jobs.reap(Layout(arguments.app), System(), _say) else 1


def _status(arguments: Any) -> int:
    from . import state
    from .system import System

    print(json.dumps(state.report(Layout(arguments.app), System()), indent=1))
    return 0


def _control(arguments: Any) -> int:
    from . import control
    from .system import System

    found = control.Control(Layout(arguments.app), System(), not arguments.no_wait)
    print(getattr(found, arguments.act)(arguments.workers, arguments.by))
    return 0


def _end_release(arguments: Any) -> int:
    from . import control
    from .system import System

    print(control.end_release(Layout(arguments.app), System(), _aside))
    return 0


def _run(arguments: Any) -> int:
    from . import oneoff

    return oneoff.run(Layout(arguments.app), arguments.command)


def _logs(arguments: Any) -> int:
    from . import journal
    from .system import System

    a = arguments
    journal.show(Layout(a.app), a.workers, a.lines, a.since, a.follow, System())


def _release_log(arguments: Any) -> int:
    from . import frontend

    print(frontend.last_log(Layout(arguments.app)))
    return 0


def _history(arguments: Any) -> int:
    from . import frontend
    from .ledger import Ledger

    layout = Layout(arguments.app)
    lines = Ledger(layout).history()
    print(json.dumps(lines, indent=1) if arguments.json else frontend.history(layout))
    return 0


class Plain(NamedTuple):
    """A verb whose arguments are all `--NAME VALUE`, and needed."""

    verb: Verb
    about: str
    names: tuple[str, ...] = ()
    kind: str = ""


def _by_unit(name: str) -> Plain:
    about = f"The {name.replace('-', ' ')} itself, as a unit of systemd."
    return Plain(_work_on, about, ("app", "result"), UNIT_VERBS[name])


APP, MACHINE = ("app",), ("app", "host", "machine")
PLAIN = {
    "bootstrap": Plain(_bootstrap, "Prepare this machine; manifest and secrets come on stdin."),
    **{
        name: Plain(
            _release,
            f"Run a {name.replace('-', ' ')}; manifest and secrets come on stdin.",
            kind=UNIT_VERBS[name],
        )
        for name in ("release", "release-phase")  # nobody else asks for the rotation
    },
    **{verb: _by_unit(name) for name, verb in UNIT_VERBS.items()},
    "rotate": Plain(_rotate, "Ask Heroku, and restart workers whose config vars changed.", APP),
    "drain": Plain(_drain, "End all workers, if this is that machine.", MACHINE),
    "give-back": Plain(_give_back, "Give back the jobs of a machine, which is dead.", MACHINE),
    "status": Plain(_status, "Say what this host runs, as JSON.", APP),
    "release-log": Plain(_release_log, "What the last release said, as `logs` does.", APP),
    "send": Plain(_send, "Send the messages that wait.", APP),
    "queue": Plain(_queue, "Measure the queue and tell CloudWatch.", APP),
    "work": Plain(_work, "Become a worker.", ("app", "type", "number")),
    "ended": Plain(_ended, "Note how a worker ended.", ("app", "type", "number")),
    "reap": Plain(_reap, "Give back the jobs of dead workers.", APP),
}


def _plain(argv: list[str]) -> SimpleNamespace | None:
    """The arguments of such a verb as programs give them; None leaves it to the parser."""
    asked = PLAIN.get(argv[0]) if argv else None
    if asked is None or argv[1::2] != [f"--{name}" for name in asked.names]:
        return None
    values = dict(zip(asked.names, argv[2::2]))
    if len(values) < len(asked.names) or len(argv) != 1 + 2 * len(values):
        return None
    try:
        found = {name: TYPES.get(name, str)(value) for name, value in values.items()}
    except ValueError:
        return None
    return SimpleNamespace(verb=asked.verb, kind=asked.kind, **found)


def _parser() -> argparse.ArgumentParser:
    import argparse  # slow to load

    parser = argparse.ArgumentParser(prog="agent", description="Satellite's agent on a host.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(name: str, verb: Verb, about: str, *names: str) -> argparse.ArgumentParser:
        found = verbs.add_parser(name, help=about, description=about)
        found.set_defaults(verb=verb)
        for argument in names:
            found.add_argument(f"--{argument}", required=True, type=TYPES.get(argument, str))
        return found

    for name, plain in PLAIN.items():
        add(name, plain.verb, plain.about, *plain.names).set_defaults(kind=plain.kind)
    past = add("history", _history, "Say who released what when, and how it ended.", "app")
    past.add_argument("--json", action="store_true", help="as data")
    for act, about in (
        ("stop", "Have workers end, until they are started or another commit is deployed."),
        ("start", "Start workers that are stopped."),
        ("restart", "Have workers end and start anew."),
    ):
        acting = add(act, _control, about, "app")
        acting.set_defaults(act=act)
        acting.add_argument("workers", nargs="*", metavar="TYPE[.N]", help="all without one")
        acting.add_argument("--by", default="", help="who asks")
        acting.add_argument("--no-wait", action="store_true", help="for their end")
    add("end-release", _end_release, "End the release that runs, and go back.", "app")
    about = "A one-off shell command in the current release, as the app's user."
    add("run", _run, about, "app").add_argument("command")
    logs = add("logs", _logs, "What workers said, one JSON object a line.", "app")
    logs.add_argument("workers", nargs="*", metavar="TYPE[.N]", help="all without one")
    logs.add_argument("--lines", type=int, default=0, help="the last ones; 0: all")
    logs.add_argument("--since", default="", help="as journalctl takes it")
    logs.add_argument("--follow", action="store_true")
    recover = add("recover", _recover, "Finish or undo an interrupted release.", "app")
    recover.add_argument("--no-wait", action="store_true", help="leave the waiting to systemd")
    recover.add_argument(
        "--result", type=Path, help="where the release should have left its result"
    )
    recover.add_argument("--revision", default="", help="the commit of that release")
    kinds = UNIT_VERBS.values()
    recover.add_argument("--kind", default="release-job", choices=kinds, help="what its unit ran")
    watch = add("check", _check, "Say which workers are above a threshold.", "app", "type")
    watch.add_argument("--memory", default="", help="such as 300M")
    watch.add_argument("--cpu", default="", help="of one core's time, such as 90%%")
    watch.add_argument("--restarts", type=int, default=0, help="ends in a row")
    return parser


def _check_root() -> None:
    if os.geteuid() != 0:
        raise PermissionError("the agent should run as root; give the SSH user passwordless sudo")


def _aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a full disk takes no log, and must not stop the way back
        print(line, flush=True)
