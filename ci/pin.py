"""Pin in a stack file the app's commit that a preview or a deploy is about.

Usage: python3 -m ci.pin STACK COMMIT [--previewed REVISION --before REVISION]

Where the app lives in this very repository that is COMMIT, whatever the branch says by then. Where
`satellite:repository` is another one, a deploy pins what its preview has shown, --previewed, while
the stack runs what it ran then, --before: no other deploy since is undone. Where nothing was shown,
the branch says what is deployed. A `satellite:revision` of the stack file stays as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

from ci.comment import NOTHING

HERE = "satellite:repository"
REVISION = "satellite:revision"
ADVICE = """\
Nothing was deployed. Run the job of the preview again, read what it says now, and run this one
again. Or set the variable SATELLITE_UNPREVIEWED to allow, and the branch says what is deployed."""


class StaleError(Exception):
    """The stack runs something else by now than when it was previewed; the text says what."""


def slug(repository: str, host: str) -> str:
    """`owner/name` of a repository on this git server, in lower case; empty for any other."""
    url = rf"(?:https://|ssh://(?:[^@/]+@)?)(?:[^@/]+@)?{re.escape(host)}(?::\d+)?/(.+)"
    scp = rf"(?:[^@/]+@)?{re.escape(host)}:(.+)"
    match = re.fullmatch(url, repository, re.I) or re.fullmatch(scp, repository, re.I)
    return match[1].strip("/").removesuffix(".git").lower() if match else ""


def pulumi(stack: str, *arguments: str) -> str:
    """What `pulumi ARGUMENTS` prints about the stack; CalledProcessError when it fails."""
    done = subprocess.run(
        ["pulumi", *arguments, "--stack", stack, "--non-interactive"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def pin(stack: str, commit: str, previewed: str | None, before: str) -> str:
    """What was done; StaleError, and CalledProcessError when a command fails."""
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com").partition("://")[2]
    known = json.loads(pulumi(stack, "config", "--json"))
    repository, pinned = (known.get(key, {}).get("value", "") for key in (HERE, REVISION))
    if pinned:  # such as a rollback that was committed
        return f"not pinned: {REVISION} of the stack file is {pinned[:12]}"
    ours = slug(repository, server) == os.environ["GITHUB_REPOSITORY"].lower()
    wanted = commit if ours else previewed
    if not wanted:
        shown = "" if previewed is None else ", and no preview has shown its commit"
        return f"not pinned: {HERE} is {repository}, not this repository{shown}"
    if not ours:
        check(stack, before, wanted)
    pulumi(stack, "config", "set", REVISION, wanted)
    return f"pinned: {stack} runs {wanted}"


def check(stack: str, before: str, previewed: str) -> None:
    """StaleError where the stack runs neither of them: somebody else has deployed since."""
    running = json.loads(pulumi(stack, "stack", "output", "--json")).get("revision", NOTHING)
    if running not in (before, previewed):
        raise StaleError(
            f"{stack} runs {running[:12]} by now, and what was previewed is "
            f"{before[:12]} → {previewed[:12]}"
        )


def main(arguments: list[str]) -> int:
    """0 when pinned, or not ours to pin; 1 and one message on stderr when the preview is too old;
    else the status of the command that failed.
    """
    parser = argparse.ArgumentParser(prog="ci.pin", description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parser.add_argument("commit")
    parser.add_argument("--previewed", help="empty where no preview has shown a commit of the app")
    parser.add_argument("--before", default="", help="what ran when it was previewed")
    parsed = parser.parse_args(arguments)
    try:
        print(pin(parsed.stack, parsed.commit, parsed.previewed, parsed.before))
    except subprocess.CalledProcessError as error:
        return error.returncode
    except StaleError as error:
        if os.environ.get("SATELLITE_UNPREVIEWED") != "allow":
            print(f"error: {error}.\n{ADVICE}", file=sys.stderr)
            return 1
        print(f"::warning::not pinned: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
