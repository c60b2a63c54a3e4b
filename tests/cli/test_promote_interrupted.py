"""Whoever holds Ctrl-C is told what is where all the same, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.waiting import wait_until
from satellite_cli.problems import Interruptions

from .promotion import World, git, hook, isolate
from .test_promote_command import REAL


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    isolate(tmp_path, monkeypatch)
    return World.made(tmp_path)


@pytest.mark.parametrize("gap", [0.003, 0.03, 0.1])
def test_keys_that_are_held(world: World, monkeypatch: pytest.MonkeyPatch, gap: float) -> None:
    git(world.work, "config", "http.https://git.example.com/.extraHeader", "X-Token: canary")
    began = world.root / "other"
    hook(world.server, "pre-receive", f"touch {began}; sleep 1")
    monkeypatch.setenv("TMPDIR", str(world.root / "tmp"))
    where = ["--checkout", str(world.work), "--remote", "origin"]
    argv = [sys.executable, "-c", REAL, str(world.root), "promote", "staging", *where, "--yes"]
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        wait_until("push", began.exists)
        for _ in range(int(60 / gap)):
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGINT)
            time.sleep(gap)  # between two that the keyboard repeats
        else:
            process.kill()
        said = process.stdout.read()
    # the last one may meet an interpreter that ends already: for a shell the same
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in said
    assert "promotion to staging FAILED in step `branch`: interrupted" in said
    assert f"    before {world.first}" in said
    assert "Next: to go on: satellite promote staging" in said
    assert list((world.root / "tmp").iterdir()) == []


def test_one_is_heard_and_another_where_it_may_be() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interruptions() as interruptions:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interruptions.once_more():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with interruptions.once_more():
            pass
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_first_one_in_a_question_is_the_last() -> None:
    with Interruptions() as interruptions:
        with interruptions.once_more():
            pass
        with pytest.raises(KeyboardInterrupt), interruptions.once_more():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_none_is_heard_once_it_has_ended() -> None:
    with Interruptions() as interruptions:
        with interruptions.until_here():
            pass
        signal.raise_signal(signal.SIGINT)
