"""The runbook has an entry for each error that the program can raise."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
RUNBOOK = CHECKOUT / "docs" / "runbook.md"
PROGRAM = ("satellite_infra", "satellite_cli", "satellite_stack", "scripts", "ci")
RULES = "broken"  # raises what a setting should be; the runbook has one entry for all of them
SHORTEST = 8  # characters; less is punctuation around what another error says
PUNCTUATION = " .,:;()/`"
ENOUGH = 30  # characters to know a message by
PHASE = re.compile(r'(?:\.at\(|_phase = |"phase": |phase=|\.failed\()"([a-z ]+)"')
"""How the agent's source names the phase of a release: it enters it, or tells of it."""


def parts(message: ast.expr) -> Iterator[str]:
    """The parts of a message that are the same each time."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        yield message.value
    elif isinstance(message, ast.JoinedStr):
        for part in message.values:
            yield from parts(part)
    elif isinstance(message, ast.BinOp):
        yield from parts(message.left)
        yield from parts(message.right)


def raised(source: str) -> Iterator[tuple[int, str]]:
    """Line, and how the longest fixed part of its message begins, of each error raised there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if ast.unparse(node.exc.func) == RULES:
                continue
            fixed = [
                flat(part).strip(PUNCTUATION)
                for message in node.exc.args
                for part in parts(message)
            ]
            longest = max(fixed, key=len, default="")
            if len(longest) >= SHORTEST:
                yield node.lineno, longest[:ENOUGH].strip(PUNCTUATION)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def missing(source: str, page: str) -> list[str]:
    return [f"{line}: {part}" for line, part in raised(source) if part not in flat(page)]


def files() -> list[Path]:
    return sorted(path for folder in PROGRAM for path in (CHECKOUT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_each_error_has_an_entry(path: Path) -> None:
    assert missing(path.read_text("utf-8"), RUNBOOK.read_text("utf-8")) == []


def test_the_table_of_phases_has_those_that_the_agent_names_and_no_other() -> None:
    agent = (CHECKOUT / "satellite_infra" / "agent").glob("*.py")
    named = [phase for path in agent for phase in PHASE.findall(path.read_text("utf-8"))]
    _, _, table = RUNBOOK.read_text("utf-8").partition("\n| phase | usual causes |\n|---|---|\n")
    rows = table.partition("\n\n")[0].splitlines()
    shown = [phase for row in rows for phase in re.findall("`(.+?)`", row.split(" | ")[0])]
    assert sorted(shown) == sorted({*named})


def test_an_error_without_an_entry_is_found() -> None:
    source = "def f(x):\n    raise ValueError(f'{x}: no such\\n thing here, {x}')\n"
    assert missing(source, "### `…: no such thing there`") == ["2: no such thing here"]
    assert missing(source, "### `…: no such thing here, …`") == []
