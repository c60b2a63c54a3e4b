"""A deploy to some hosts: what the engine shall touch, and what is said of the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from satellite_cli import asking, drains
from satellite_cli.fleet import ours
from satellite_cli.problems import SatelliteError, note
from satellite_cli.project import Draft, Project
from satellite_infra import naming
from satellite_stack import stack_file

REMOTE = "remote:Command"
TYPES = {naming.REACH: "local:Command", naming.AGENT: "remote:CopyToRemote"}
"""Of a host's commands those that are of another type."""


TARGET = "--target="
DIFFERS = re.compile(
    r"(will be destroyed but|which was)( was)? not specified in --target|Duplicate resource URN |"
    r"failed to verify snapshot: .* refers to missing dependency "
)
"""What the engine says of what is to be deleted, or hangs on another thing than noted."""


def is_partial(words: Iterable[str]) -> bool:
    """Whether the engine is told to touch some of a stack alone."""
    return any(word.startswith(TARGET) for word in words)


def targets(project: Project, draft: Draft, names: Sequence[str]) -> list[str]:
    """The engine's words for a deploy to these hosts; the draft is pinned to the commit of it.

    A release phase that the commit has not had yet runs on its leader as ever, which is prepared
    for it; the leader's workers stay.
    """
    project.fleet().chosen(names)
    from pulumi import RunError

    from satellite_infra.deploy import commit  # brings Pulumi's SDK along

    settings = project.settings(draft.file)
    try:
        revision = commit(settings)
    except RunError as problem:
        raise SatelliteError(str(problem)) from None
    draft.put("revision", revision)
    phase = naming.release_phase(revision) if settings.release_phase else ""
    return list(_words(project, names, settings.live()[0], phase))


def _words(project: Project, names: Sequence[str], leader: str, phase: str) -> Iterator[str]:
    prepared = [*names, leader] if phase else names
    wanted = [(name, naming.RELEASE) for name in names]
    wanted += [(name, role) for name in prepared for role in naming.VISIT]
    stack = project.stack.rpartition("/")[2]
    with ours():
        begin = f"{TARGET}urn:pulumi:{stack}::{stack_file.project_name()}::command"
    for host, role in dict.fromkeys(wanted):
        yield f"{begin}:{TYPES.get(role, REMOTE)}::{naming.of_host(host, role)}"
    if phase:
        yield f"{begin}:{REMOTE}::{phase}"


def tell_others(stack: str, names: Sequence[str]) -> None:
    """Which hosts run what else; no more than notes, as the deploy has succeeded."""
    try:
        _, hosts, said, silent = asking.ask(stack, (), asking.SECONDS, "status")
    except SatelliteError as problem:
        hosts = []
        note(f"What the other hosts run is not known: {problem}")
    for host in hosts:
        if host.name not in names:
            note(f"{host.name} stays as it is: {asking.runs(host.name, said, silent)}")
    note("The stack's file stays as it is, too. All hosts: satellite deploy")


def explained(lines: Sequence[str], stack: str) -> list[str]:
    """The errors of an update of some hosts; the engine's advice is to touch others, too."""
    own = [line for line in lines if not DIFFERS.search(line)]
    if len(own) == len(lines):
        return own
    # whatever it names: what hangs on one that is stuck was not brought up to date
    ways = list(drains.ways(drains.left(stack)))
    if not ways:
        ways = [
            "  These settings mean other hosts, or another order among them, than the last update",
            "  To do that first: satellite up --same-commit",
            "  Where the hosts run different commits: satellite deploy",
        ]
    return [*own, "some hosts alone cannot be updated now:", *ways]
