"""Promotion: one commit becomes an environment's branch, Heroku's build and the hosts' release.

Everything that can be known is known, shown and confirmed before anything moves. A step that fails
leaves the remotes as they were where that is safe, and in any case says what is where.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satellite_cli.problems import Interruptions
from satellite_cli.promote_git import (
    COMMIT,
    OVERTAKEN,
    Checkout,
    Commit,
    GitError,
    Say,
    Scratch,
    harmless,
    same_repository,
    without_user,
)
from satellite_infra.agent.heroku import Api, HerokuError, NoCommitError
from satellite_infra.naming import HEROKU as FOLLOWS

if TYPE_CHECKING:
    from satellite_infra.settings import Settings

SERVER, HEROKU = "satellite-repository", "satellite-heroku"
BUILD = 7200  # seconds for Heroku's build, and for the release phase behind it
APPEAR = 120  # seconds for Heroku to show the release of a push
FREE = 900  # seconds for another update of the stack to end
POLL = 5
SKIPPED = re.compile(r"Pushed to non-\S+ branch .*skipping build")
"""What Heroku says of a push to another branch than the one that it builds."""
INTERRUPTED = "interrupted"
"""The problem of a promotion that somebody stopped."""


class Refused(Exception):  # noqa: N818 - nothing went wrong: it was not begun
    """Nothing was changed anywhere; `problems` says why, all of it.

    `interrupted`: because somebody stopped it.
    """

    def __init__(self, problems: list[str], interrupted: bool = False):
        super().__init__("\n".join(problems))
        self.problems, self.interrupted = problems, interrupted


@contextlib.contextmanager
def not_begun() -> Iterator[None]:
    """What is done before anything moves: who interrupts it is told that nothing has."""
    try:
        yield
    except KeyboardInterrupt:
        raise Refused([INTERRUPTED], interrupted=True) from None


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
class Place:
    """A ref of a remote, what it is, and which commits would come and go."""

    remote: str
    name: str
    """As people know the remote."""
    url: str
    ref: str
    before: str = ""
    """Empty where there is none."""
    going: tuple[Commit, ...] = ()
    lost: tuple[Commit, ...] = ()

    def label(self) -> str:
        """`staging of origin`."""
        return harmless(f"{self.ref.split('/', 2)[2]} of {self.name}")


@dataclass(frozen=True)
class Plan:
    """All that a promotion would do, before it does any of it."""

    environment: str
    stack: str
    revision: str
    subject: str
    source: str
    """Where the commit was found."""
    server: Place
    heroku: Place | None
    runs: str
    """The commit that the app runs on Heroku; empty where Heroku was not asked."""
    tag: str
    untracked: tuple[str, ...]
    """What lies in the checkout and is in no commit."""
    elsewhere: str = ""
    """Where hosts fetch from, if that looks like another repository than the server's."""
    follows: bool = False
    """Whether the stack goes on with what Heroku runs, to which nothing is pushed."""

    def places(self) -> tuple[Place, ...]:
        """Each branch that moves, in this order."""
        return (self.server, *([self.heroku] if self.heroku else []))


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


def nobody(_: str) -> None:
    """Hears what is said, and does nothing."""


