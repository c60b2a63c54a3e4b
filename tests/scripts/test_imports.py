"""To import a module is to have its names: it reads nothing, makes no data, does no work."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
WORK = {"main", "open", "read_bytes", "read_text", "run", "urandom", "write_text"}
"""What a call is named that does something, in this project."""
PROGRAMS = ("__main__.py", "benchmarks/peers/files/", "tests/")
"""Files that nobody imports: the program of the engine, of the peers, and tests."""


def done_at_once(node: ast.AST) -> Iterator[str]:
    """The names of the calls that a module makes when it is loaded."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(inner, ast.If) and "__name__" in ast.unparse(inner.test):
            continue
        if isinstance(inner, ast.Call):
            yield ast.unparse(inner.func).rpartition(".")[2]
        yield from done_at_once(inner)


def test_no_module_does_anything_when_it_is_loaded() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    modules = [name for name in listed.stdout.split() if not name.startswith(PROGRAMS)]
    assert "satellite_cli/__main__.py" in modules
    at_work = {
        name: found
        for name in modules
        if (found := WORK & {*done_at_once(ast.parse((CHECKOUT / name).read_bytes()))})
    }
    assert at_work == {}
