"""The parts of the story that need no lab."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

import demo.__main__
from demo import story
from demo.failure import DemoError
from demo.repository import Repository
from demo.screen import Screen
from demo.stack import Stack
from demo.story import job_seconds
from lab.client import Lab


@pytest.mark.parametrize(
    ("pace", "expected"), [(0.5, (0.3, 1.0)), (3, (0.3, 1.0)), (7, (0.5, 1.5)), (20, (1.1, 3.2))]
)
def test_jobs_last_longer_where_the_machine_is_slow(
    pace: float, expected: tuple[float, float]
) -> None:
    assert job_seconds(pace) == expected


@dataclass(frozen=True)
class Ended:
    """A stack whose `destroy` fails, or not."""

    fails: bool
    logs: Path = Path("logs")

    def run(self, *_: str, **__: object) -> str:
        if self.fails:
            raise DemoError("`pulumi destroy` ended with status 255")
        return ""


@pytest.mark.parametrize(
    ("fails", "left", "said"),
    [
        (False, ["instance i-1", "key pair k"], "also removed with the lab: instance i-1, key"),
        (True, [], "`pulumi destroy` ended with status 255: all of it goes with the lab"),
    ],
)
def test_what_a_visitor_has_made_breaks_no_promise(
    fails: bool,
    left: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(story, "leftovers", lambda *_: left)
    scene: Any = story.Scene(
        cast(Lab, None),
        Screen(Console(width=200)),
        cast(Stack, Ended(fails)),
        cast(Repository, None),
    )
    story.destroy(scene, visited=True)
    assert said in capsys.readouterr().out
    with pytest.raises(DemoError):
        story.destroy(scene)


@pytest.mark.parametrize("visited", [True, False])
def test_a_file_that_a_visitor_has_changed_breaks_no_promise(
    visited: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nobody was there it is the demo's own fault; then a shell is open to look at it."""
    shells: list[object] = []
    files = iter([set[tuple[str, str]](), {("Pulumi.staging.yaml", "x")}])

    def tell(scene: Any, interlude: Callable[[Any], bool]) -> list[tuple[str, str]]:
        interlude(scene)
        return []

    def opened(*_: object) -> bool:
        shells.append(1)
        return visited

    monkeypatch.setattr(story.Scene, "set", lambda *_: SimpleNamespace(lab=Nobody(), stack=Nobody))
    monkeypatch.setattr(story, "tell", tell)
    monkeypatch.setattr(demo.__main__, "_open", opened)
    monkeypatch.setattr(demo.__main__, "_stack_files", lambda: next(files))
    assert demo.__main__._play(Screen(Console(width=200)), tmp_path) == visited
    assert len(shells) == (1 if visited else 2)
    told = "changed in the checkout meanwhile: Pulumi.staging.yaml"
    assert (told in capsys.readouterr().out) == visited


class Nobody:
    """A lab without a host."""

    def hosts(self) -> list[object]:
        return []
