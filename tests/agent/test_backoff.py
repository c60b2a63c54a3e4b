"""A worker that ends again and again is started later and later."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from satellite_infra.agent import backoff, notes
from satellite_infra.agent.layout import Layout

UNIT = "satellite-shop.worker@1.service"


def test_the_pause_doubles_up_to_a_minute() -> None:
    pauses = [backoff.pause(ends) for ends in range(9)]
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.pause(10**6) == 60


def test_ends_in_a_row_count_until_one_ran_for_a_while(layout: Layout) -> None:
    counted = [backoff.count(layout, UNIT, ran) for ran in (0, 59.9, 5, 60, 5)]
    assert counted == [1, 2, 3, 1, 2]
    assert backoff.ends(layout, UNIT) == 2
    assert backoff.ends(layout, layout.worker_unit("worker", 2)) == 0
    backoff.forget(layout, [UNIT, layout.worker_unit("worker", 2)])
    assert backoff.ends(layout, UNIT) == 0


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"\0{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        backoff.show("waits")
        assert systemd.recv(100) == b"STATUS=waits"
    monkeypatch.delenv("NOTIFY_SOCKET")
    backoff.show("nobody asked")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_ends_the_pause_at_once(number: int, layout: Layout) -> None:
    """Nothing of the app has begun, and no note says that a worker lives."""
    for _ in range(7):
        backoff.count(layout, UNIT, 0)
    program = (
        "import pathlib, sys; from satellite_infra.agent import layout, system, workers;"
        "layout = layout.Layout('shop', pathlib.Path(sys.argv[1]));"
        "workers.work(layout, 'worker', 1, 0, system.System())"
    )
    argv = [sys.executable, "-c", program, str(layout.root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as waiting:
        assert waiting.stdout
        said = waiting.stdout.readline().decode()
        began = time.monotonic()
        os.kill(waiting.pid, number)
        rest = waiting.stdout.read()
    assert said == "ended early 7 times in a row; starts again in 59 s\n"
    assert (waiting.returncode, rest) == (-number, b"")
    assert time.monotonic() - began < 10
    assert notes.of(layout) == []
