"""Put a comment on a pull request; one that is there already with the same first line is updated.

Usage: python3 -m ci.publish FILE --pull-request NUMBER

The repository and the token come from GITHUB_REPOSITORY and GITHUB_TOKEN, the API from
GITHUB_API_URL, as a runner has them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ci.github import GitHub, problem, text


def put(github: GitHub, number: int, body: str) -> str:
    """Update the comment that begins with the same line, or make it; its URL."""
    for comment, there in github.comments(number):
        if first_line(there) == first_line(body):
            answer = github.call("PATCH", f"/issues/comments/{comment}", {"body": body})
            break
    else:
        answer = github.call("POST", f"/issues/{number}/comments", {"body": body})
    return text(answer, "html_url")


def first_line(body: str) -> str:
    """What a comment is known by."""
    return body.partition("\n")[0].rstrip("\r")


def main(arguments: list[str]) -> int:
    """0 when the comment is there; else 1 and one message on stderr."""
    parser = argparse.ArgumentParser(prog="ci.publish", description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--pull-request", type=int, required=True)
    parsed = parser.parse_args(arguments)
    try:
        body = parsed.file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        print(f"error: there is no comment in {parsed.file}: {error}", file=sys.stderr)
        return 1
    try:
        print(put(GitHub.of_runner(), parsed.pull_request, body))
    except OSError as error:
        print(f"error: {problem(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
