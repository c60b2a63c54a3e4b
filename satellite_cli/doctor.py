"""`satellite doctor`: what is not as it should be, on the hosts and here, and what mends it."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import click

from satellite_cli import asking, options, remote, screen
from satellite_cli.aim import aimed
from satellite_cli.finding import RUNBOOK, SILENT, Finding
from satellite_cli.fleet import ALL_LOST, Fleet, Host, NeverUpError
from satellite_cli.problems import FAILED, UNANSWERED, SatelliteError, note
from satellite_cli.running import commits, head, taken_back, unsure, wanted
from satellite_infra.agent import flat
from satellite_infra.agent.installed import digest
from satellite_infra.agent_bundle import agent_files
from satellite_stack.engine import ConfigError, selected

SECONDS = 20
APART = 5
"""Seconds by which two clocks may differ, beyond what the way to the host hides."""
OWN = {"host", "soak_seconds", "revision"}
"""Lines of a manifest that are a host's own, or told apart."""
DIFFERS = {"revision", "config_differs", "formation_differs", "manifest_differs"}
"""Findings of a host that runs something else than the stack's last update was about."""
RELEASES = ("release of ", "recovery")
"""How what the holder of a host's lock says of itself begins where that changes what runs."""
WHY = {
    remote.STRANGER: (
        "host_key",
        "shows another host key than the pinned one: it was rebuilt, or somebody is in between; "
        "nothing was sent. Once its old machine is off, or gone:",
    ),
    remote.REFUSED: ("login", "does not let the stack's key in"),
    remote.UNPREPARED: ("not_prepared", "is not prepared yet"),
    remote.OLDER: ("agent_older", "has an agent that is older than this command"),
}


