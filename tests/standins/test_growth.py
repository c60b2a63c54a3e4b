"""What a stack of many hosts costs grows with the hosts, and not with their product."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.hosts import CONFIG, made, packed, project, simulated, size

pytestmark = [pytest.mark.engine, pytest.mark.slow]

EACH = 22_300
"""Bytes for each host beside its config vars; half of them are what the providers say again."""
STORED = 15_000
"""The same for a state that is packed, as docs/state.md and the workflows have it."""


@pytest.fixture
def states(tmp_path: Path, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """The exported states of stacks of 2 and 4 hosts."""
    for name, value in simulated(tmp_path / "engine", moto_url).items():
        monkeypatch.setenv(name, value)
    stack = project(tmp_path)
    found = {}
    for hosts in (2, 4):
        found[hosts] = made(stack, hosts)
        stack.run("stack", "rm", "--force", "--yes")
    return found


def test_state_of_each_further_host(states: dict[int, str]) -> None:
    config = len(json.dumps(CONFIG))
    further = (size(states[4]) - size(states[2])) / 2
    assert further < EACH + 3 * config
    stored = (packed(states[4]) - packed(states[2])) / 2
    assert stored < STORED + 3 * config
    for text in states.values():
        every = json.loads(text)["deployment"]["resources"]
        ours = [r for r in every if r["type"] != "pulumi:pulumi:Stack"]
        assert [r["urn"] for r in ours if "stackTrace" in r] == []
