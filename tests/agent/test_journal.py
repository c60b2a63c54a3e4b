"""What the workers said, as the journal tells it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from satellite_infra.agent import journal
from satellite_infra.agent.layout import Layout


class BecomeError(Exception):
    """With the command line of the program."""


def become(_: str, argv: Sequence[str]) -> None:
    raise BecomeError(*argv)


def test_a_field_that_is_long_is_told_whole(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(BecomeError) as became:
        journal.show(layout, [], 7, "", follow=True)
    program, *words = became.value.args
    assert program == "journalctl"
    assert {"--all", "--output=json", "--lines=7", "--follow"} <= {*words}
