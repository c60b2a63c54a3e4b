"""Pin the commit of this repository in a stack file, where the app lives in this very repository.

Usage: python3 -m ci.pin STACK COMMIT

Then the preview and the deploy of a commit are about this commit, whatever the branch says by then.
Where `satellite:repository` is another one, nothing is changed: its branch, or the
`satellite:revision` of the stack file, says what is deployed. So it is where that is `heroku`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

HERE = "satellite:repository"
REVISION = "satellite:revision"


def slug(repository: str, host: str) -> str:
    """`owner/name` of a repository on this git server, in lower case; empty for any other."""
    url = rf"(?:https://|ssh://(?:[^@/]+@)?)(?:[^@/]+@)?{re.escape(host)}(?::\d+)?/(.+)"
    scp = rf"(?:[^@/]+@)?{re.escape(host)}:(.+)"
    match = re.fullmatch(url, repository, re.I) or re.fullmatch(scp, repository, re.I)
    return match[1].strip("/").removesuffix(".git").lower() if match else ""


def pulumi(stack: str, *arguments: str) -> str:
    """What `pulumi config ARGUMENTS` prints; CalledProcessError when it fails."""
    done = subprocess.run(
        ["pulumi", "config", *arguments, "--stack", stack, "--non-interactive"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """0 when pinned or not ours to pin; else the status of the command that failed."""
    stack, commit = arguments
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com").partition("://")[2]
    ours = os.environ["GITHUB_REPOSITORY"].lower()
    try:
        known = json.loads(pulumi(stack, "--json"))
        repository = known.get(HERE, {}).get("value", "")
        if known.get(REVISION, {}).get("value") == "heroku":
            print(f"not pinned: {REVISION} is heroku")
            return 0
        if slug(repository, server) != ours:
            print(f"not pinned: {HERE} is {repository}, not this repository")
            return 0
        pulumi(stack, "set", REVISION, commit)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"pinned: {stack} runs {commit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
