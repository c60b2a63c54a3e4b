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


def test_what_the_engine_is_at() -> None:
    assert [
        narration.at_work(line)
        for line in (
            " +  aws:ec2:Instance worker-1 creating (0s) ",
            " +  aws:ec2:Instance worker-1 created (12s) ",
            " ~  command:remote:Command worker-1-release updating (3s) [diff: ~create]",
            "@ updating....",
            "Duration: 1s",
        )
    ] == [
        "worker-1 creating",
        "worker-1 created",
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
