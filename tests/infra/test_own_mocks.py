"""Somebody's own unit test of a stack: Pulumi's mocks as its documentation has them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import config as pulumi_config

from satellite_infra.configuration import load
from satellite_infra.stack import satellite
from tests.infra.conftest import SECRET
from tests.infra.test_program import ALERTS, changed

CHECKOUT = Path(__file__).parents[2]
OWN = """\
  satellite:repository: https://git.example.com/app.git
  satellite:ami: ami-0123456789abcdef0
"""


class Textbook(pulumi.runtime.Mocks):
    """Nothing of what AWS computes."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        return f"{args.name}_id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return {}


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"connect": "public", "auto_recover": "true", "max_unavailable": "2"},
        {"connect": "public", "queue": {"delayed_job": True}, **ALERTS},
        {"ami": None, "ami_lookup": {"owner": "self", "name": "debian-*"}},
        {"hosts": {"worker-1": {"lost": True}}, "roll": ["worker-2"], "release_phase": "true"},
    ],
    ids=str,
)
def test_the_textbooks_mocks_do(values: dict[str, Any], preview: bool) -> None:
    pulumi.runtime.set_mocks(Textbook(), "satellite", "staging", preview)
    given = changed(**values)
    pulumi_config.set_all_config(
        {f"satellite:{key}": value for key, value in given.items()},
        [f"satellite:{key}" for key in SECRET & given.keys()],
    )
    found: dict[str, Any] = {}

    def program() -> pulumi.Output[None]:
        outputs = satellite(load())
        return pulumi.Output.all(**outputs).apply(found.update)

    try:
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    finally:
        pulumi_config.set_all_config({}, [])
    if preview:  # what only AWS knows is not known yet
        return
    assert [host["machine"] for host in found["hosts"]] == ["worker-1_id", "worker-2_id"]
    assert not [host for host in found["hosts"] if "None" in host["console"]]


def test_what_the_docs_show_works_and_can_fail(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/unit-tests.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "test_production.py").write_text(example)
    shipped = (CHECKOUT / "Pulumi.production.yaml").read_text("utf-8")
    stack = tmp_path / "Pulumi.production.yaml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_production.py"]
    for text, status, said in (
        (shipped + OWN, 0, "1 passed"),
        (
            shipped.replace("protect: true", "protect: false") + OWN,
            1,
            "test_production - assert False",
        ),
        (shipped, 1, "satellite:repository: is missing"),
    ):
        stack.write_text(text)
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, said in done.stdout) == (status, True), done.stdout
