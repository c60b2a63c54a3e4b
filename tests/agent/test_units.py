"""Units are compared whole, and read by systemd itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from satellite_infra.agent import units
from satellite_infra.agent.layout import AGENT, Layout
from satellite_infra.agent.release_manifest import Process, ReleaseManifest

GOLDEN = Path(__file__).parent / "golden"
MANIFEST = ReleaseManifest(
    host="worker-1",
    app="shop",
    environment="staging",
    repository="r",
    revision="0" * 40,
    processes=(
        Process("worker", 2, grace=90, memory_max="300M", cpu="150%", signal="INT"),
        Process("mailer", 1, signal_to="main", env={"CANARY": "plain"}, on_kill="bin/canary"),
    ),
)
LAYOUT = Layout("shop")
SLOTS = [LAYOUT.worker_unit(*slot) for slot in MANIFEST.slots()]
FILES = [
    *units.render(MANIFEST, SLOTS),
    *units.housekeeping(LAYOUT),
    units.wall(LAYOUT),
    *units.rotation(LAYOUT, "*:15/30:00 UTC"),
    *units.queue(LAYOUT, 5),
]


def test_names() -> None:
    assert [file.name for file in FILES] == [
        "satellite-shop.worker@.service",
        "satellite-shop.mailer@.service",
        "satellite-shop.target",
        "satellite-shop-recover.service",
        "satellite-shop-reap.service",
        "satellite-shop-metadata.service",
        "satellite-shop-rotate.service",
        "satellite-shop-rotate.timer",
        "satellite-shop-queue.service",
        "satellite-shop-queue.timer",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_whole_file(file: units.File) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / file.name).write_text(file.content)
    assert file.content == (GOLDEN / file.name).read_text()


def test_a_recovery_waits_for_each_disk_that_it_may_need(tmp_path: Path) -> None:
    """By the names that systemd itself has for them."""
    places = ["/app/a-b/releases", "/app/a-b/shared", "/var/lib/satellite/a-b"]
    paths = {str(path) for place in places for path in (place, *Path(place).parents)} - {"/"}
    escape = ["systemd-escape", "--path", "--suffix=mount", "--", *sorted(paths)]
    names = subprocess.run(escape, check=True, capture_output=True, text=True).stdout.split()
    lines = units.housekeeping(Layout("a-b"))[0].content.splitlines()
    for key in ("Wants", "After"):
        (line,) = (line for line in lines if line.startswith(f"{key}="))
        assert sorted(line.removeprefix(f"{key}=").split()) == sorted(names)


def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze comes with systemd"
    for file in FILES:
        content = file.content.replace(AGENT, "/bin/true")  # it checks that the programs are there
        content = content.replace("/usr/sbin/nft", "/bin/true")
        (tmp_path / file.name).write_text(content)
    names = [str(tmp_path / file.name.replace("@.", "@1.")) for file in FILES]
    for name in names:
        template = tmp_path / Path(name).name.replace("@1.", "@.")
        if not Path(name).exists():
            Path(name).write_text(template.read_text())
    done = subprocess.run([analyze, "verify", *names], capture_output=True, text=True)
    # it exits with 0 on a typing error, so its words are what counts
    assert (done.returncode, done.stderr) == (0, "")
