"""What the workers said, as the journal tells it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from satellite_infra.agent import journal
from satellite_infra.agent.layout import Layout
from tests.agent.conftest import FakeSystem


class BecomeError(Exception):
    """With the command line of the program."""


def become(_: str, argv: Sequence[str]) -> None:
    raise BecomeError(*argv)


def test_a_field_that_is_long_is_told_whole(
    layout: Layout, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(BecomeError) as became:
        journal.show(layout, [], 7, "", True, system)
    program, *words = became.value.args
    assert program == "journalctl"
    assert {"--all", "--output=json", "--lines=7", "--follow", "--merge"} <= {*words}


@pytest.mark.parametrize(
    ("entries", "begin"),
    [(["newest", "older"], "--cursor=older"), ([], "--since=2026-11-25 10:00:00 UTC")],
)
@pytest.mark.parametrize("follow", [False, True])
def test_the_last_lines_since_a_time_are_the_last(
    layout: Layout,
    system: FakeSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entries: list[str],
    begin: str,
    follow: bool,
) -> None:
    """Told both, journalctl shows the first ones."""
    said = "".join(f'{{"__CURSOR": "{cursor}"}}\n' for cursor in entries)
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$*\" >{tmp_path}/asked\ncat <<'END'\n{said}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(BecomeError) as became:
        journal.show(layout, [], 7, "2026-11-25 10:00:00 UTC", follow, system)
    asked = (tmp_path / "asked").read_text()
    unit = f"--unit={layout.worker_units}\n"
    assert asked.endswith(f" --reverse --lines=7 --since=2026-11-25 10:00:00 UTC {unit}")
    words = became.value.args
    assert [begin, "--lines=all"] == [w for w in words if w.startswith(("--since", "--cu", "--li"))]
    assert ("--follow" in words) == follow


def test_before_the_first_good_release_it_is_said_where_to_look(
    layout: Layout, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that failed in its gate workers have spoken; else journalctl fails, or tells all."""
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(BecomeError) as became:
        journal.show(layout, [], 7, "", False, system)
    assert "--unit=satellite-shop.*@*.service" in became.value.args
    monkeypatch.setattr(system, "output", lambda _: (1, ""))
    for words in ([], ["worker"]):
        with pytest.raises(LookupError, match="no release runs here yet; what"):
            journal.show(layout, words, 7, "", False, system)
