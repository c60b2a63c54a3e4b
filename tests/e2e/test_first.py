"""A first update that fails: what people look at then works, and the next one mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import PLAIN_APP, demolished, new_site
from tests.e2e.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.e2e]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = {"build[0]": "sleep 2", "build[1]": "echo no such gem; exit 3"}
    site = new_site(tmp_path_factory.mktemp("new"), "new", PLAIN_APP, hosts=2, settings=settings)
    with demolished(site):
        yield Desk(site, "")


def test_a_first_update_that_fails_is_no_dead_end(desk: Desk) -> None:
    failed = desk.run("satellite up --yes")
    assert failed.returncode == 1
    assert "new-1 release: build\n" in failed.stdout
    assert "FAILED in phase `build`" in failed.stderr
    assert "  | no such gem" in failed.stderr
    assert "\n== " not in failed.stderr  # was shown before
    assert desk.good("satellite ssh new-1 -- echo here") == "here\n"
    shown = json.loads(desk.run("satellite info --json").stdout)
    assert [host["name"] for host in shown["hosts"]] == ["new-1", "new-2"]
    assert shown["hosts"][0]["state"] == "empty"  # the other may not be prepared yet
    found = desk.run("satellite doctor")
    assert found.returncode == 1
    assert "    > satellite logs --release --host new-1\n" in found.stdout
    assert "new-1: no release runs here yet; what" in desk.run("satellite logs").stderr
    desk.site.unset("build")
    desk.good("satellite up --yes")
    assert desk.runs() == [{desk.site.repository.refs("refs/heads/main")["refs/heads/main"]}] * 2
