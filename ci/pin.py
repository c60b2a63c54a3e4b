"""Pin in a stack file the app's commit that a preview or a deploy is about.

Usage: python3 -m ci.pin STACK COMMIT [--previewed REVISION --before REVISION]

Where the app lives in this very repository that is COMMIT, whatever the branch says by then. Where
`satellite:repository` is another one, a deploy pins what its preview has shown, --previewed, while
all hosts run what they ran then, --before, or that: no other deploy since is undone. Where nothing
was shown, the branch says what is deployed. A `satellite:revision` of the stack file stays as it
is.

Whether it is this one by a name that it had before, GitHub is asked with GITHUB_TOKEN.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.error
from collections.abc import Iterable
from dataclasses import replace

from ci.comment import NOTHING, released
from ci.github import GitHub, of_step, problem, text

HERE = "satellite:repository"
REVISION = "satellite:revision"
NOT_FOUND = 127
"""The status that a shell gives to a command that cannot be started."""
ADVICE = """\
Nothing was deployed. Run the job of the preview again, read what it says now, and run this one
again. Or set the variable SATELLITE_UNPREVIEWED to allow, and the branch says what is deployed."""


class StaleError(Exception):
    """The stack runs something else by now than when it was previewed; the text says what."""


def slug(repository: str, host: str) -> str:
    """`owner/name` of a repository on this git server, in lower case; empty for any other."""
    # where port 22 is closed, GitHub's own is reached over SSH by another name
    server = rf"(?:ssh\.)?{re.escape(host)}" if host == "github.com" else re.escape(host)
    url = rf"(?:https://|ssh://(?:[^@/]+@)?)(?:[^@/]+@)?{server}(?::\d+)?/(.+)"
    scp = rf"(?:[^@/]+@)?{server}:(.+)"
    match = re.fullmatch(url, repository, re.I) or re.fullmatch(scp, repository, re.I)
    name = match[1].strip("/").removesuffix(".git").lower() if match else ""
    return name if re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.A) else ""


def is_ours(name: str) -> bool:
    """Whether `owner/name` is the workflow's repository; OSError when GitHub does not answer."""
    ours = of_step("GITHUB_REPOSITORY").lower()
    if name in ("", ours):
        return name == ours
    if not os.environ.get("GITHUB_TOKEN"):  # of a copy of the workflows that is older
        print("::warning::without GITHUB_TOKEN a repository is known by its present name alone")
        return False
    try:
        # an old name leads to the repository that has another one now
        found = replace(GitHub.of_runner(), repository=name).call("GET", "")
    except urllib.error.HTTPError as error:
        # the token may see its own repository, by whichever name; it may also be asked too often
        limited = error.headers.get("X-RateLimit-Remaining") == "0" or error.headers["Retry-After"]
        if error.code == 404 or (error.code == 403 and not limited):
            return False
        raise
    return text(found, "full_name").lower() == ours


def pulumi(stack: str, *arguments: str) -> str:
    """What `pulumi ARGUMENTS` prints about the stack; CalledProcessError when it fails, which it
    has said why.
    """
    command = ["pulumi", *arguments, "--stack", stack, "--non-interactive"]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        print(f"error: {not_started(error)}", file=sys.stderr)
        raise subprocess.CalledProcessError(NOT_FOUND, command) from None
    return done.stdout.strip()


def not_started(error: OSError) -> str:
    """Why there is no engine, for people."""
    return f"pulumi cannot be started: {error.strerror}"


def pin(stack: str, commit: str, previewed: str | None, before: str) -> str:
    """What was done; StaleError, CalledProcessError when a command fails, OSError when GitHub does
    not answer.
    """
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com").partition("://")[2]
    known = json.loads(pulumi(stack, "config", "--json"))
    repository, pinned = (known.get(key, {}).get("value", "") for key in (HERE, REVISION))
    if pinned:  # such as a rollback that was committed
        return f"not pinned: {REVISION} of the stack file is {pinned[:12]}"
    ours = is_ours(slug(repository, server))
    wanted = commit if ours else previewed
    if not wanted:
        shown = "" if previewed is None else ", and no preview has shown its commit"
        return f"not pinned: {HERE} is {repository}, not this repository{shown}"
    if not ours:
        check(stack, before, wanted)
    pulumi(stack, "config", "set", REVISION, wanted)
    return f"pinned: {stack} runs {wanted}"


def check(stack: str, before: str, previewed: str) -> None:
    """StaleError where a host runs neither of them: somebody else has deployed since."""
    state = json.loads(pulumi(stack, "stack", "export"))["deployment"] or {}
    running, known = released(state.get("resources") or []) or [NOTHING], before.split(",")
    if not {*running} <= {*known, previewed}:
        raise StaleError(
            f"{stack} runs {_short(running)} by now, and what was previewed is "
            f"{_short(known)} → {previewed[:12]}"
        )


def _short(commits: Iterable[str]) -> str:
    return ", ".join(commit[:12] for commit in commits)


def main(arguments: list[str]) -> int:
    """0 when pinned, or not ours to pin; 1 and one message on stderr when the preview is too old,
    or GitHub does not answer; else the status of the command that failed.
    """
    parser = argparse.ArgumentParser(prog="ci.pin", description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parser.add_argument("commit")
    parser.add_argument("--previewed", help="empty where no preview has shown a commit of the app")
    parser.add_argument("--before", default="", help="what hosts ran when it was previewed")
    parsed = parser.parse_args(arguments)
    try:
        print(pin(parsed.stack, parsed.commit, parsed.previewed, parsed.before))
    except subprocess.CalledProcessError as error:
        return error.returncode
    except OSError as error:
        print(f"error: {problem(error)}", file=sys.stderr)
        return 1
    except StaleError as error:
        if os.environ.get("SATELLITE_UNPREVIEWED") != "allow":
            print(f"error: {error}.\n{ADVICE}", file=sys.stderr)
            return 1
        print(f"::warning::not pinned: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
