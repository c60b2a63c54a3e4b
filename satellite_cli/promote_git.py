"""git for a promotion: looks at the user's checkout; fetches and pushes from a repository apart.

That one is bare, in a temporary directory, and borrows the checkout's objects and how its remotes
are reached. So nothing is written below the checkout, no object, no ref, and no hook runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import IO

from satellite_infra.git import BATCH

ASK = 60  # seconds for a question
MOVE = 900  # seconds for commits to come or go
END = 5  # seconds for a git that was told to end
COMMIT = re.compile(r"[0-9a-f]{40}")
OF_ANOTHER_REPOSITORY = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR"),
    *("GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
    *("GIT_QUARANTINE_PATH", "GIT_SHALLOW_FILE", "GIT_WORK_TREE"),
)
"""What a git hook or alias that starts us has in its environment."""
LINES = 8
"""Of what git said at the end, that are shown; less, and the cause may not be among them."""
OLDEST = (2, 32)
"""The git that knows GIT_CONFIG_GLOBAL: an older one would heed all that the user has set."""
CAUSES = 15
"""Lines of a server that refuses, that are shown: a rule's name and a build's error stand above."""
TRACES = ("GIT_TRACE", "GIT_CURL_VERBOSE")
"""How the variables begin that have git tell what it does where its errors are read."""
CARRIED = re.compile(
    r"(credential|gpg|http|protocol|ssh|user|author|committer)\..+"
    r"|core\.(sshcommand|gitproxy|askpass)|tag\.(gpgsign|forcesignannotated)"
    r"|extensions\.partialclone|remote\..+\.(promisor|partialclonefilter)",
    re.DOTALL,
)
"""Configuration that says who somebody is and how a server is reached, wherever it is set."""
WITH_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^/:]*:(?!\d+/).*|[^/]*)@", re.I | re.S
)
"""How a URL begins that has a user; one that has a password, too, may have a slash in that. What
git takes for a port is none: there the server's name ends, and an @ is of the path.
"""
OVERTAKEN = "somebody else moved it meanwhile"
EVERYWHERE = "safe.directory"
"""What git heeds only where it is set for all repositories."""
OF_A_REMOTE = ("proxy", "proxyauthmethod", "receivepack", "uploadpack")
ASKED = "satellite-asked"
PORTS = {"git": "9418", "http": "80", "https": "443", "ssh": "22"}
MOVED, THERE = " +-*", "="
REFUSED = ("[rejected]", "[remote rejected]")

Say = Callable[[str], None]
Pairs = Sequence[tuple[str, str | None]]


class GitError(Exception):
    """git failed; the text says at what, and what it said."""


@dataclass(frozen=True)
class Done:
    """What a git command left."""

    status: int
    out: str = field(repr=False)
    err: str = field(repr=False)

    def said(self) -> str:
        """The end of what it said, on one line of a message."""
        lines = [harmless(line.strip()) for line in self.err.splitlines() if line.strip()]
        return "; ".join(lines[-LINES:]) or f"nothing, but exit status {self.status}"


@dataclass(frozen=True)
class Commit:
    """A commit as people know it."""

    hash: str
    author: str
    subject: str


@dataclass(frozen=True)
class Pushed:
    """What became of a push: `moved` by it, or `refused` for certain, or there already, or else
    nobody knows; `why` it did not move.
    """

    moved: bool = False
    there: bool = False
    refused: bool = False
    why: str = ""


@dataclass(frozen=True)
class Git:
    """Runs git in one directory."""

    cwd: Path
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    interactive: bool = False
    """Whether somebody is there whom git may ask for a password."""
    users: frozenset[str] = field(default=frozenset(), repr=False)
    """Users and passwords of URLs that it has, which nobody shall read."""

    def run(self, *arguments: str, seconds: float = ASK, say: Say | None = None) -> Done:
        """Run it to its end; `say` hears each line of what it says, as it comes."""
        # a group of its own cannot ask at the terminal
        try:
            process = subprocess.Popen(
                ["git", *self.prefix, *arguments],
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment(),
                start_new_session=not self.interactive,
            )
        except FileNotFoundError:
            raise GitError("git is not installed on this machine") from None
        out, err = bytearray(), bytearray()
        assert process.stdout
        assert process.stderr
        hear = say and (lambda line: say(harmless(self._shown(line))))
        readers = [_reading(process.stdout, out), _reading(process.stderr, err, hear)]
        try:
            process.wait(seconds)
            for reader in readers:
                reader.join(10)  # a helper that lives on may hold its end of a pipe
        except subprocess.TimeoutExpired:
            err += f"\nno answer within {seconds:g} s".encode()
        finally:
            if process.poll() is None:
                self._end(process)
        return Done(process.returncode, _text(out), self._shown(_text(err)))

    def output(self, *arguments: str, seconds: float = ASK) -> str:
        """What it prints; GitError when it fails."""
        done = self.run(*arguments, seconds=seconds)
        if done.status:
            raise GitError(f"git {arguments[0]}: {done.said()}")
        return done.out

    def _shown(self, said: str) -> str:
        """What git said, as it may be shown."""
        for user in sorted(self.users, key=len, reverse=True):
            said = said.replace(f"://{user}@", "://")
        return without_users(said)

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in OF_ANOTHER_REPOSITORY and not name.startswith(TRACES)
        }
        # without locks: `status` would write the index anew
        kept |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **self.environment}
        return kept if self.interactive else {**kept, "GIT_TERMINAL_PROMPT": "0"}

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if self.interactive:
            process.terminate()
        else:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)
        # a Ctrl-C in the wait before may have left its lock taken, and then there is no end to it
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END)


class Checkout:
    """The user's checkout. Only looked at."""

    def __init__(self, path: Path, interactive: bool = False):
        def top() -> str:
            quiet = ("-c", "core.fsmonitor=false")  # it would leave a process and its socket
            self.git = Git(path, quiet, interactive=interactive)
            try:
                return self.git.output("rev-parse", "--show-toplevel").removesuffix("\n")
            except GitError as problem:
                if "not a git repository" not in str(problem):
                    raise
                raise GitError(
                    f"{harmless(str(path.resolve()))} is in no git repository; where the app's "
                    "checkout is another folder: --checkout PATH"
                ) from None

        if not path.is_dir():
            raise GitError(f"{path} is no directory")
        there = Git(path).output("version").strip()
        if tuple(map(int, re.findall(r"\d+", there)[:2])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise GitError(f"a promotion needs git {oldest} or a newer one: this is {there}")
        self.path = Path(os.fsdecode(top().encode("utf-8", "surrogateescape")))
        self.git = replace(self.git, cwd=self.path)
        words = (word or "" for pair in self.configuration() for word in pair)
        self.git = replace(self.git, users=users(words))

    def head(self) -> tuple[str, str]:
        """The commit that is checked out, and its branch; GitError where there is none yet."""
        if not (commit := self.commit("HEAD")):
            raise GitError(f"{self.path} has no commit yet")
        branch = self.git.run("symbolic-ref", "-q", "HEAD").out.strip()
        return commit, harmless(branch.removeprefix("refs/heads/"))

    def commit(self, name: str) -> str:
        """The commit that a branch, a tag or a hash names here; empty where it names none.

        GitError where it names more than one.
        """
        git = replace(self.git, prefix=(*self.git.prefix, "-c", "core.warnAmbiguousRefs=true"))
        done = git.run("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        if " is ambiguous" in done.err:
            raise GitError(
                f"more than one thing of this checkout is called {harmless(name)}: say which one, "
                "such as refs/heads/NAME, refs/tags/NAME or the whole hash"
            )
        return done.out.strip() if done.status == 0 else ""

    def changes(self) -> tuple[list[str], list[str]]:
        """Files that are not as committed, and those that git does not know."""
        how = ("--porcelain=v2", "-z", "--no-renames", "--untracked-files=normal")
        found = self.git.output("status", *how, "--ignore-submodules=none", seconds=MOVE)
        changed: list[str] = []
        unknown: list[str] = []
        for entry in found.split("\0")[:-1]:
            kind, _, rest = entry.partition(" ")
            if kind == "?":
                unknown.append(harmless(rest))
            elif kind in ("1", "u"):
                path = rest.split(" ", 7 if kind == "1" else 9)[-1]
                # a submodule in which nothing but unknown files lie
                (unknown if rest.startswith(".M S..U ") else changed).append(harmless(path))
        return changed, unknown

    def remotes(self) -> dict[str, list[str]]:
        """Each remote's URLs for a push, as git rewrites them."""
        names = self.git.output("remote").splitlines()
        urls = ("remote", "get-url", "--push", "--all", "--")
        return {name: self.git.output(*urls, name).splitlines() for name in names}

    def fetched(self, name: str) -> str:
        """The URL that a remote is fetched from, as git rewrites it; empty where it has none."""
        return self.git.run("remote", "get-url", "--", name).out.removesuffix("\n")

    def url(self, text: str) -> str:
        """A URL for a push, as git rewrites it here."""
        return self.readings(text)[-1]

    def readings(self, text: str) -> tuple[str, str]:
        """A URL as git rewrites it here: for a fetch, and for a push."""
        # git tells that of remotes alone, and in a file because a URL may hold a token
        with tempfile.NamedTemporaryFile(prefix="satellite-promote-") as file:
            remote = configuration_text([(f"remote.{ASKED}.url", text)])
            file.write(remote.encode("utf-8", "surrogateescape"))
            file.flush()
            how = (*self.git.prefix, "-c", f"include.path={file.name}")
            found = replace(self.git, prefix=how).output("remote", "--verbose")
        fetch, push = (
            re.search(rf"^{ASKED}\t(.*) \({verb}\)", found, re.MULTILINE)
            for verb in ("fetch", "push")
        )
        return fetch[1] if fetch else text, push[1] if push else text

    def objects(self) -> Path:
        """Where its objects are; a linked worktree's are in the main one."""
        return self.path / self.git.output("rev-parse", "--git-path", "objects").removesuffix("\n")

    def shallow(self) -> bytes:
        """Where its history is cut; empty where it is whole."""
        path = self.path / self.git.output("rev-parse", "--git-path", "shallow").removesuffix("\n")
        return path.read_bytes() if path.is_file() else b""

    def configuration(self) -> list[tuple[str, str | None]]:
        """What is set for it anywhere, but for what the environment sets."""
        words = self.git.output("config", "--list", "-z", "--show-scope").split("\0")
        found: list[tuple[str, str | None]] = []
        for scope, word in zip(words[::2], words[1::2], strict=False):
            key, newline, value = word.partition("\n")
            if scope != "command":
                found.append((key, value if newline else None))
        return found


class Scratch:
    """The repository of one promotion, in an empty directory; `remotes`: their names and URLs."""

    def __init__(self, directory: Path, checkout: Checkout, remotes: Mapping[str, str], like: str):
        """`like`: the checkout's remote whose own ways of being reached the first one has, too."""
        self.shallow = checkout.shallow()
        self.seen: dict[str, dict[str, str]] = {}
        everywhere = directory.with_name("everywhere")
        alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(everywhere)}
        trusted = [(k, v) for k, v in checkout.configuration() if k == EVERYWHERE]
        everywhere.write_bytes(configuration_text(trusted).encode("utf-8", "surrogateescape"))
        known = users(remotes.values()) | checkout.git.users
        git = Git(checkout.path, (), alone, checkout.git.interactive, known)
        how = ("--quiet", "--bare", "--template=", "-b", "none", "--object-format=sha1")
        git.output("init", *how, "--", str(directory))
        # relative URLs are relative to where the checkout is; a hook may be named by a variable
        words = ("-c", f"core.hooksPath={os.devnull}", f"--git-dir={directory}")
        self.git = replace(git, prefix=words)
        objects = quoted(str(checkout.objects()))
        info = directory / "objects" / "info" / "alternates"
        info.parent.mkdir(exist_ok=True)
        info.write_bytes(f"{objects}\n".encode("utf-8", "surrogateescape"))
        if self.shallow:
            (directory / "shallow").write_bytes(self.shallow)
        # in a file: a URL or a header may hold a token, and what is in argv everybody sees
        pairs = carried(checkout, remotes, like)
        if not git.interactive and not {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys():
            pairs += [] if "core.sshcommand" in dict(pairs) else [("core.sshcommand", BATCH)]
        with (directory / "config").open("ab") as file:
            file.write(configuration_text(pairs).encode("utf-8", "surrogateescape"))

    def head(self, remote: str, ref: str) -> str:
        """What a ref of a remote is now; empty where there is none."""
        found = self.git.output("ls-remote", "--", remote, ref)
        match = re.search(rf"^([0-9a-f]+)\t{re.escape(ref)}$", found, re.MULTILINE)
        return match[1] if match else ""

    def branches(self, remote: str) -> list[str]:
        """The branches that a remote has, by their names."""
        return [ref.removeprefix("refs/heads/") for ref in self._seen(remote)]

    def _seen(self, remote: str) -> dict[str, str]:
        """What a remote's branches are: asked once, as each time may cost a password or a touch."""
        if remote not in self.seen:
            found = self.git.output("ls-remote", "--heads", "--", remote).split("\n")
            pairs = (line.split("\t", 1) for line in found if line)
            self.seen[remote] = {ref: commit for commit, ref in pairs}
        return self.seen[remote]

    def _has(self, commit: str) -> bool:
        """Whether it is here, with all before it, so that it need not be fetched."""
        how = ("--quiet", "--objects", "--exclude-promisor-objects")
        known = ("--not", "--all", "--alternate-refs")
        return self.git.run("rev-list", *how, commit, *known, seconds=MOVE).status == 0

    def fetch(self, remote: str, ref: str) -> str:
        """Have what a branch of a remote is, and all before it; empty where there is none."""
        known = self._seen(remote)
        there = known.get(ref, "")
        # an empty server has nothing of what was cut off, either
        if not known or (not self.shallow and (not there or self._has(there))):
            return there
        here = f"refs/satellite/{remote}/"
        # what was cut off may be before any branch
        refspec = f"+refs/heads/*:{here}heads/*" if self.shallow else f"+{ref}:{here}{ref[5:]}"
        how = ["--no-tags", "--no-recurse-submodules", "--quiet"]
        how += ["--unshallow"] if self.shallow else []
        self.git.output("fetch", *how, "--", remote, refspec, seconds=MOVE)
        self.shallow = b""
        if not there:
            return ""
        fetched = self.git.output("rev-parse", "--verify", f"{here}{ref[5:]}").strip()
        self.seen[remote][ref] = fetched  # it may have moved since it was seen
        return fetched

    def cut(self, commit: str, remote: str) -> bool:
        """Whether some of what a remote does not have of it was cut off, and no server had it."""
        file = Path(self.git.output("rev-parse", "--git-path", "shallow").removesuffix("\n"))
        ends = file.read_text().split() if file.is_file() else []
        return bool(ends) and not {*ends}.isdisjoint(self._missing(commit, remote))

    def _missing(self, commit: str, remote: str) -> list[str]:
        without = ("--not", f"--glob=refs/satellite/{remote}/*")
        return self.git.output("rev-list", commit, *without, "--", seconds=MOVE).split()

    def commits(self, of: str, beyond: str = "", most: int = -1) -> tuple[Commit, ...]:
        """The commits up to one that another one does not have, the newest first."""
        how = ("-z", "--format=%H%n%an%n%s", "--encoding=UTF-8", "--no-show-signature")
        without = [f"^{beyond}"] if beyond else []
        limit = f"--max-count={most}"
        found = self.git.output("log", *how, limit, of, *without, "--", seconds=MOVE)
        parts = (entry.split("\n", 2) for entry in found.split("\0") if entry)
        return tuple(Commit(hash_, harmless(who), harmless(what)) for hash_, who, what in parts)

    def push(
        self,
        remote: str,
        ref: str,
        expected: str,
        new: str,
        *,
        seconds: float = MOVE,
        say: Say | None = None,
        dry_run: bool = False,
    ) -> Pushed:
        """Have a remote's ref be `new` (empty: not be), if it still is what was `expected`."""
        how = ["--porcelain", "--no-verify", *(["--dry-run"] if dry_run else [])]
        # the lease allows more than it is used for: whoever calls knows what would be lost
        lease = f"--force-with-lease={ref}:{expected}"
        done = self.git.run(
            "push", *how, lease, "--", remote, f"{new}:{ref}", seconds=seconds, say=say
        )
        line = re.search(rf"^(.)\t{re.escape(new)}:{re.escape(ref)}\t(.*)$", done.out, re.MULTILINE)
        flag, summary = (line[1], line[2]) if line else ("!", "")
        if line and flag in MOVED + THERE:
            return Pushed(moved=flag in MOVED, there=flag in THERE)
        if "(stale info)" in summary:
            return Pushed(refused=True, why=OVERTAKEN)
        if summary.startswith(REFUSED):
            said = (text[7:] for text in done.err.splitlines() if text.startswith("remote:"))
            causes = [" ".join(text.split()) for text in said if text.strip()]
            why = "; ".join([summary, *causes[-CAUSES:]])
            return Pushed(refused=True, why=harmless(why))
        return Pushed(why=done.said())

    def tag(self, name: str, commit: str, message: str) -> str:
        """Make an annotated tag here, signed where the user's git signs; its hash."""
        self.git.output("tag", "--annotate", "--message", message, "--", name, commit, seconds=MOVE)
        return self.git.output("rev-parse", "--verify", f"refs/tags/{name}").strip()


def carried(
    checkout: Checkout, remotes: Mapping[str, str], like: str
) -> list[tuple[str, str | None]]:
    """The configuration that a promotion's own repository gets."""
    there = checkout.configuration()
    found: list[tuple[str, str | None]] = [(k, v) for k, v in there if CARRIED.fullmatch(k)]
    promisors = {key[7:-9] for key, _ in found if re.fullmatch(r"remote\..+\.promisor", key)}
    for name in sorted(promisors & checkout.remotes().keys()):
        url = checkout.git.output("remote", "get-url", "--", name).removesuffix("\n")
        found.append((f"remote.{name}.url", url))
    for name, url in remotes.items():
        found.append((f"remote.{name}.url", url))
    first = next(iter(remotes))
    for key in OF_A_REMOTE:
        found += [(f"remote.{first}.{key}", v) for k, v in there if k == f"remote.{like}.{key}"]
    return found


def configuration_text(pairs: Pairs) -> str:
    """Lines of a git configuration file."""
    lines = []
    for key, value in pairs:
        section, _, rest = key.partition(".")
        part, _, name = rest.rpartition(".")
        inner = f" {quoted(part)}" if part else ""
        lines += [
            f"[{section}{inner}]",
            f"\t{name}" + ("" if value is None else f" = {quoted(value)}"),
        ]
    return "".join(f"{line}\n" for line in lines)


def quoted(text: str) -> str:
    """In double quotes, as git's own files have it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def same_repository(one: str, other: str) -> bool:
    """Whether two URLs lead to one repository, by whichever protocol and user.

    Another port is another server only in the same protocol: each has ports of its own.
    """
    (place, scheme, port), (other_place, other_scheme, other_port) = _place(one), _place(other)
    return place == other_place and (scheme != other_scheme or port == other_port)


def _place(url: str) -> tuple[tuple[str, str], str, str]:
    """Host, in lower case, and path of a URL; its scheme and port."""
    url = url.removeprefix("file://")
    scheme, port = "ssh", ""
    match = re.fullmatch(r"([a-z+]+)://(?:[^@/]*@)?([^/:]*)(?::(\d+))?/(.*)", url, re.I | re.S)
    if match:
        scheme, host, port, path = match[1].lower(), match[2], match[3] or "", match[4]
    elif (
        "://" not in url
        and not url.startswith(("/", "."))
        and (match := re.fullmatch(r"(?:[^@/:]*@)?([^/:]+):(.*)", url, re.S))
    ):
        host, path = match[1], match[2]
    else:
        host, path = "", url
    path = path.rstrip("/").removesuffix(".git").rstrip("/")
    # a server's paths are the same with and without a slash in front, GitHub's in any case
    path = path.lstrip("/").lower() if host else path
    return (host.lower(), path), scheme, port or PORTS.get(scheme, "")


def users(words: Iterable[str]) -> frozenset[str]:
    """Users and passwords of the URLs among these words."""
    return frozenset(match["user"] for word in words if (match := WITH_USER.search(word)))


def without_user(url: str) -> str:
    """A URL without its user and password; but for ssh's user: it is no secret as a token may be,
    and without it the URL leads nowhere.
    """

    def kept(match: re.Match[str]) -> str:
        user = match["user"].partition(":")[0]
        return match["scheme"] + (f"{user}@" if match["scheme"].lower() == "ssh://" else "")

    return WITH_USER.sub(kept, url)


def without_users(text: str) -> str:
    """A text without the users and passwords of its URLs, as far as it shows where they end."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def harmless(text: str) -> str:
    """A text of somebody else as a terminal may have it: on one line, and nothing unseen in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _text(found: bytes | bytearray) -> str:
    return bytes(found).decode("utf-8", "surrogateescape")


def _reading(pipe: IO[bytes], into: bytearray, say: Say | None = None) -> Thread:
    """Reads a pipe to its end, beside what else goes on."""

    def lines() -> Iterator[bytes]:
        rest = b""
        while part := os.read(pipe.fileno(), 65_536):
            into.extend(part)
            *whole, rest = re.split(rb"[\r\n]", rest + part)
            yield from whole
        yield rest

    def read() -> None:
        with pipe:
            for line in lines():
                if say and line.strip():
                    say(_text(line).rstrip().expandtabs())

    thread = Thread(target=read, daemon=True)
    thread.start()
    return thread
