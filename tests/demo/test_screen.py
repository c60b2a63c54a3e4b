"""What is printed where there is no terminal."""

from __future__ import annotations

import io

from rich.console import Console

from demo.failure import DemoError
from demo.screen import Screen


def printed(screen: Screen) -> list[str]:
    file = screen.console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def plain() -> Screen:
    return Screen(Console(file=io.StringIO(), width=80, highlight=False, soft_wrap=True))


def test_steps_commands_and_remarks() -> None:
    screen = plain()
    screen.step("First")
    screen.command("pulumi up [a]")
    screen.quote("+ [bold]x[/]")
    screen.diff(["~  worker-1-release: update", "     - revision: a", "     + revision: b"])
    screen.step("Second")
    screen.good("done")
    assert printed(screen) == [
        "",
        "1. First",
        "  $ pulumi up [a]",
        "    + [bold]x[/]",
        "    ~  worker-1-release: update",
        "         - revision: a",
        "         + revision: b",
        "",
        "2. Second",
        "  ✓ done",
    ]


def test_a_table_keeps_numbers_to_the_right() -> None:
    screen = plain()
    screen.table(["worker", "jobs"], [["worker-1 worker.1", "7"], ["worker-2", "101"]])
    assert printed(screen) == [
        "",
        "  worker              jobs",
        " ──────────────────────────",
        "  worker-1 worker.1      7",
        "  worker-2             101",
        "",
    ]


def test_a_summary() -> None:
    screen = plain()
    screen.summary("What happened", [("200 jobs", "200 done"), ("all of it", "72.9 s")])
    assert printed(screen) == [
        "",
        "What happened",
        "  200 jobs    200 done",
        "  all of it   72.9 s",
    ]


def test_a_failure_explains_itself() -> None:
    screen = plain()
    screen.failure(DemoError("no job was done", ["0 of 200 done", "[red]"], ["/tmp/logs/03.log"]))
    assert printed(screen) == [
        "",
        "✗ no job was done",
        "    0 of 200 done",
        "    [red]",
        "  see /tmp/logs/03.log",
    ]
