"""The steps of a promotion, one after the other, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from satellite_cli.promote_git import OVERTAKEN, GitError, Say, Scratch, harmless
from satellite_cli.promote_plan import SERVER, Options, Place, Plan, rollback
from satellite_infra.agent.heroku import Api, HerokuError

BUILD = 7200  # seconds for Heroku's build, and for the release phase behind it
APPEAR = 120  # seconds for Heroku to show the release of a push
FREE = 900  # seconds for another update of the stack to end
POLL = 5
BLIND = 45  # seconds to the next try, which asks all hosts, where nothing else tells who is at work
SKIPPED = re.compile(r"Pushed to non-\S+ branch .*skipping build")
"""What Heroku says of a push to another branch than the one that it builds."""
INTERRUPTED = "interrupted"
"""The problem of a promotion that somebody stopped."""


@dataclass(frozen=True)
class Runs:
    """The commit that a host runs; empty where it runs none, None where nobody knows, and why."""

    host: str
    revision: str | None
    problem: str = ""


class DeployError(Exception):
    """What the deploy that is given in raises when it failed; its text is shown.

    `interrupted`: because somebody stopped it. `busy`: another one is under way, and it has changed
    nothing. `hosts`: what they run now, where they were asked.
    """

    def __init__(
        self,
        text: str,
        interrupted: bool = False,
        busy: bool = False,
        hosts: Sequence[Runs] = (),
    ):
        super().__init__(text)
        self.interrupted, self.busy, self.hosts = interrupted, busy, hosts


class StepError(Exception):
    """A step failed; `sure`: and for certain the commit does not run because of it.

    `advice`: what to do next, where that is more than to mend the cause.
    """

    def __init__(
        self, text: str, sure: bool = False, interrupted: bool = False, advice: Sequence[str] = ()
    ):
        super().__init__(text)
        self.sure, self.interrupted, self.advice = sure, interrupted, advice


@dataclass(frozen=True)
class Where:
    """What a ref of a remote was, and what it is at the end; None: nobody could be asked."""

    label: str
    url: str
    before: str
    now: str | None
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a promotion ended: `promoted`, `dry run`, `declined` or `failed`."""

    status: str
    plan: Plan
    places: tuple[Where, ...]
    step: str = ""
    """The one that failed: branch, heroku, deploy or tag."""
    problem: str = ""
    advice: tuple[str, ...] = ()
    interrupted: bool = False
    """Whether it failed because somebody stopped it."""
    hosts: tuple[Runs, ...] = ()
    """After a deploy that failed, where they were asked."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class BrokenError(Exception):
    """A step raised what nobody has foreseen, its cause; `outcome` says what is where."""

    def __init__(self, outcome: Outcome):
        super().__init__(outcome.problem)
        self.outcome = outcome


class Promotion:
    """The steps of one promotion, and what was done so far."""

    def __init__(self, options: Options, scratch: Scratch, plan: Plan):
        self.options, self.scratch, self.plan = options, scratch, plan
        self.step, self.interrupted = "", False
        self.moved: list[Place] = []
        self.hosts: tuple[Runs, ...] = ()
        self.notes: dict[Place, str] = {}
        self.waits = ""
        """What was said last to be waited for."""

    def run(self) -> Outcome:
        """Do it; the outcome tells a failure and where everything is."""
        try:
            for step, act in self._steps():
                self.step = step
                act()
        except StepError as error:
            return self._failed(error)
        except KeyboardInterrupt:
            return self._stopped()
        except Exception as fault:
            problem = harmless(f"{type(fault).__name__}: {fault}")
            raise BrokenError(self._failed(StepError(problem))) from fault
        return Outcome("promoted", self.plan, self._where())

    def _stopped(self) -> Outcome:
        """Somebody has; git may have been stopped when its server had agreed already."""
        server, sure = self.plan.server, self.step == "branch"
        advice: tuple[str, ...] = ()
        if sure and server not in self.moved and server.before != self.plan.revision:
            # a server may go on without whoever asked it, and a colleague who has promoted the same
            # commit meanwhile has it on their hosts
            sure, note = False, "whether it moves yet is not known"
            if self._now(server) == self.plan.revision:
                note = "left: it is the commit now, by this push or another"
                advice = (
                    f"to go on: {self._again()}",
                    "or, once it is known that nobody else has promoted it, take the branch back:",
                    self._take_back(server),
                )
            self.notes[server] = note
        elif self.step == "tag":
            there = "the commit is deployed, and its tag is there: nothing is left to do"
            advice = (there if self._tagged() else self._look_for_tag(),)
        return self._failed(StepError(INTERRUPTED, sure, interrupted=True, advice=advice))

    def _steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "branch", lambda: self._push(self.plan.server, say=self._hear)
        if self.plan.heroku:
            yield "heroku", self._heroku
        yield "deploy", self._deploy
        if self.plan.tag:
            yield "tag", self._tag

    def _push(self, place: Place, seconds: float = 900, say: Say | None = None) -> None:
        """Move a place to the commit."""
        revision = self.plan.revision
        if place.before == revision:
            self._check(place)  # no lease does it where nothing is pushed
            self.options.say(f"{place.label()} is {revision[:12]} already")
            return
        self.options.say(f"{place.label()}: {place.before[:12] or 'new'} -> {revision[:12]}")
        pushed = self.scratch.push(
            place.remote, place.ref, place.before, revision, seconds=seconds, say=say
        )
        if pushed.moved:
            self.moved.append(place)
        elif not pushed.there and self._now(place) != revision:
            said = "{} was not moved" if pushed.refused else "whether {} moves is not known"
            raise StepError(f"{said.format(place.label())}: {pushed.why}", pushed.refused)
        elif not pushed.there and not pushed.refused:
            self.moved.append(place)  # it came through, and git did not hear of it

    def _hear(self, line: str) -> None:
        """What a server says, as it comes."""
        self.options.say(f"  {line}")

    def _check(self, place: Place) -> None:
        """StepError unless a place is the commit now."""
        now, revision = self._now(place), self.plan.revision[:12]
        if now is None:
            raise StepError(f"whether {place.label()} is {revision} still is not known")
        if now != self.plan.revision:
            raise StepError(f"{place.label()} is not {revision} any more: {OVERTAKEN}")

    def _heroku(self) -> None:
        """Have Heroku build it, and wait until the app runs it."""
        place = self.plan.heroku
        assert place
        heard: list[str] = []

        def say(line: str) -> None:
            heard.append(line)
            self._hear(line)

        try:
            self._push(place, BUILD, say)
        except StepError as error:
            if error.sure and OVERTAKEN not in str(error):
                self._doubt(error)
            raise
        if any(map(SKIPPED.search, heard)) and place in self.moved:
            # it would be taken for built the next time; and to undo it builds nothing, either
            self._push_back(place)
            self.moved.remove(place)
            raise StepError(
                f"Heroku took {self.options.heroku_branch} and built nothing: it builds another "
                "branch (satellite:promote.heroku_branch)",
                sure=True,
            )
        api = self.options.heroku_api
        if not api:
            return
        try:
            standing = self._standing(api, place in self.moved)
        except HerokuError as error:
            raise StepError(f"whether the app runs it is not known: {error}") from None
        if standing == "current":
            self.options.say(f"{api.app} on Heroku runs {self.plan.revision[:12]}")
        elif standing == "failed":
            again = f"promote that, or {self._again()} once Heroku runs it"
            raise StepError(
                f"Heroku has built it, but its release failed, and {api.app} runs "
                f"{self.plan.runs[:12] or 'nothing'} as before: heroku releases --app {api.app}",
                sure=True,
                advice=(
                    "Heroku's branch was left: to push it back would build and release it once "
                    "more",
                    f"mend the cause in a new commit and {again}",
                ),
            )
        elif standing:
            raise StepError(f"after {BUILD} s its release on Heroku is {standing} still")
        else:
            raise StepError(
                f"Heroku has it, and yet {api.app} runs another commit: somebody has rolled back, "
                f"or pushed, there. Look: heroku releases --app {api.app}",
                advice=(
                    f"where {api.app} shall run it again: {rollback(api)}, then: {self._again()}",
                ),
            )

    def _doubt(self, error: StepError) -> None:
        """Heroku has refused our push; it may build the very same commit for somebody else."""
        api, revision, server = self.options.heroku_api, self.plan.revision, self.plan.server
        unknown = "whether Heroku builds it for somebody else is not known"
        doubt, at_work = f"{unknown} without satellite:heroku", False
        if api:
            try:
                at_work = api.building(revision) or api.standing(revision) not in ("", "failed")
                doubt = "Heroku goes on with a build or release of it" if at_work else ""
            except HerokuError as problem:
                doubt = f"{unknown}: {problem}"
        if doubt and server in self.moved:
            self.notes[server] = f"left: {doubt}"
        error.sure = not doubt
        error.advice = tuple(self._doubtful(server, at_work)) if doubt else ()

    def _doubtful(self, server: Place, at_work: bool) -> Iterator[str]:
        """What to do next where a branch was left because of such a doubt."""
        if at_work:
            yield f"look at what Heroku does with it, then: {self._again()}"
            return
        yield f"mend the cause, then: {self._again()}"
        if server in self.moved:
            yield "or, once it is known that Heroku does not build it, take the branch back:"
            yield self._take_back(server)

    def _take_back(self, place: Place) -> str:
        """The command that has a branch be what it was, if it still is the commit."""
        lease = f"--force-with-lease={place.ref}:{self.plan.revision}"
        return f"git push {lease} {place.name} {place.before}:{place.ref}"

    def _standing(self, api: Api, pushed: bool) -> str:
        """How the release stands when it does not change any more, or time is over."""
        began = heard = worked = self.options.clock()
        self.options.say(f"waiting until {api.app} on Heroku runs it")
        while True:
            try:
                standing = api.standing(self.plan.revision)
                at_work = bool(standing) or api.building(self.plan.revision)
            except HerokuError as error:
                if not error.passing or self.options.clock() - heard >= APPEAR:
                    raise
                self.options.say(f"  {error}")
            else:
                heard = self.options.clock()
                if at_work:  # somebody else's build, too, has a release, which appears after it
                    worked, pushed = heard, True
                late = heard - worked >= (APPEAR if pushed else 0)
                ended = standing in ("current", "failed") or (late and not at_work)
                if ended or heard - began >= BUILD:
                    return standing
            self.options.sleep(POLL)

    def _deploy(self) -> None:
        revision, stack = self.plan.revision, self.plan.stack
        end = self.options.clock() + FREE
        self.options.say(f"deploy {revision[:12]} to stack {stack}")
        while True:
            # whoever has moved one of them meanwhile, perhaps while this one waited for them,
            # deploys what they have promoted, and their hosts stay as they are
            for place in reversed(self.plan.places()):
                self._check(place)
            try:
                self.options.deploy(revision, stack)
            except DeployError as error:
                if error.busy and self._freed(str(error), end):
                    continue
                self.hosts = tuple(error.hosts)
                advice = (f"once they are done: {self._again()}",) if error.busy else ()
                raise StepError(
                    f"the hosts: {error}", interrupted=error.interrupted, advice=advice
                ) from error
            return

    def _freed(self, why: str, end: float) -> bool:
        """Wait until nobody is at work on the stack; False where that is not before the end."""
        if why != self.waits:
            self.options.say(f"  waiting: {why.splitlines()[0]}")
            self.waits = why
        while self.options.clock() < end:
            self.options.sleep(POLL)
            free = self.options.free(self.plan.stack)
            if free is None:
                self.options.sleep(BLIND)
            if free is not False:
                return True
        return False

    def _tag(self) -> None:
        tag, name = self.plan.tag, self.plan.server.name
        pushed = self.scratch.push(SERVER, f"refs/tags/{tag}", "", f"refs/tags/{tag}")
        there = pushed.moved or pushed.there or (not pushed.refused and self._tagged())
        if there is None:
            raise StepError(
                f"whether {name} has tag {tag} is not known: {pushed.why}",
                advice=(self._look_for_tag(),),
            )
        if not there:
            raise StepError(f"{name} did not take tag {tag}: {pushed.why}")
        self.options.say(f"tag {tag}")

    def _tagged(self) -> bool | None:
        """Whether the server has the tag that was made here; None where it does not answer."""
        ref = f"refs/tags/{self.plan.tag}"
        now = self._now(replace(self.plan.server, ref=ref))
        ours = self.scratch.git.output("rev-parse", "--verify", ref).strip()
        return None if now is None else now == ours

    def _look_for_tag(self) -> str:
        server, ref = self.plan.server.name, f"refs/tags/{self.plan.tag}"
        return f"the commit is deployed. Look for its tag: git ls-remote {server} {ref}"

    def _failed(self, error: StepError) -> Outcome:
        """Undo what can be undone without harm, and say what is where."""
        self.options.interruptions.end()
        server = self.plan.server
        self.interrupted |= error.interrupted
        if error.sure and server in self.moved:
            self._push_back(server)
        return Outcome(
            "failed",
            self.plan,
            self._where(),
            self.step,
            str(error),
            tuple(error.advice or self._advice(error)),
            self.interrupted,
            self.hosts,
        )

    def _push_back(self, place: Place) -> None:
        try:
            with self.options.interruptions.once_more():
                back = self.scratch.push(place.remote, place.ref, self.plan.revision, place.before)
            failed = "" if back.moved else f"could not be pushed back: {back.why}"
        except KeyboardInterrupt:  # what is where is to be told all the same
            failed, self.interrupted = "interrupted while it was pushed back", True
        self.notes[place] = failed or "pushed back"

    def _where(self) -> tuple[Where, ...]:
        return tuple(map(self._there, self.plan.places()))

    def _there(self, place: Place) -> Where:
        now, note = self._now(place), self.notes.get(place, "")
        if now is None and place in self.moved:
            note = note or "moved, as far as is known"
        return Where(place.label(), place.url, place.before, now, note)

    def _now(self, place: Place) -> str | None:
        try:
            with self.options.interruptions.once_more():
                return self.scratch.head(place.remote, place.ref)
        except GitError:
            return None
        except KeyboardInterrupt:  # who is in a hurry is told what is known
            self.interrupted = True
            return None

    def _advice(self, error: StepError) -> Iterator[str]:
        """What to do next."""
        again, tag, revision = self._again(), self.plan.tag, self.plan.revision[:12]
        if self.step == "tag":
            yield "the commit is deployed; only its tag is missing. By hand, where it is wanted:"
            yield f"git tag -a {tag} {revision} && git push {self.plan.server.name} {tag}"
        elif OVERTAKEN in str(error):
            yield f"look at what came, then: {again}"
        elif self.step == "heroku" and not error.sure:
            goes_on = "release" if self.plan.heroku in self.moved else "build"
            yield f"Heroku may go on with its {goes_on}: look at it there, then: {again}"
        elif self.interrupted:
            yield f"to go on: {again}"
        elif self.step == "deploy":
            yield f"mend the cause, then: {again}; what is there already is not done twice"
        else:
            yield f"mend the cause, then: {again}"

    def _again(self) -> str:
        """The command line that goes on."""
        return self.options.again or f"satellite promote {self.plan.stack}"
