"""What is shown of Pulumi's output; `output/` holds what the real command line printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from demo import narration

OUTPUT = Path(__file__).parent / "output"


def shown(name: str, telling: Callable[[str], str]) -> list[str]:
    lines = (OUTPUT / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [told for line in lines if (told := telling(line))]


SHOWN = {
    "preview": (
        narration.planned,
        [
            "+- worker-1-reach (command:local:Command) replace",
            "+- worker-2-reach (command:local:Command) replace",
            "~  worker-1-release (command:local:Command) update",
            "~  worker-2-release (command:local:Command) update",
            "~ 2 to update",
            "+-2 to replace",
            "4 changes. 1 unchanged",
        ],
    ),
    "up": (
        narration.done,
        [
            "+  worker-1-reach (command:local:Command) created",
            "+  worker-2-reach (command:local:Command) created",
            "+  worker-1-release (command:local:Command) created",
            "+  worker-2-release (command:local:Command) created",
            "+  satellite-demo2 (pulumi:pulumi:Stack) created in 0.50 s",
            "+ 5 created",
        ],
    ),
    "up_nothing": (narration.done, ["5 unchanged"]),
    "up_again": (
        narration.done,
        [
            "+- worker-2-reach (command:local:Command) replaced",
            "+- worker-1-reach (command:local:Command) replaced",
            "~  worker-2-release (command:local:Command) updated",
            "~  worker-1-release (command:local:Command) updated",
            "~ 2 updated",
            "+-2 replaced",
            "4 changes. 1 unchanged",
        ],
    ),
    "destroy": (
        narration.done,
        [
            "-  worker-2-release (command:local:Command) deleted",
            "-  worker-1-release (command:local:Command) deleted",
            "-  worker-2-reach (command:local:Command) deleted",
            "-  worker-1-reach (command:local:Command) deleted",
            "-  satellite-demo2 (pulumi:pulumi:Stack) deleted",
            "- 5 deleted",
        ],
    ),
}


@pytest.mark.parametrize(("name", "telling", "expected"), [(n, *v) for n, v in SHOWN.items()])
def test_lines(name: str, telling: Callable[[str], str], expected: list[str]) -> None:
    assert shown(name, telling) == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            " +  command:remote:Command worker-1-release created (3s)"
            " worker-1: 20261126182748-b3c4a9e: b3c4a9ed00d9 is live, 2 workers",
            "+  worker-1-release (command:remote:Command) created in 3 s: live, 2 workers",
        ),
        (
            " ~  command:remote:Command worker-1-release updated (3s) [diff: ~create,stdin];"
            " worker-1: 20261126182748-b3c4a9e: b3c4a9ed00d9 is live, 1 worker",
            "~  worker-1-release (command:remote:Command) updated in 3 s: live, 1 worker",
        ),
        (
            " +  command:remote:Command worker-1-bootstrap created (0.64s) worker-1: [it] is ready",
            "+  worker-1-bootstrap (command:remote:Command) created in 0.64 s",
        ),
        (
            " -- command:remote:Command worker-1-release deleted original (0.01s)"
            " [diff: ~stdin]; worker-1: 20261126182748-b3c4a9e: b3c4a9ed00d9 is live, 2 workers",
            "",
        ),
    ],
)
def test_what_a_command_said_at_last_hides_no_line(line: str, told: str) -> None:
    assert narration.done(line) == told


def test_what_the_engine_is_at() -> None:
    assert [
        narration.at_work(line)
        for line in (
            " +  aws:ec2:Instance worker-1 creating (0s) ",
            " +  aws:ec2:Instance worker-1 created (12s) ",
            " ~  command:remote:Command worker-1-release updating (3s) [diff: ~create]",
            " ~  command:remote:Command worker-1-release updating (4s) [diff: ~create]; == gate",
            "@ updating....",
            "Duration: 1s",
        )
    ] == [
        "worker-1 creating",
        "worker-1 created",
        "worker-1-release updating",
        "worker-1-release updating",
        "",
        "",
    ]


def test_diff() -> None:
    text = (OUTPUT / "diff.txt").read_text(encoding="utf-8")

    def release(host: str) -> list[str]:
        return [
            f"~  {host}-release (command:local:Command): update",
            f"     - # Release aaaaaaaaaaaa of demo on {host}: worker=2",
            f"     + # Release bbbbbbbbbbbb of demo on {host}: worker=2",
            f"     - revision: {'a' * 40}",
            f"     + revision: {'b' * 40}",
            "     - processes.worker.quantity: 2",
            "     + processes.worker.quantity: 3",
        ]

    assert narration.diff(text) == [
        "+- worker-2-reach (command:local:Command): replace",
        "+- worker-1-reach (command:local:Command): replace",
        *release("worker-2"),
        *release("worker-1"),
    ]


def test_errors() -> None:
    output = (
        "Updating (demo):\n\n@ updating....\nDiagnostics:\n"
        "  pulumi:pulumi:Stack (satellite-demo):\n    error: update failed\n\n"
        "  command:local:Command (worker-1-reach):\n    error: no answer\n\n"
        'Outputs:\n    revision: "aaa"\n\nResources:\n    + 10 created\n    1 errored\n'
    )
    assert narration.errors(output) == [
        "Diagnostics:",
        "  pulumi:pulumi:Stack (satellite-demo):",
        "    error: update failed",
        "  command:local:Command (worker-1-reach):",
        "    error: no answer",
    ]
    assert narration.errors("no diagnostics\n") == []
