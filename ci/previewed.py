"""Is what was pushed exactly what a pull request's preview has shown? Refuses anything else.

Usage: python3 -m ci.previewed STACK COMMIT [--output FILE]

A merge makes a commit of its own. It is what was previewed when its files are: when its tree is the
tree of the pull request's last commit, and that one has a preview of this stack that succeeded. So
it is not when the branch went on in between, nor where somebody pushed past any pull request.
FILE gets the app's commit that the preview has shown, and those that ran then, with a comma
between: `revision=...` and `before=...`, a line each.
SATELLITE_UNPREVIEWED=allow lets everything through, with a warning.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ci.comment import Seen, approved, marker
from ci.github import GitHub, problem, text
from ci.publish import first_line

ADVICE = """\
Nothing was deployed. Open a pull request against {stack} with any further commit on top of what
{stack} has by now, wait for its preview, which shows all of it, and merge it. Or set the variable
SATELLITE_UNPREVIEWED to allow, and run this again."""


def previewed(github: GitHub, stack: str, commit: str) -> tuple[Seen | None, str]:
    """What was shown of the commit, and in which pull request; or why nothing was."""
    tree = _tree(github, commit)
    reasons = [f"no pull request against {stack} brought {commit[:12]}"]
    for pull in github.all(f"/commits/{commit}/pulls"):
        if text(pull, "base", "ref") != stack:
            continue
        number, last = text(pull, "number"), text(pull, "head", "sha")
        name, seen = f"#{number}", _seen(github, number, stack, last)
        if seen is None:
            reasons.append(f"{name} has no preview of its last commit {last[:12]} that succeeded")
        elif _tree(github, last) != tree:
            reasons.append(
                f"{commit[:12]} has other files than {last[:12]}, which was previewed in {name}: "
                f"{stack} went on in between"
            )
        else:
            return seen, f"{commit[:12]} is what was previewed in {name} as {last[:12]}"
    return None, reasons[-1]


def _tree(github: GitHub, commit: str) -> str:
    return text(github.call("GET", f"/git/commits/{commit}"), "tree", "sha")


def _seen(github: GitHub, number: str, stack: str, commit: str) -> Seen | None:
    for _, body in github.comments(number):
        # where the workflow writes it: anything else is somebody's words
        if first_line(body) == marker(stack):
            seen = approved("".join(body.splitlines()[1:2]))
            if seen and seen.commit == commit:
                return seen
    return None


def main(arguments: list[str]) -> int:
    """0 when it may be deployed; else 1 and one message on stderr."""
    parser = argparse.ArgumentParser(prog="ci.previewed", description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parser.add_argument("commit")
    parser.add_argument("--output", type=Path)
    parsed = parser.parse_args(arguments)
    try:
        seen, why = previewed(GitHub.of_runner(), parsed.stack, parsed.commit)
    except OSError as error:
        print(f"error: {problem(error)}", file=sys.stderr)
        return 1
    if seen:
        print(why)
        if parsed.output and seen.revision:
            with parsed.output.open("a", encoding="utf-8") as file:
                file.write(f"revision={seen.revision}\nbefore={seen.before}\n")
        return 0
    if os.environ.get("SATELLITE_UNPREVIEWED") == "allow":
        print(f"::warning::deployed without a preview: {why}")
        return 0
    print(f"error: {why}.\n{ADVICE.format(stack=parsed.stack)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