@click.command()
@options.stack
@options.hosts
@options.seconds(SECONDS)
@options.as_json
def doctor(stack: str, names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """What is not as it should be, on each host and here, and the command that mends it.

    It changes nothing. 0: nothing was found; 1: something; 3: hosts did not answer, no more.
    """
    from satellite_cli import doctor_local  # `info`, which judges hosts, too, does without

    with ThreadPoolExecutor(1) as beside:
        local = beside.submit(doctor_local.examine, stack, seconds)
        fleet, problem = _fleet(stack)
        hosts = fleet.chosen(names) if fleet else []
        if fleet and not hosts:
            note(ALL_LOST)
        answers = _answers(fleet, hosts, seconds) if fleet else {}
        found = local.result()
        known = tuple(one.text for one in found)
        found += [one for one in problem if not one.text.startswith(known)]
    if fleet:
        found += list(judged(fleet, answers))
    app = fleet.app if fleet else ""
    if as_json:
        told = [_data(one, app) for one in found]
        screen.data({"stack": fleet.stack if fleet else _named(stack), "findings": told})
    else:
        for place in ("", *(host.name for host in hosts)):
            _show(place, [one for one in found if one.host == place], app)
    if found:
        sys.exit(UNANSWERED if {one.code for one in found} == {SILENT} else FAILED)


def _fleet(stack: str) -> tuple[Fleet | None, list[Finding]]:
    try:
        return Fleet.of(stack), []
    except NeverUpError as problem:
        return None, [Finding("stack", str(problem), command="satellite up")]
    except SatelliteError as problem:
        return None, [Finding("stack", str(problem), command="docs/runbook.md has its entry")]


def _named(stack: str) -> str:
    """Which stack it is; empty where none is selected."""
    try:
        return stack or selected()
    except ConfigError:  # a finding
        return ""


def _answers(fleet: Fleet, hosts: Sequence[Host], seconds: float) -> dict[Host, remote.Answer]:
    try:
        return asking.answers_of(fleet, hosts, seconds, "status")
    except SatelliteError as problem:  # no key: `doctor_local` has it, too
        return {host: remote.Answer(remote.CLOSED, problem=str(problem)) for host in hosts}


def judged(fleet: Fleet, answers: Mapping[Host, remote.Answer]) -> Iterator[Finding]:
    """What the hosts say of themselves, and what differs between them and the stack."""
    said, silent = asking.sorted_out(answers)
    runs, (commit, whose) = commits(said), wanted(fleet, said)
    # where the last release was the stack's, and was taken back
    tried = [name for name, one in said.items() if taken_back(one) == fleet.revision]
    failed = {name: runs.get(name, "") for name in tried}
    for found in _found(fleet, answers, said, silent, commit, whose):
        one = found
        if found.code in DIFFERS:
            one = _under_way(found, said) or _taken_back(found, said[found.host], failed, fleet)
        if one.code == "revision" and one.updates and not whose:
            one = _unheard(one, fleet, said)
        elif one.updates and (one.code == "revision" or len({*runs.values()}) > 1):
            one = _deployed(one, failed, fleet)
        yield one


def _found(
    fleet: Fleet,
    answers: Mapping[Host, remote.Answer],
    said: Mapping[str, Any],
    silent: Mapping[str, str],
    commit: str,
    whose: str,
) -> Iterator[Finding]:
    away = remote.away(fleet, answers)
    # all were asked, and none says what an update could keep
    unknown = not commits(said) and {*fleet.chosen([])} <= {*answers}
    for host in answers:
        if different := fleet.to_roll.get(host.name):
            yield Finding("to_roll", different, host.name)
        if problem := silent.get(host.name):
            yield _silent(host, problem, away, unknown)
            continue
        for one in said[host.name].get("findings", ()):
            yield Finding(one["code"], one["text"], host.name, one["about"])
    for name, told in said.items():
        yield from _differs(fleet, name, told, said, commit, whose)
    yield from _clocks({host.name: a for host, a in answers.items() if host.name in said}, said)


def _silent(host: Host, problem: str, away: str, unknown: bool) -> Finding:
    """Why it gives no answer; where it may be something else no host shall be lost for that.

    `unknown`: so is the commit that the hosts run.
    """
    if problem.startswith(remote.FAILS):
        text = f"it lets in, and {problem}"
        text += ". No host says which commit it goes on with, so this deploys:" if unknown else ""
        return Finding("agent_fails", text, host.name, deploys=unknown)
    if problem.startswith(remote.MISSES):
        text = (
            f"it lets in, and {problem}. What runs there goes on, and no visit comes before that "
            "is there again. What should be mounted, and what is:"
        )
        return Finding("state_missing", text, host.name)
    if away:
        text = f"{problem}. No host answers: it may be {away}"
        return Finding(SILENT, text, host.name, command=RUNBOOK)
    if problem.startswith(remote.BASTION):
        text = f"{problem}. Other hosts answer through it"
        return Finding(SILENT, text, host.name, command=RUNBOOK)
    if problem.startswith(remote.UNREAD):
        return Finding(SILENT, problem, host.name, command=f"satellite ssh {host.name}")
    code, text = WHY.get(problem, (SILENT, f"{problem}. Where it is dead:"))
    return Finding(code, text, host.name)


def _differs(
    fleet: Fleet,
    name: str,
    told: Mapping[str, Any],
    said: Mapping[str, Any],
    commit: str,
    whose: str,
) -> Iterator[Finding]:
    if "findings" not in told:
        yield Finding("agent_older", WHY[remote.OLDER][1], name)
        return
    if (ours := digest(agent_files())) != told["agent"]:
        text = f"has agent {told['agent']}, this checkout has {ours}; where that is the older one, "
        yield Finding("agent_differs", text + "`git pull` comes first", name)
    if unsure(told):
        return  # whatever `current` points to is another's manifest
    if told["revision"] != commit:
        others = [f"{n} {screen.short(one['revision'])}" for n, one in said.items() if n != name]
        runs = screen.short(told["revision"]) if told["revision"] else "nothing"
        text = f"runs {runs}, {whose or 'the last update'} {screen.short(commit)}"
        yield Finding("revision", "; ".join([text, *others]), name)
    if told["manifest"] is None:
        return
    inherited = {value for key, value in fleet.manifest.items() if key.startswith("inherited.")}
    own = OWN | {f"config.{var}" for var in inherited}
    theirs, stacks = told["manifest"], flat.digests(fleet.manifest)
    keys = sorted(k for k in {*theirs, *stacks} - own if theirs.get(k) != stacks.get(k))
    kinds = {"config.": "config_differs", "processes.": "formation_differs"}
    for start, code in kinds.items():
        if mine := [key for key in keys if key.startswith(start)]:
            yield Finding(code, _unlike(mine, theirs, stacks), name)
    if rest := [key for key in keys if not key.startswith(tuple(kinds))]:
        yield Finding("manifest_differs", _unlike(rest, theirs, stacks), name)


def _unlike(keys: Sequence[str], theirs: Mapping[str, str], stacks: Mapping[str, str]) -> str:
    """How a host's settings differ from the stack's, in which some of these are no more."""
    kinds = {
        "lacks": [key for key in keys if key not in theirs],
        "has another": [key for key in keys if key in theirs and key in stacks],
        "still has": [key for key in keys if key not in stacks],
    }
    return "; ".join(f"{how} {', '.join(found)}" for how, found in kinds.items() if found)


def _under_way(found: Finding, said: Mapping[str, Any]) -> Finding | None:
    """Where a release may be about to mend it, on that host or after it on another, if so."""
    locks = {name: str(told["lock"] or "") for name, told in said.items()}
    busy = [name for name, lock in locks.items() if lock.startswith(RELEASES)]
    if not busy:
        return None
    where = found.host if found.host in busy else busy[0]
    text = f"{found.text}; {where} is at work: {locks[where]}. Look again:"
    return replace(found, text=text, command="satellite doctor")


def _unheard(found: Finding, fleet: Fleet, said: Mapping[str, Any]) -> Finding:
    """Where it may be right: the last update may have been to the others alone."""
    others = ", ".join(host.name for host in fleet.chosen([]) if host.name not in said)
    text = f"{found.text}. That may have been to some hosts alone, and what {others} runs is not "
    return replace(found, text=f"{text}known here. Ask all hosts:", command="satellite doctor")


def _taken_back(
    found: Finding, told: Mapping[str, Any], failed: Mapping[str, str], fleet: Fleet
) -> Finding:
    """What a deploy has left that failed on those hosts, by what they run: no visit mends it.

    `failed`: host -> the commit that it runs all the same; empty where it is none.
    """
    runs = told["revision"] or ""
    same = runs == fleet.revision
    kind = (same, not runs)
    alike = [name for name, has in failed.items() if (has == fleet.revision, not has) == kind]
    if not alike:
        return found
    where = found.host if found.host in alike else alike[0]
    text = f"{found.text}; the release of {screen.short(fleet.revision)} failed on {where}"
    why = f"satellite logs --release --host {where}"
    if not runs:  # nothing was there to be taken back to
        return replace(found, text=f"{text}. Mend what it says; then `satellite up`", command=why)
    text += ", and was taken back there"
    if same:  # no commit is to be gone back to
        text += ". Mend what it says, or take those settings back; then `satellite up "
        text += "--same-commit`"
        return replace(found, text=text, command=why)
    stay = f"satellite deploy --revision {told['revision']}"
    return replace(found, text=f"{text}. Why; and to stay with what runs:", why=why, command=stay)


def _deployed(found: Finding, failed: Mapping[str, str], fleet: Fleet) -> Finding:
    """Where the hosts run no one commit that an update could keep, it is a deploy: of what."""
    differ = "" if found.code == "revision" else "; the hosts run different commits"
    # what failed there would only fail once more
    if back := [commit for commit in failed.values() if commit not in ("", fleet.revision)]:
        text = f"{found.text}{differ}. All hosts back to {screen.short(back[0])}:"
        return replace(found, text=text, command=f"satellite deploy --revision {back[0]}")
    if empty := [name for name, commit in failed.items() if not commit]:
        text = f"{found.text}{differ}; the release of {screen.short(fleet.revision)} failed on "
        text += f"{empty[0]}. Why; and once that is mended all hosts to {head(fleet.pinned)}:"
        why = f"satellite logs --release --host {empty[0]}"
        return replace(found, text=text, why=why, deploys=True)
    text = f"{found.text}{differ}. All hosts to {head(fleet.pinned)}:"
    return replace(found, text=text, deploys=True)


def _clocks(answers: Mapping[str, remote.Answer], said: Mapping[str, Any]) -> Iterator[Finding]:
    """Whose clock is off, seen from the middle between question and answer."""
    ahead: dict[str, float] = {}
    for name, answer in answers.items():
        if (clock := said[name].get("clock")) is None:
            continue
        off, unsure = clock - (answer.began + answer.ended) / 2, (answer.ended - answer.began) / 2
        if abs(off) > APART + unsure:
            ahead[name] = off
    if len(ahead) == len(said) > 1 and max(ahead.values()) - min(ahead.values()) <= 2 * APART:
        text = f"all hosts say that it is {_ahead(-min(ahead.values()))}: this machine's clock?"
        yield Finding("clock_here", text, command="sudo timedatectl set-ntp true")
        return
    for name, off in ahead.items():
        alone = ", or this machine's is" if len(said) == 1 else ""
        yield Finding("clock", f"its clock is {_ahead(off)}{alone}", name)


def _ahead(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"


def _data(found: Finding, app: str) -> dict[str, Any]:
    return {
        "host": found.host or None,
        "code": found.code,
        "text": found.text,
        "about": found.about or None,
        "why": aimed(found.why) or None,
        "mend": found.mend(app),
    }


def _show(place: str, found: Sequence[Finding], app: str) -> None:
    """A place in lines that fit; a command is never broken."""
    click.echo(f"{place or 'this machine'}: {len(found) or 'nothing'} found")
    for one in found:
        text = aimed(f"{one.code}: {one.text}")
        lines = list(_folded(text))
        commands = [*([aimed(one.why)] if one.why else []), one.mend(app)]
        click.echo(screen.safe("\n".join([*lines, *(f"    > {one}" for one in commands)])))


def _folded(text: str) -> Iterator[str]:
    """Each line of it folded for itself, the first one less far in."""
    width = min(79, shutil.get_terminal_size().columns) if screen.terminal() else 79
    for number, line in enumerate(text.split("\n")):
        yield from textwrap.wrap(
            line.strip(),
            width,
            initial_indent="    " if number else "  ",
            subsequent_indent="      " if number else "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