@dataclass(frozen=True)
class Options:
    """What is promoted, to where, and how."""

    environment: str
    stack: str
    repository: str
    branch: str
    deploy: Callable[[str, str], None]
    """Releases a revision to a stack's hosts; DeployError when it failed."""
    confirm: Callable[[], bool]
    """Asked once the plan was shown; False: nothing shall be done."""
    show: Callable[[Plan], None]
    """Given the plan once it is made; what it raises ends the promotion before it begins."""
    free: Callable[[str], bool] = lambda _: True
    """Whether nobody is at work on a stack, as far as that can be known."""
    again: str = ""
    """The command line that does all this once more; the shortest one where it is empty."""
    checkout: Path = Path()
    source: str = ""
    """A branch of the repository; what is checked out where it is empty."""
    source_here: bool = False
    """Whether a commit of the checkout will do for it, too."""
    remote: str = ""
    """Name or URL of the repository's remote; found by `repository` where it is empty."""
    heroku_remote: str = ""
    heroku_branch: str = "main"
    heroku_api: Api | None = None
    follows: bool = False
    """Whether the stack follows Heroku."""
    tag: bool = False
    force: bool = False
    create: bool = False
    dry_run: bool = False
    interactive: bool = False
    interruptions: Interruptions = field(default_factory=Interruptions)
    say: Say = nobody
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, settings: Settings, stack: str, **rest: Any) -> Options:
        """As the stack's settings have it; `rest` wins."""
        promote, heroku = settings.promote, settings.heroku
        found: dict[str, Any] = {
            "environment": settings.environment,
            "stack": stack,
            "repository": settings.repository,
            "branch": settings.branch,
            "follows": settings.revision == FOLLOWS,
        }
        if promote:
            found |= {"source": promote.source or "", "tag": promote.tag}
        if promote and promote.heroku_remote:
            found |= {
                "heroku_remote": promote.heroku_remote,
                "heroku_branch": promote.heroku_branch,
                "heroku_api": Api(heroku.app, settings.heroku_api_token) if heroku else None,
            }
        return cls(**{**found, **rest})


def promote(options: Options) -> Outcome:
    """Promote a commit; Refused when nothing was changed because something is in the way.

    BrokenError when a step met what nobody has foreseen.
    """
    with (
        tempfile.TemporaryDirectory(prefix="satellite-promote-") as directory,
        options.interruptions.until_here(),
    ):
        with not_begun():
            planning = Planning(options, Path(directory, "scratch.git"))
            try:
                plan = planning.plan()
            except (GitError, HerokuError) as error:
                raise Refused([*planning.problems, str(error)]) from None
            options.show(plan)
            asked = tuple(Where(p.label(), p.url, p.before, p.before) for p in plan.places())
            if options.dry_run:
                return Outcome("dry run", plan, asked)
            if not options.confirm():
                return Outcome("declined", plan, asked)
        return Promotion(options, planning.scratch, plan).run()


