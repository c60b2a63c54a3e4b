"""A bad stack config fails in preview, with every problem, before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import PLAIN_APP, new_site

pytestmark = [pytest.mark.lab, pytest.mark.e2e]


def test_every_problem_at_once_and_no_resource(tmp_path: Path) -> None:
    site = new_site(tmp_path / "bad", "bad", PLAIN_APP, hosts=1, settings={})
    for key, value in {
        "ami": "debian-12",
        "processes.worker.quantity": "0",
        "processes.worker.grace": "soon",
        "ssh_cidrs[1]": "0.0.0.0/0",
        "keep_relaeses": "3",
        "gate_seconds": "ten",
    }.items():
        site.put(key, value)
    site.unset("repository")
    out = site.fails("preview")
    for line in (
        "satellite:ami: ",
        "got debian-12",
        "satellite:processes/worker/quantity: ",
        "satellite:processes/worker/grace: ",
        "satellite:ssh_cidrs",
        "allow_ssh_from_anywhere",
        "satellite:keep_relaeses: ",
        "did you mean",
        "keep_releases",
        "satellite:gate_seconds: ",
        "satellite:repository: ",
    ):
        assert line in out, out
    assert "Traceback" not in out
    assert site.stack.resources() == []
    assert site.hosts() == []
    site.stack.run("stack", "rm", "--yes")
