"""What is imported is declared, with a reason, where its environment is made from."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PROGRAM, LAB = "requirements.in", "requirements-dev.in"
PEERS, CI, POLICY = (f"{folder}/requirements.in" for folder in ("benchmarks/peers", "ci", "policy"))
DECLARED = {
    "benchmarks/peers/files/pulumi/": (PROGRAM,),
    "benchmarks/peers/files/": (PEERS,),
    "ci/": (PROGRAM, CI),
    "policy/": (POLICY,),
    "satellite_cli/": (PROGRAM,),
    "satellite_infra/": (PROGRAM,),
    "satellite_stack/": (PROGRAM,),
    "scripts/": (PROGRAM,),
    "": (PROGRAM, LAB),
}
"""How a file's name begins -> where that is declared which it may import; the first one counts."""
DISTRIBUTIONS = {"google": "protobuf", "grpc": "grpcio", "pssh": "parallel-ssh", "yaml": "pyyaml"}
"""Module -> distribution, where that has another name."""


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def imported(path: Path) -> Iterator[str]:
    """The top names of what a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def declared(name: str) -> dict[str, str]:
    """Distribution -> why it is there."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    lines = re.findall(r"^([a-zA-Z][\w-]*)(?:\[\w+\])?[^#\n]*(?:# (.+))?$", text, re.MULTILINE)
    return {distribution.lower(): why for distribution, why in lines}


def test_what_is_imported_is_declared() -> None:
    files = tracked()
    known = {*sys.stdlib_module_names, *(name.partition("/")[0] for name in files)}
    missing = set()
    for name in files:
        places = next(places for start, places in DECLARED.items() if name.startswith(start))
        there = {distribution for place in places for distribution in declared(place)}
        for module in {*imported(CHECKOUT / name)} - known:
            wanted = DISTRIBUTIONS.get(module, module.replace("_", "-"))
            if wanted not in there:
                missing.add(f"{name}: {wanted}")
    assert sorted(missing) == []


@pytest.mark.parametrize("name", [PROGRAM, LAB, PEERS, CI, POLICY])
def test_what_is_declared_has_a_reason_and_is_locked(name: str) -> None:
    locked = (CHECKOUT / name).with_suffix(".txt").read_text(encoding="utf-8")
    assert declared(name)
    for distribution, why in declared(name).items():
        assert why, distribution
        entry = re.search(rf"^{distribution}==.*?# via ([^\n]*)", locked, re.MULTILINE | re.DOTALL)
        assert entry, distribution
        assert re.search(r"-r \S+\.in\b", entry[1]), distribution
