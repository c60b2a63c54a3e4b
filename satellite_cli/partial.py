"""A deploy to some hosts: what the engine shall touch, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from satellite_cli import look
from satellite_cli.problems import SatelliteError, note
from satellite_cli.project import Draft, Project

RELEASE = {"reach": "local:Command", "agent": "remote:CopyToRemote", "bootstrap": "remote:Command"}
"""What a host has before its release, and of which type."""


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
    phase = f"release-phase-{revision[:12]}" if settings.release_phase else ""
    return list(_words(project, names, settings.live()[0], phase))


def _words(project: Project, names: Sequence[str], leader: str, phase: str) -> Iterator[str]:
    wanted = [(f"{name}-release", "remote:Command") for name in names]
    prepared = [*names, leader] if phase else names
    wanted += [(f"{name}-{part}", kind) for name in prepared for part, kind in RELEASE.items()]
    if phase:
        wanted.append((phase, "remote:Command"))
    settings = yaml.safe_load((project.file.parent / "Pulumi.yaml").read_text("utf-8"))
    stack = project.stack.rpartition("/")[2]
    for name, kind in dict.fromkeys(wanted):
        yield f"--target=urn:pulumi:{stack}::{settings['name']}::command:{kind}::{name}"


def tell_others(stack: str, names: Sequence[str]) -> None:
    """Which hosts run what else; no more than notes, as the deploy has succeeded."""
    try:
        _, hosts, said, silent = look.ask(stack, (), look.SECONDS, "status")
    except SatelliteError as problem:
        hosts = []
        note(f"What the other hosts run is not known: {problem}")
    for host in hosts:
        if host.name not in names:
            note(f"{host.name} stays as it is: {look.runs(host.name, said, silent)}")
    note("The stack's file stays as it is, too. All hosts: satellite deploy")
