"""Preview a stack, and write what it would do as a pull request's comment.

Usage: python3 -m ci.preview STACK --comment FILE [--whole FILE] [--commit SHA] [-- OPTION...]

FILE of --comment is cut to what GitHub takes; --whole appends all of it to another file. What
follows `--` goes to `pulumi preview`. The exit status is that of the preview.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.comment import comment


@dataclass(frozen=True)
class Previewed:
    """How `pulumi preview --json` ended: its document (empty if none), and its other words."""

    status: int
    document: dict[str, Any] = field(repr=False)
    said: str = field(repr=False)


def preview(stack: str, options: Sequence[str] = ()) -> Previewed:
    """Preview the stack of the current folder."""
    command = ["pulumi", "preview", "--json", "--stack", stack, "--non-interactive"]
    done = subprocess.run(
        [*command, "--color", "never", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return Previewed(done.returncode, {}, done.stdout + done.stderr)
    return Previewed(done.returncode, document, done.stderr)


def main(arguments: list[str]) -> int:
    """The preview's exit status; the files are written whatever it is."""
    parser = argparse.ArgumentParser(prog="ci.preview", description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parser.add_argument("--comment", type=Path, required=True)
    parser.add_argument("--whole", type=Path)
    parser.add_argument("--commit", default="")
    parser.add_argument("options", nargs="*", metavar="OPTION")
    parsed = parser.parse_args(arguments)
    done = preview(parsed.stack, parsed.options)
    trouble = done.said if done.status else ""
    block = comment(parsed.stack, done.document, trouble, parsed.commit)
    parsed.comment.write_text(block.cut(), encoding="utf-8")
    if parsed.whole:
        with parsed.whole.open("a", encoding="utf-8") as file:
            file.write(block.text())
    return done.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
