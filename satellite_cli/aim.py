"""Commands that a text names: copied, each shall do what the text says, to the stack it is about.

Where the stack was typed for this command, another one may be the selected one, whose host of the
same name would be meant without.
"""

from __future__ import annotations

import re
import shlex

from satellite_cli.commands import MODULES, PROMOTE

VERBS = {
    "config": "get|set|unset|import",
    "keys": "init|rotate",
    "lock": "status|release",
}
"""What the commands of a group are called."""
OURS = "|".join(
    f"{name} (?:{VERBS[name]})" if name in VERBS else name for name in MODULES if name != PROMOTE
)
ENGINES = "up|preview|refresh|destroy|cancel|config(?: (?:get|set|rm))?"
APART = "(?<!Usage: )(?<!Try ')(?<![\\w/.-])"
"""Not behind what only explains a command, nor in the middle of a word or a path."""
BEGINS = rf"{APART}(?P<words>satellite (?:{OURS})|pulumi (?:{ENGINES}))(?![\w-])"
COMMAND = re.compile(rf"{BEGINS}(?!(?:(?! satellite | pulumi )[^\n;&|`,])* (?:--stack|-s)[ =])")
"""One without a stack, up to where its options may stand."""
LINE = re.compile(rf"{BEGINS}[^\n`,]*")
"""One with all that follows it, up to where a sentence goes on."""
GLUE = "\ue000"
"""A character of nobody's, for a blank at which no line is broken."""
QUOTED = re.compile(r"\s*\| ")
"""How a line begins that somebody else has said: a log, or a worker."""
_said = ""


def at(stack: str) -> None:
    """Have the remarks of this command name that stack; empty: leave them as they are."""
    global _said  # what was typed is one for all threads
    _said = stack


def glued(text: str) -> str:
    """The text, of whose commands none can be broken over lines: a half of one is another one."""
    return LINE.sub(lambda found: found[0].replace(" ", GLUE), text)


def loose(text: str) -> str:
    """The same with its blanks."""
    return text.replace(GLUE, " ")


def aimed(text: str, stack: str | None = None) -> str:
    """The text with the stack in each command: the one that was said, where none is given."""
    stack = _said if stack is None else stack
    if not stack:
        return text
    option = f" --stack {shlex.quote(stack)}"
    return "\n".join(
        line if QUOTED.match(line) else COMMAND.sub(lambda found: found["words"] + option, line)
        for line in text.split("\n")
    )
