"""What a promotion asks of the other commands: a stack's settings, and a deploy to its hosts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from satellite_cli import asking, change, drains, lock, making
from satellite_cli.aim import aimed
from satellite_cli.problems import INTERRUPTED, LockedError, SatelliteError, note
from satellite_cli.project import Draft, Project
from satellite_cli.promote_steps import DeployError, Runs
from satellite_cli.reachable import Check, declared_lost
from satellite_cli.update import summary

if TYPE_CHECKING:
    from satellite_infra.settings import Settings


class Desk:
    """The project that the current folder belongs to."""

    def __init__(self) -> None:
        self.shown = b""
        """The stack's file, as it was when its deploy was shown."""

    def settings(self, stack: str) -> Settings:
        """That stack's settings; SatelliteError with every problem where they are not right."""
        project = Project.of(stack)
        found = project.settings()
        change.must_follow(project)  # no deploy may take the pin away
        return found

    def ready(
        self, revision: str, stack: str, tell: Callable[[str], None], moves: bool = True
    ) -> None:
        """Show what a deploy of a commit would change there.

        SatelliteError where a host does not answer, somebody is at work on the stack, or the
        program fails; and where something `moves` before the deploy, which would then have to drain
        a machine that was replaced.
        """
        project = Project.of(stack)
        check = Check.of(project)
        with ThreadPoolExecutor(2) as beside, project.draft() as draft:
            self.shown = draft.before
            holders = beside.submit(lock.engine_locks, stack)
            drained = beside.submit(drains.left, stack) if moves else None
            change.unpin(draft)
            with draft.pinned(revision) as file:
                words = ["--config-file", str(file)]
                planned = making.run(project, "preview", words, tell=tell, check=check)
        tell(summary(planned, planned=True))
        held = holders.result()
        if held is None:
            tell(f"whether somebody is at work on {stack} is {lock.UNKNOWN}")
        elif held:
            raise SatelliteError(
                f"nothing was changed: somebody is at work on {stack}: "
                f"{'; '.join(one.who for one in held)}. Wait for them: satellite lock status "
                f"--stack {stack}"
            )
        lost = declared_lost(project)  # of which nothing is waited for
        known = drained.result() if drained else {}
        if left := {h: d for h, d in known.items() if d.at_work and h not in lost}:
            raise SatelliteError(
                "nothing was changed: the deploy would first have to drain what was replaced:\n"
                + "\n".join(drains.ways(left))
                + "\n  To have it tried now: satellite up --same-commit, or satellite deploy"
            )

    def free(self, stack: str) -> bool | None:
        """Whether nobody is at work there; None where only a try tells that."""
        try:
            held = lock.engine_locks(stack)
        except SatelliteError:
            return None
        return None if held is None else not held

    def deploy(self, revision: str, stack: str) -> None:
        """Release a commit to a stack's hosts, and have it follow its branch from then on."""
        project = Project.of(stack)
        check = Check.of(project)
        try:
            with project.draft() as draft:
                # neither what nobody has seen; nor what was shown, which may undo what has since
                # been done, such as by a `scale`
                if draft.before != self.shown:
                    raise DeployError(
                        f"{project.file.name} was changed since it was shown: nothing was deployed"
                    )
                change.unpin(draft, quiet=True)
                with draft.pinned(revision) as file:
                    making.update(project, file, tell=note, check=check)
                _keep(draft)
        except making.StoppedError as stopped:
            hosts = _runs(stopped.asked) if stopped.asked else []
            raise DeployError(aimed(str(stopped)), interrupted=True, hosts=hosts) from None
        except LockedError as locked:
            raise DeployError(aimed(str(locked)), busy=True) from None
        except SatelliteError as problem:
            interrupted = problem.status == INTERRUPTED
            hosts = [] if interrupted else _hosts(stack)  # they run what they ran
            raise DeployError(aimed(str(problem)), interrupted, hosts=hosts) from None


def _keep(draft: Draft) -> None:
    """Have the stack's file say the same; the hosts run the commit also where it cannot."""
    try:
        if draft.keep():
            note(f"{draft.project.file.name} says so now: commit it")
    except (SatelliteError, OSError) as problem:
        note(f"warning: {problem}")


def _hosts(stack: str) -> list[Runs]:
    """What each host runs; half a roll leaves them with different commits."""
    try:
        return _runs(asking.ask(stack, (), asking.SECONDS, "status"))
    except (SatelliteError, KeyboardInterrupt):  # what is where is to be told all the same
        return []


def _runs(asked: asking.Asked) -> list[Runs]:
    """The same, of who was asked already."""
    _, hosts, said, silent = asked
    return [
        Runs(host.name, said[host.name]["revision"] or "")
        if host.name in said
        else Runs(host.name, None, silent[host.name])
        for host in hosts
    ]
