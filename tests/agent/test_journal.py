"""What the workers said, as the journal tells it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from satellite_infra.agent import journal
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.manifest import Process
from satellite_infra.agent.release import Release
from tests.agent.conftest import FakeSystem, Origin, request


class BecomeError(Exception):
    """With the command line of the program."""


def become(_: str, argv: Sequence[str]) -> None:
    raise BecomeError(*argv)


def test_what_a_type_that_was_scaled_to_none_said_is_still_there(
    layout: Layout, system: FakeSystem, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execvp", become)
    processes = (Process("worker", 1), Process("mailer", 0))
    wanted = request(origin, origin.commit(), processes=processes)
    Release(layout, system, lambda _: None).run(wanted)
    with pytest.raises(BecomeError) as became:
        journal.show(layout, ["mailer"], 7, "", follow=False)
    units = [word for word in became.value.args if word.startswith("--unit=")]
    assert units == ["--unit=satellite-shop.mailer@*.service"]
    with pytest.raises(ValueError, match=r"mailer\.1: should be a process type"):
        journal.show(layout, ["mailer.1"], 7, "", follow=False)


def test_a_field_that_is_long_is_told_whole(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execvp", become)
    with pytest.raises(BecomeError) as became:
        journal.show(layout, [], 7, "", follow=True)
    program, *words = became.value.args
    assert program == "journalctl"
    assert {"--all", "--output=json", "--lines=7", "--follow"} <= {*words}
