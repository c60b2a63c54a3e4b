"""Is what was pushed exactly what a pull request's preview has shown? Refuses anything else.

Usage: python3 -m ci.previewed STACK COMMIT

A merge makes a commit of its own. It is what was previewed when its files are: when its tree is the
tree of the pull request's last commit, and that one has a preview of this stack that succeeded. So
it is not when the branch went on in between, nor where somebody pushed past any pull request.
SATELLITE_UNPREVIEWED=allow lets everything through, with a warning.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ci.comment import approval, marker
from ci.github import BOT, GitHub, problem
from ci.publish import first_line

ADVICE = """\
Nothing was deployed. Open a pull request against {stack} (or bring it up to date with {stack}),
wait for its preview, and merge it; or set the variable SATELLITE_UNPREVIEWED to allow, and run this
again."""


def previewed(github: GitHub, stack: str, commit: str) -> tuple[bool, str]:
    """Whether the commit was, and in which pull request, or why not."""
    tree = _tree(github, commit)
    reasons = [f"no pull request against {stack} brought {commit[:12]}"]
    for pull in github.all(f"/commits/{commit}/pulls"):
        if pull["base"]["ref"] != stack:
            continue
        name, last = f"#{pull['number']}", pull["head"]["sha"]
        if not _approved(github, pull["number"], stack, last):
            reasons.append(f"{name} has no preview of its last commit {last[:12]} that succeeded")
        elif _tree(github, last) != tree:
            reasons.append(
                f"{commit[:12]} has other files than {last[:12]}, which was previewed in {name}: "
                f"{stack} went on in between"
            )
        else:
            return True, f"{commit[:12]} is what was previewed in {name} as {last[:12]}"
    return False, reasons[-1]


def _tree(github: GitHub, commit: str) -> str:
    return str(github.call("GET", f"/git/commits/{commit}")["tree"]["sha"])


def _approved(github: GitHub, number: int, stack: str, commit: str) -> bool:
    def is_it(comment: dict[str, Any]) -> bool:
        body = str(comment["body"])
        # by the workflow, and where the workflow writes it: anything else is somebody's words
        ours = comment["user"]["login"] == BOT and first_line(body) == marker(stack)
        return ours and body.splitlines()[1:2] == [approval(commit)]

    return any(is_it(comment) for comment in github.comments(number))


def main(arguments: list[str]) -> int:
    """0 when it may be deployed; else 1 and one message on stderr."""
    stack, commit = arguments
    try:
        good, why = previewed(GitHub.of_runner(), stack, commit)
    except OSError as error:
        print(f"error: {problem(error)}", file=sys.stderr)
        return 1
    if good:
        print(why)
        return 0
    if os.environ.get("SATELLITE_UNPREVIEWED") == "allow":
        print(f"::warning::deployed without a preview: {why}")
        return 0
    print(f"error: {why}.\n{ADVICE.format(stack=stack)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
