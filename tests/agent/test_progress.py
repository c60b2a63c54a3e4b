"""What is told of something that takes long."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from satellite_infra.agent import progress, storage


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK", 0.01)


def test_each_thing_is_told_once_in_its_order_and_none_before_the_first() -> None:
    now, heard, more = [""], [""], threading.Event()

    def tell(line: str) -> None:
        heard.append(line)
        more.set()

    looks = threading.Semaphore(0)

    def look() -> str:
        looks.release()
        return now[-1]

    with progress.told(look, tell):
        for _ in range(3):
            assert looks.acquire(timeout=60)
        assert heard == [""]
        for step in ("packages", "ruby"):
            now.append(step)
            assert more.wait(60)
            more.clear()
            for _ in range(3):
                assert looks.acquire(timeout=60)
    assert heard == ["", "== packages", "== ruby"]


def test_what_is_over_before_the_first_look_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK", 60)
    heard: list[str] = []
    before = {*threading.enumerate()}
    with progress.told(lambda: "packages", heard.append):
        pass
    assert heard == []
    assert {*threading.enumerate()} <= before


def test_what_is_noted_counts_from_when_it_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "phase"
    now = progress.noted(file)
    assert now() == ""
    storage.write(file, "build")
    assert now() == "build"
    now = progress.noted(file)  # of the next one, which has not begun
    assert now() == ""
    storage.write(file, "check")
    assert now() == "check"
    file.unlink()
    assert now() == ""
