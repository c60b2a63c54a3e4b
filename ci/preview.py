"""Preview a stack, and write what it would do as a pull request's comment.

Usage: python3 -m ci.preview STACK --comment FILE [--whole FILE] [--commit SHA] [-- OPTION...]

FILE of --comment is cut to what GitHub takes; --whole appends all of it to another file. What
follows `--` goes to `pulumi preview`. The exit status is that of the preview.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.comment import comment, text_lines
from ci.pin import NOT_FOUND, not_started


@dataclass(frozen=True)
class Previewed:
    """How `pulumi preview --json` ended: its document (empty if none), and its other words.

    `violations` are the policies' own words, which are not in the document; `advice` those of
    policies that stop nothing.
    """

    status: int
    document: dict[str, Any] = field(repr=False)
    violations: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    said: str = field(default="", repr=False)

    def trouble(self) -> str:
        """Why this shows nothing that could be deployed, as far as it says so; empty where it does.

        A document that shows something has steps: at least that of the stack itself.
        """
        if self.status == 0 and self.document.get("steps"):
            return ""
        return self.said.strip() or f"pulumi ended with status {self.status} and said nothing"


def preview(stack: str, options: Sequence[str] = ()) -> Previewed:
    """Preview the stack of the current folder; one without a file there gets none."""
    file = Path(f"Pulumi.{stack.rpartition('/')[2]}.yaml")
    there = file.exists()
    # what stays the same says, too, which commit the hosts run
    command = ["pulumi", "preview", "--json", "--show-sames", "--stack", stack, "--non-interactive"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "events")
        try:
            done = subprocess.run(
                [*command, "--color", "never", "--event-log", str(log), *options],
                env={**os.environ, "PULUMI_DEBUG_COMMANDS": "true"},  # without it: no --event-log
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            return Previewed(NOT_FOUND, {}, said=f"error: {not_started(error)}")
        if not there:
            file.unlink(missing_ok=True)  # the CLI begins one, with the passphrase's salt
        events = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
    # behind the last line's end: one that was cut off
    broken = [*broken_rules(events[:-1])]
    found, advice = (tuple(text for is_, text in broken if is_ == stops) for stops in (True, False))
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return Previewed(done.returncode, {}, found, advice, done.stdout + done.stderr)
    return Previewed(done.returncode, document, found, advice, done.stderr)


def broken_rules(events: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Each broken rule: whether it stops the preview; the policy's name, and what it says."""
    for line in events:
        if event := json.loads(line).get("policyEvent"):
            description, *own = text_lines(event)
            said = f"{event['policyName']}: {' '.join(own) or description}"
            yield event["enforcementLevel"] == "mandatory", said


def main(arguments: list[str]) -> int:
    """The preview's exit status; the files are written whatever it is. 1 and one message on stderr
    where one cannot be.
    """
    parser = argparse.ArgumentParser(prog="ci.preview", description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parser.add_argument("--comment", type=Path, required=True)
    parser.add_argument("--whole", type=Path)
    parser.add_argument("--commit", default="")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parsed = parser.parse_args(arguments[:end])
    done = preview(parsed.stack, arguments[end + 1 :])
    words = done.trouble(), parsed.commit, done.violations, done.advice
    block = comment(parsed.stack, done.document, *words)
    try:
        parsed.comment.write_text(block.cut(), encoding="utf-8")
        if parsed.whole:
            with parsed.whole.open("a", encoding="utf-8") as file:
                file.write(block.text())
    except OSError as error:
        print(f"error: what the preview says cannot be written: {error}", file=sys.stderr)
        return 1
    return done.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
