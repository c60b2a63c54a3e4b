"""The plan of a promotion: all that it would do, and all that is in its way."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satellite_cli.problems import Interruptions
from satellite_cli.promote_git import (
    COMMIT,
    Checkout,
    Commit,
    GitError,
    Say,
    Scratch,
    harmless,
    same_repository,
    without_user,
)
from satellite_infra.agent.heroku import Api, NoCommitError
from satellite_infra.naming import HEROKU as FOLLOWS

if TYPE_CHECKING:
    from satellite_infra.settings import Settings

SERVER, HEROKU = "satellite-repository", "satellite-heroku"


class Refused(Exception):  # noqa: N818 - nothing went wrong: it was not begun
    """Nothing was changed anywhere; `problems` says why, all of it.

    `interrupted`: because somebody stopped it.
    """

    def __init__(self, problems: list[str], interrupted: bool = False):
        super().__init__("\n".join(problems))
        self.problems, self.interrupted = problems, interrupted


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
    free: Callable[[str], bool | None] = lambda _: True
    """Whether nobody is at work on a stack; None where only a try tells that."""
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


class Planning:
    """Looks at everything, and changes nothing but the scratch repository."""

    checkout: Checkout
    scratch: Scratch
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
        places = [place for place in (server, heroku) if place]
        if cut := [place.name for place in places if self.scratch.cut(revision, place.remote)]:
            raise GitError(
                f"{harmless(str(self.checkout.path))} is a shallow clone, and {cut[0]} does "
                f"not have all that is before {revision[:12]}. Have the whole of it: git fetch "
                "--unshallow; where the server has none of it yet, push the branch to it first, "
                "from a clone that is whole"
            )
        beside = [line for place in places for line in self._beside(place)]
        self.problems += beside or self._missing(server, heroku)
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

    @functools.cached_property
    def _names(self) -> list[str]:
        """What the checkout calls the server, also where that is said by its URL."""
        return [
            name
            for name, urls in self.checkout.remotes().items()
            if any(same_repository(url, self.url) for url in (*urls, self.checkout.fetched(name)))
        ]

    def _beside(self, place: Place) -> Iterator[str]:
        """Why there can be no such branch: git has no name that is a part of another one's path."""
        wanted = place.ref.removeprefix("refs/heads/")
        for there in self.scratch.branches(place.remote):
            if f"{wanted}/".startswith(f"{there}/") != f"{there}/".startswith(f"{wanted}/"):
                yield (
                    f"{place.name} has a branch {harmless(there)}, and git makes none called "
                    f"{harmless(wanted)} beside it: give one of them another name"
                )

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
        elif api and not standing and not api.building(revision):
            yield (
                f"Heroku has {revision[:12]}, and yet {api.app} runs another commit: it was rolled "
                "back there, or its release is not there yet; then promote it again in two "
                "minutes. What was rolled back Heroku does not build again. Which release it is: "
                f"heroku releases --app {api.app}. To have it run again: {rollback(api)}, and "
                "then promote it"
            )

    def _elsewhere(self) -> str:
        """The repository that hosts fetch from, where the remote is not known to be the same."""
        return "" if self._ours(self.url) else shown_url(self.options.repository)

    def _ours(self, *urls: str) -> bool:
        """Whether one of these is the stack's repository.

        A remote's own URL for pushes is not rewritten, and one for everything is.
        """
        repository = self.options.repository
        there = (repository, *self._readings)
        return any(same_repository(url, ours) for url in urls for ours in there)

    @functools.cached_property
    def _readings(self) -> tuple[str, str]:
        return self.checkout.readings(self.options.repository)

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
        fit = [name for name, urls in there.items() if self._ours(*urls)]
        # what is pushed to may go by another name, such as one that ssh knows
        fit = fit or [name for name in there if self._ours(self.checkout.fetched(name))]
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
        ours = any(short.startswith(f"{remote}/") for remote in self._names)  # gone by now
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
        without = (short.removeprefix(f"{remote}/") for remote in self._names)
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


def rollback(api: Api) -> str:
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