class Planning:
    """Looks at everything, and changes nothing but the scratch repository."""

    checkout: Checkout
    scratch: Scratch
    names: list[str]
    """What the checkout calls the server, also where that is said by its URL."""
    url: str
    """Where the branch is pushed to."""

    def __init__(self, options: Options, directory: Path):
        self.options, self.directory = options, directory
        self.problems: list[str] = []
        """What is in the way so far."""

    def plan(self) -> Plan:
        """The plan; Refused, GitError or HerokuError when something is in its way."""
        self.checkout = Checkout(self.options.checkout, self.options.interactive)
        head, branch = self.checkout.head()
        changed, unknown = self.checkout.changes()
        if changed:
            self.problems.append(
                f"{harmless(str(self.checkout.path))} is not clean. Commit these, or stash them:\n"
                + _indented(changed)
            )
        self._check(head)
        server, heroku = self._places()
        self._told(f"looking at {server.name} ({server.url})")
        revision, source = self._source(server, head, branch)
        server = self._found(server, revision)
        if heroku:
            self._told(f"looking at {heroku.name} ({heroku.url})")
            heroku = self._found(heroku, revision)
        self.problems += self._missing(server, heroku)
        for place in filter(None, (server, heroku)):
            if place.lost and not self.options.force:
                self.problems.append(_would_lose(place, revision))
        tag = self._tag(revision) if self.options.tag else ""
        runs = self._runs() if heroku else ""
        if heroku and heroku.before == revision:
            self.problems += self._hopeless(revision)
        if not self.problems:
            self.problems += self._refusals(revision, server, heroku)
        if self.problems:
            raise Refused(self.problems)
        return Plan(
            environment=self.options.environment,
            stack=self.options.stack,
            revision=revision,
            subject=self.scratch.commits(revision, most=1)[0].subject,
            source=source,
            server=server,
            heroku=heroku,
            runs=runs,
            tag=tag,
            untracked=tuple(unknown),
            elsewhere=self._elsewhere(),
            follows=self.options.follows and not heroku,
        )

    def _told(self, what: str) -> None:
        """Who may have to type a password, or to touch a key, is told for what."""
        if self.options.interactive:
            self.options.say(what)

    def _check(self, head: str) -> None:
        """Nothing goes on from here with what can be no commit, or no branch, of ours."""
        if not COMMIT.fullmatch(head):
            raise GitError("satellite deploys commits of 40 hex digits: this repository has others")
        options = self.options
        source = "" if options.source_here else options.source
        wrong = [
            f"{harmless(branch)} cannot be the name of a branch"
            for branch in filter(None, (options.branch, options.heroku_branch, source))
            if self._unfit(branch)
        ]
        if wrong:
            raise GitError("\n".join(wrong))

    def _unfit(self, branch: str) -> bool:
        if branch.startswith("-") or "\0" in branch:
            return True
        return self.checkout.git.run("check-ref-format", f"refs/heads/{branch}").status != 0

    def _places(self) -> tuple[Place, Place | None]:
        """The branches that shall move; nothing is known of them yet."""
        options = self.options
        name, self.url = self._remote()
        self.names = self._called()
        remotes = {SERVER: self.url}
        if options.heroku_remote:
            remotes[HEROKU] = self.checkout.url(options.heroku_remote)
        self.scratch = Scratch(self.directory, self.checkout, remotes, name)
        shown = {remote: shown_url(url) for remote, url in remotes.items()}
        ref = f"refs/heads/{options.branch}"
        server = Place(SERVER, harmless(name) or shown[SERVER], shown[SERVER], ref)
        ref = f"refs/heads/{options.heroku_branch}"
        heroku = Place(HEROKU, "heroku", shown[HEROKU], ref) if HEROKU in shown else None
        return server, heroku

    def _called(self) -> list[str]:
        """The remotes of the checkout that are the server."""
        return [
            name
            for name, urls in self.checkout.remotes().items()
            if any(same_repository(url, self.url) for url in (*urls, self.checkout.fetched(name)))
        ]

    def _missing(self, server: Place, heroku: Place | None) -> Iterator[str]:
        """Branches that are not there, and that nobody has said to make."""
        if self.options.create:
            return
        if not server.before:
            yield (
                f"{server.name} has no branch {self.options.branch} (satellite:branch): where it "
                "shall be made, --create"
            )
        # an app that is new has none, and builds the first one
        if heroku and not heroku.before and (there := self.scratch.branches(HEROKU)):
            yield (
                f"heroku has no branch {self.options.heroku_branch} "
                f"(satellite:promote.heroku_branch; it has {harmless(', '.join(there))}), and "
                "builds one branch alone: where it shall be made, --create"
            )

    def _hopeless(self, revision: str) -> Iterator[str]:
        """Why to promote again what Heroku has already would only move the branch to and fro."""
        api = self.options.heroku_api
        standing = api.standing(revision) if api else "not known"
        if api and standing == "failed":
            yield (
                f"Heroku has {revision[:12]}, and its release has failed there. Promote a new "
                f"commit, or have Heroku try again: heroku releases:retry --app {api.app}"
            )
        elif api and not standing:
            yield (
                f"Heroku has {revision[:12]}, and yet {api.app} runs another commit: it was rolled "
                "back there, and what Heroku has it does not build again. Which release it is: "
                f"heroku releases --app {api.app}. To have it run again: {_rollback(api)}, and "
                "then promote it"
            )

    def _elsewhere(self) -> str:
        """The repository that hosts fetch from, where the remote is not known to be the same."""
        ours = self.checkout.url(self.options.repository)
        same = same_repository(self.url, ours)
        return "" if same else shown_url(self.options.repository)

    def _remote(self) -> tuple[str, str]:
        """Name and URL of the repository's remote; no name where the checkout has none."""
        wanted, there = self.options.remote, self.checkout.remotes()
        if wanted and wanted not in there:
            if not re.search(r"[:/]", wanted) or wanted.startswith("-"):
                raise GitError(
                    harmless(f"{self.checkout.path} has no remote {wanted}{_listed(there)}")
                )
            return "", self.checkout.url(wanted)
        fit = [wanted] if wanted else self._fitting(there)
        if not fit:
            raise GitError(
                harmless(
                    f"no remote of {self.checkout.path} is {self.options.repository} "
                    f"(satellite:repository){_listed(there)}. Where this is not the app's "
                    "checkout: --checkout PATH; where it is, say which remote: --remote NAME"
                )
            )
        if len(there[fit[0]]) > 1:
            raise GitError(f"remote {fit[0]} pushes to several URLs: say which one, --remote URL")
        return fit[0], there[fit[0]][0]

    def _fitting(self, there: dict[str, list[str]]) -> list[str]:
        ours = self.checkout.url(self.options.repository)
        fit = [name for name, urls in there.items() if any(same_repository(u, ours) for u in urls)]
        # what is pushed to may go by another name, such as one that ssh knows
        fit = fit or [name for name in there if same_repository(self.checkout.fetched(name), ours)]
        return sorted(fit, key=lambda name: (name != "origin", name))

    def _source(self, server: Place, head: str, branch: str) -> tuple[str, str]:
        """The commit to promote, and where it is from."""
        name = self.options.source
        if not name:
            return head, f"{branch or 'no branch'}, as checked out"
        for branch in self._meant(name):
            if found := self.scratch.fetch(SERVER, f"refs/heads/{branch}"):
                return found, harmless(f"{branch} of {server.name}")
        short = name.removeprefix("refs/remotes/")
        ours = any(short.startswith(f"{remote}/") for remote in self.names)  # gone by now
        here = self.options.source_here and not ours
        if here and (found := self.checkout.commit(name)):
            return found, harmless(f"{name}, as this checkout has it")
        neither = ", and this checkout no such commit" if here else ""
        raise GitError(harmless(f"{server.name} has no branch {name}{neither}"))

    def _meant(self, name: str) -> Iterator[str]:
        """The branches of the server that a name may mean; none for such as HEAD~1.

        What the checkout last saw of one, such as origin/main, may be old by now.
        """
        short = name.removeprefix("refs/heads/").removeprefix("refs/remotes/")
        without = (short.removeprefix(f"{remote}/") for remote in self.names)
        for branch in dict.fromkeys((short, *without)):
            if not self._unfit(branch):
                yield branch

    def _found(self, place: Place, revision: str) -> Place:
        """With what it is now."""
        before = self.scratch.fetch(place.remote, place.ref)
        lost = self.scratch.commits(before, revision) if before else ()
        return replace(
            place, before=before, going=self.scratch.commits(revision, before), lost=lost
        )

    def _runs(self) -> str:
        """The commit that the app runs; that Heroku answers is known now, not after the push."""
        try:
            return self.options.heroku_api.commit() if self.options.heroku_api else ""
        except NoCommitError:  # its first push
            return ""

    def _tag(self, revision: str) -> str:
        """Its name; it is made here, so that want of a name or of a key to sign is known now."""
        name = f"{self.options.environment}-{self.options.now():%Y%m%dT%H%M%SZ}"
        self.scratch.tag(name, revision, f"Promoted to {self.options.environment}")
        return name

    def _refusals(self, revision: str, *places: Place | None) -> Iterator[str]:
        """Who would not let us push, as far as a server says so beforehand."""
        for place in filter(None, places):
            self._told(f"asking {place.name} whether it takes a push")
            pushed = self.scratch.push(
                place.remote, place.ref, place.before, revision, dry_run=True
            )
            if not pushed.moved and not pushed.there:
                yield f"{place.label()} cannot be pushed to: {pushed.why}"


