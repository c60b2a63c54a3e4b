"""What stands in for modules at a start of the agent, and what of them is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "satellite_infra"
MODULES = sorted(path.stem for path in (PACKAGE / "agent").glob("*.py") if path.stem[0] != "_")
BEGIN = f"""
import sys
sys.path.insert(0, {str(PACKAGE)!r})
from agent import light
assert not {{"typing", "urllib.parse"}} & sys.modules.keys()
light.install()
"""


def said(code: str, begin: str = BEGIN) -> list[str]:
    """What a Python like the agent's prints."""
    argv = [sys.executable, "-IS", "-c", f"{begin}\n{code}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("module", ["cli", "frontend", "workers", "notes", "release_manifest"])
def test_a_start_does_without_the_modules_themselves(module: str) -> None:
    """Those of `typing` are some hundred classes; the first name of them loads it."""
    code = f"import agent.{module}; m = sys.modules; print(type(m['typing']).__name__)"
    assert said(f"{code}; print(type(m['urllib.parse']).__name__)") == ["Light", "Light"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_the_same_with_them(module: str) -> None:
    code = f"""
import agent.{module} as found
for name, value in sorted(vars(found).items()):
    if isinstance(value, type) and issubclass(value, tuple) and value.__module__ == found.__name__:
        about = [key for key in vars(value) if key not in ("__orig_bases__", "__annotations__")]
        print(name, value._fields, value._field_defaults, value.__doc__, sorted(about))
"""
    plain = f"import sys; sys.path.insert(0, {str(PACKAGE)!r})"
    assert said(code) == said(code, plain)


def test_any_other_name_is_the_modules_own() -> None:
    code = """
import typing, urllib.parse
from pathlib import Path
from typing import NamedTuple, Optional, Protocol, get_type_hints
from urllib.parse import quote
print(Optional[int], Protocol.__module__, sys.modules["typing"].__file__ is not None)
print(typing.List, urllib.parse.urlsplit("http://a/b").path, quote("a b"))
print(Path("/a b").as_uri(), sys.modules["urllib.parse"] is urllib.parse)
class Found(NamedTuple):
    "One."
    at: int
    by: str = "me"
    @classmethod
    def of(cls, text: str) -> "Found":
        return cls(int(text))
    @property
    def twice(self) -> int:
        return 2 * self.at
print(Found.of("3"), Found.of("3").twice, Found(1, by="b")._replace(at=2), Found.__doc__)
"""
    assert said(code) == [
        "typing.Optional[int] typing True",
        "typing.List /b a%20b",
        "file:///a%20b True",
        "Found(at=3, by='me') 6 Found(at=2, by='b') One.",
    ]


def test_what_is_loaded_already_stays() -> None:
    """As where the desk uses a module of the agent."""
    code = "import typing, urllib.parse\nbefore = typing, urllib.parse\n"
    after = "print(before == (sys.modules['typing'], sys.modules['urllib.parse']))"
    begin = BEGIN.partition("light.install()")[0]
    assert said(f"{code}light.install()\n{after}", begin) == ["True"]


def test_threads_wait_for_the_whole_of_a_module() -> None:
    code = """
import threading, typing
light, found, begin = sys.modules["typing"], [], threading.Barrier(8)
sys.setswitchinterval(1e-6)
def ask():
    begin.wait()
    found.append(light.Optional)
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), set(found) == {typing.Optional})
"""
    assert said(code) == ["8 True"]


def test_what_could_not_be_loaded_once_is_tried_again() -> None:
    code = """
import urllib.parse
class Full:
    def find_spec(self, name, path=None, target=None):
        sys.meta_path.remove(self)
        raise OSError(24, "Too many open files")
sys.meta_path.insert(0, Full())
for _ in range(2):
    try:
        print(urllib.parse.quote("a b"))
    except OSError as problem:
        print(problem)
"""
    assert said(code) == ["[Errno 24] Too many open files", "a%20b"]
