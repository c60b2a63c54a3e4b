"""What the history says that a release changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from satellite_infra.agent.changes import between, told
from satellite_infra.agent.release_manifest import ConfigFile, Process, ReleaseManifest

WORKER, MAILER = Process("worker", 2), Process("mailer", 1)
BEFORE = ReleaseManifest(
    host="worker-1",
    app="shop",
    environment="staging",
    repository="git@git.example:shop.git",
    revision="a" * 40,
    processes=(WORKER, MAILER),
    config={"A": "digest"},
    build=("make", "make install"),
    config_files=(ConfigFile("config/a.yml", "digest"),),
)
VALUES = {"A": "1", "B": "canary"}
CHANGES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str], list[str]]] = {
    "nothing": ({}, VALUES, []),
    "another host's digests": ({"host": "worker-2", "config": {"A": "other"}}, VALUES, []),
    "a deploy": ({"revision": "b" * 40}, VALUES, ["commit"]),
    "config vars": ({}, {"A": "2", "C": ""}, ["config A, B, C"]),
    "quantities": (
        {"processes": (WORKER._replace(quantity=4), Process("clock", 1))},
        VALUES,
        ["worker 2 -> 4", "mailer 1 -> 0", "clock 0 -> 1"],
    ),
    "a process type's own": (
        {"processes": (WORKER._replace(grace=5, quantity=1, env={"X": "canary"}), MAILER)},
        VALUES,
        ["worker 2 -> 1", "processes.worker.env.X", "processes.worker.grace"],
    ),
    "others": (
        {
            "build": ("make all", "make install", "make clean"),
            "config_files": (ConfigFile("config/a.yml", "other", "0600"),),
            "generation": 1,
        },
        VALUES,
        ["build", "config_files.config/a.yml", "generation"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_names_and_counts_are_told(change: str) -> None:
    more, values, told = CHANGES[change]
    assert between((BEFORE, VALUES), (BEFORE._replace(**more), values)) == told


def test_a_commit_is_told_by_its_first_line() -> None:
    assert told({"changed": ["commit", "build"], "subject": "Mend it"}) == "commit: Mend it; build"
    assert told({"changed": ["commit"]}) == "commit"
    assert told({"subject": "Mend it"}) == ""