class Promotion:
    """The steps of one promotion, and what was done so far."""

    def __init__(self, options: Options, scratch: Scratch, plan: Plan):
        self.options, self.scratch, self.plan = options, scratch, plan
        self.step, self.interrupted = "", False
        self.moved: list[Place] = []
        self.hosts: tuple[Runs, ...] = ()
        self.notes: dict[Place, str] = {}

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
        if sure and server not in self.moved and server.before != self.plan.revision:
            if self._now(server) == self.plan.revision:
                self.moved.append(server)
            else:  # a server may go on without whoever asked it
                sure = False
                self.notes[server] = "whether it moves yet is not known"
        return self._failed(StepError(INTERRUPTED, sure, interrupted=True))

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
                    f"where {api.app} shall run it again: {_rollback(api)}, then: {self._again()}",
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
            lease = f"--force-with-lease={server.ref}:{self.plan.revision}"
            yield "or, once it is known that Heroku does not build it, take the branch back:"
            yield f"git push {lease} {server.name} {server.before}:{server.ref}"

    def _standing(self, api: Api, pushed: bool) -> str:
        """How the release stands when it does not change any more, or time is over."""
        began = heard = self.options.clock()
        self.options.say(f"waiting until {api.app} on Heroku runs it")
        while True:
            try:
                standing = api.standing(self.plan.revision)
            except HerokuError as error:
                if not error.passing or self.options.clock() - heard >= APPEAR:
                    raise
                self.options.say(f"  {error}")
            else:
                heard, limit = self.options.clock(), BUILD if standing else APPEAR if pushed else 0
                if standing in ("current", "failed") or heard - began >= limit:
                    return standing
            self.options.sleep(POLL)

    def _deploy(self) -> None:
        revision, stack = self.plan.revision, self.plan.stack
        end = self.options.clock() + FREE
        self.options.say(f"deploy {revision[:12]} to stack {stack}")
        while True:
            # whoever has promoted another commit meanwhile, perhaps while this one waited for them,
            # has moved it, and their hosts stay as they are
            self._check(self.plan.places()[-1])
            try:
                self.options.deploy(revision, stack)
            except DeployError as error:
                if error.busy and self._freed(str(error), end):
                    continue
                self.hosts = tuple(error.hosts)
                raise StepError(f"the hosts: {error}", interrupted=error.interrupted) from error
            return

    def _freed(self, why: str, end: float) -> bool:
        """Wait until nobody is at work on the stack; False where that is not before the end."""
        self.options.say(f"  waiting: {why.splitlines()[0]}")
        while self.options.clock() < end:
            self.options.sleep(POLL)
            if self.options.free(self.plan.stack):
                return True
        return False

    def _tag(self) -> None:
        tag, server = self.plan.tag, self.plan.server
        ref = f"refs/tags/{tag}"
        ours = self.scratch.git.output("rev-parse", "--verify", ref).strip()
        pushed = self.scratch.push(SERVER, ref, "", ref)
        there = pushed.moved or pushed.there
        if not there and (pushed.refused or (now := self._now(replace(server, ref=ref))) == ""):
            raise StepError(f"{server.name} did not take tag {tag}: {pushed.why}")
        if not there and now != ours:
            advice = f"the commit is deployed. Look for its tag: git ls-remote {server.name} {ref}"
            raise StepError(
                f"whether {server.name} has tag {tag} is not known: {pushed.why}", advice=(advice,)
            )
        self.options.say(f"tag {tag}")

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
        elif self.step == "deploy":
            yield f"mend the cause, then: {again}; what is there already is not done twice"
        elif self.step == "heroku" and not error.sure:
            goes_on = "release" if self.plan.heroku in self.moved else "build"
            yield f"Heroku may go on with its {goes_on}: look at it there, then: {again}"
        elif self.interrupted:
            yield f"to go on: {again}"
        else:
            yield f"mend the cause, then: {again}"

    def _again(self) -> str:
        """The command line that goes on."""
        return self.options.again or f"satellite promote {self.plan.stack}"


def _rollback(api: Api) -> str:
    """The command by which an app runs again what it has run before."""
    return f"heroku rollback vN --app {api.app}"


def _would_lose(place: Place, revision: str) -> str:
    lost = [f"{c.hash[:12]} {c.subject} ({c.author})" for c in place.lost]
    return (
        f"{place.label()} has commits that {revision[:12]} does not have. Merge them; or, where "
        "they shall be lost, --force:\n" + _indented(lost, len(lost))
    )


def _indented(lines: list[str], most: int = 20) -> str:
    some = [f"  {line}" for line in lines[:most]]
    return "\n".join([*some, *([f"  and {len(lines) - most} more"] if len(lines) > most else [])])


def _listed(there: dict[str, list[str]]) -> str:
    """The remotes that there are, as the end of a sentence."""
    if not there:
        return " (it has no remote)"
    shown = (f"{name} {' '.join(map(shown_url, urls))}" for name, urls in sorted(there.items()))
    return f" (it has {', '.join(shown)})"


def shown_url(url: str) -> str:
    """A URL as it may be shown."""
    return harmless(without_user(url))
