"""The health gate: a release is good when its workers stay up and its health command agrees."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from . import notes, workers
from .converge import POLL, pauses, wanted_units
from .layout import Layout
from .ledger import Ledger, Target
from .redact import Redactor, secrets
from .system import CommandError, Say, System, UnitState

NOTED = 1.0  # second in which a worker of this program has mostly written its note
LOOK = 0.03  # seconds between two looks at the notes
START_LIMIT = 30  # seconds for a worker to be started at all
CRASHES = 3  # ends of a worker within that time after which nobody waits for another start
LINES = 12  # of its journal that say why a worker did not stay


class UnhealthyError(Exception):
    """A worker of the new release did not stay up; the text says which and how it ended.

    `starts`: systemd's ids of its starts in this release, as far as they were seen.
    """

    def __init__(self, unit: str, how: str, starts: Collection[str]):
        super().__init__(f"{unit}: {how}")
        self.unit, self.starts = unit, starts


def watch(layout: Layout, target: Target, system: System, say: Say, soak: int = 0) -> None:
    """Wait until every worker runs, then see each keep its process for the gate's seconds and soak.

    The health command comes last, and they must have kept it then, too. What a worker that did not
    stay said at last goes to the log.
    """
    names = wanted_units(layout)
    try:
        first = _started(layout, target, names, system)
        end = system.now() + target.manifest.gate_seconds + soak
        while system.now() < end:
            system.sleep(POLL)
            _same(first, system.units(names))
        if target.manifest.health:
            _ask(layout, target, system, say)
            _same(first, system.units(names))
    except UnhealthyError as problem:
        hide = _earlier(layout)
        type_, number, _ = layout.slot(problem.unit)
        for line in _last_words(problem.unit, problem.starts, system):
            say(f"{type_}.{number} said: {hide(line)}")
        raise


def _ask(layout: Layout, target: Target, system: System, say: Say) -> None:
    """Run the health command in the release, as the app user; CommandError when it fails."""
    manifest = target.manifest
    say(f"$ {manifest.health}")
    env = workers.environment(layout, target.release, Ledger(layout).config(target.release))
    try:
        system.run(
            ["/bin/bash", "-c", manifest.health],
            say,
            user=layout.app,
            cwd=layout.releases / target.release,
            env=env,
            timeout=manifest.health_seconds,
        )
    except CommandError as problem:
        raise CommandError(f"the health command failed: {problem}") from problem


def _started(
    layout: Layout, target: Target, names: list[str], system: System
) -> dict[str, UnitState]:
    end = system.now() + START_LIMIT
    _noted(layout, target, names, system)
    before: dict[str, int] = {}
    starts: dict[str, set[str]] = {name: set() for name in names}
    how: dict[str, str] = {}  # the last end of each; a unit that starts again says success
    for pause in pauses():
        units, live = system.units(names), notes.live(layout)
        before = before or {name: unit.restarts for name, unit in units.items()}
        for name, unit in units.items():
            starts[name].add(unit.invocation)
        how |= {name: unit.result for name, unit in units.items() if unit.result != "success"}
        waiting = [name for name in names if not _runs(name, target, units, live)]
        if not waiting:
            return units
        for name in waiting:
            ends = units[name].restarts - before[name] if name in units else 0
            if ends >= CRASHES:
                text = f"ended {ends} times in a row ({how.get(name, 'success')})"
                raise UnhealthyError(name, text, starts[name])
        if system.now() > end:
            late = units.get(waiting[0])
            state = (
                f"{late.active} ({late.result}), {late.restarts} restarts" if late else "not loaded"
            )
            text = f"did not start within {START_LIMIT} s: {state}"
            raise UnhealthyError(waiting[0], text, starts[waiting[0]])
        system.sleep(pause)
    raise AssertionError


def _noted(layout: Layout, target: Target, names: list[str], system: System) -> None:
    """Wait for the workers' own notes, for a moment: most come soon, and to read them is cheap."""
    end = system.now() + NOTED
    while system.now() < end:
        live = notes.live(layout)
        if all(name in live and live[name].release == target.release for name in names):
            return
        system.sleep(LOOK)


def _runs(
    name: str, target: Target, units: dict[str, UnitState], live: dict[str, notes.Note]
) -> bool:
    unit, note = units.get(name), live.get(name)
    if unit is None or note is None:
        return False
    return unit.active == "active" and note.release == target.release and note.pid == unit.pid


def _same(first: dict[str, UnitState], units: dict[str, UnitState]) -> None:
    for name, was in first.items():
        unit = units.get(name)
        kept = ("active", was.pid, was.restarts)
        if unit is None or (unit.active, unit.pid, unit.restarts) != kept:
            how = f"{unit.result}, {unit.restarts - was.restarts} restarts" if unit else "unit gone"
            text = f"ended while its health was watched ({how})"
            raise UnhealthyError(name, text, {was.invocation})


def _earlier(layout: Layout) -> Redactor:
    """Keeps the last good release's secrets out: some of the words may be its worker's."""
    ledger = Ledger(layout)
    last = ledger.last_good()
    if last is None or not layout.config(last.release).is_file():
        return Redactor({})
    return Redactor(secrets(ledger.config(last.release), last.manifest.environment))


def _last_words(unit: str, starts: Collection[str], system: System) -> list[str]:
    """What it said since these starts, and systemd of them; not what a worker before it said."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={5 * LINES}"]
    own = [f"_SYSTEMD_INVOCATION_ID={start}" for start in sorted(starts)]
    of_them = [f"INVOCATION_ID={start}" for start in sorted(starts)]
    status, text = system.output([*argv, f"--unit={unit}", *own, "+", *of_them])
    return telling(unit, text.splitlines())[-LINES:] if status == 0 else []


def telling(unit: str, lines: Sequence[str]) -> list[str]:
    """Those lines of a unit's journal that are not only systemd's own about each start."""
    name = re.escape(unit)
    steps = rf"(Start|Stopp)(ing|ed) {name} |{name}: (Scheduled|Failed|Deactivated) "
    return [line.removeprefix(f"{unit}: ") for line in lines if not re.match(steps, line)]
