"""A promotion's plan fits a terminal of 80 columns, whoever has written the commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from satellite_cli.promote_text import cut

from .promotion import World, commit, git, isolate


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("ten column", "ten column"),
        ("eleven colu", "eleven co…"),
        ("日本語日本", "日本語日本"),
        ("日本語日本語", "日本語日…"),
        ("a日本語日本語", "a日本語日…"),
        ("e\u0301" * 10, "e\u0301" * 10),
        ("e\u0301" * 11, "e\u0301" * 9 + "…"),
    ],
)
def test_text_is_cut_by_columns(text: str, shown: str) -> None:
    assert cut(text, 10) == shown


def test_no_line_of_a_commit_is_longer_than_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    world = World.made(tmp_path)
    commit(world.work, "x" * 90)
    git(world.work, "config", "user.name", "A very long name of an author")
    revision = commit(world.work, "y" * 90)[:12]
    world.promote(environment="production", dry_run=True)
    first = f"production: {revision} "
    assert world.said[0] == first + "y" * (79 - len(first)) + "…"
    shown = next(line for line in world.said if line.startswith(f"      {revision}"))
    assert shown == f"      {revision} {'y' * 42}… (A very long na…)"
    assert len(shown) == len(world.said[0]) == 80
