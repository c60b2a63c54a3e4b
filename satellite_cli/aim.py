"""Commands that a text names: copied, each shall reach the stack that the text is about.

Where the stack was said on the command line, another one may be the selected one, whose host of the
same name would be meant without.
"""

from __future__ import annotations

import re
import shlex

from satellite_cli.commands import GROUPS, MODULES, PROMOTE

OURS = "|".join(f"{name} [a-z]+" if name in GROUPS else name for name in MODULES if name != PROMOTE)
ENGINES = "up|preview|refresh|destroy|cancel|config(?: (?:get|set|rm))?"
COMMAND = re.compile(
    rf"\b(?P<words>satellite (?:{OURS})|pulumi (?:{ENGINES}))(?![\w-])(?![^\n;&|`,]* --stack )"
)
"""One without a stack, up to where its options may stand."""
_said = ""


def at(stack: str) -> None:
    """Have the remarks of this command name that stack; empty: leave them as they are."""
    global _said  # what was typed is one for all threads
    _said = stack


def aimed(text: str, stack: str | None = None) -> str:
    """The text with the stack in each command: the one that was said, where none is given."""
    stack = _said if stack is None else stack
    if not stack:
        return text
    return COMMAND.sub(lambda found: f"{found['words']} --stack {shlex.quote(stack)}", text)
