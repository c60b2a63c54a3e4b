"""Where a lab's control groups are, on a fake tree of each of the two kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import cgroups
from lab.errors import LabError

V1 = """\
9:name=systemd:/user.slice
8:pids:/
4:memory:/docker/abc
2:cpu,cpuacct:/jobs
0::/
"""


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """A unified tree whose root has controllers and a process, as in a container."""
    for name, text in {
        "cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
        "cgroup.subtree_control": "",
        "cgroup.procs": "",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_v1_lies_below_our_own(tmp_path: Path) -> None:
    for tree in ("systemd", "memory", "cpu", "pids", "unified", "hugetlb"):
        (tmp_path / tree).mkdir()
    (tmp_path / "own").write_text(V1)
    assert cgroups.of_lab("lab-1", tmp_path, tmp_path / "own").directories == (
        tmp_path / "systemd/user.slice/lab-1",
        tmp_path / "unified/lab-1",
        tmp_path / "memory/docker/abc/lab-1",
        tmp_path / "cpu/jobs/lab-1",
        tmp_path / "pids/lab-1",
    )


def test_no_cgroups_at_all(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("")
    with pytest.raises(LabError, match="no cgroups are mounted"):
        cgroups.of_lab("lab-1", tmp_path, tmp_path / "own")


def test_v2_lies_below_the_root_and_gets_its_controllers(v2: Path) -> None:
    group = cgroups.of_lab("lab-1", v2, v2 / "own")
    assert group.directories == (v2 / "lab-1",)
    group.create()
    assert (v2 / "lab-1").is_dir()
    assert (v2 / "cgroup.subtree_control").read_text() == "+cpu +io +memory +pids"


def test_v2_asks_only_for_what_is_missing(v2: Path) -> None:
    (v2 / "cgroup.subtree_control").write_text("cpu io memory pids\n")
    cgroups.of_lab("lab-1", v2, v2 / "own").create()
    assert (v2 / "cgroup.subtree_control").read_text() == "cpu io memory pids\n"


def test_v2_hands_controllers_on_to_machines(v2: Path) -> None:
    lab = cgroups.of_lab("lab-1", v2, v2 / "own")
    lab.create()
    (v2 / "lab-1/cgroup.controllers").write_text("cpu memory\n")
    (v2 / "lab-1/cgroup.subtree_control").write_text("")
    machine = lab.child("i-1")
    machine.create()
    assert (v2 / "lab-1/cgroup.subtree_control").read_text() == "+cpu +memory"
    assert machine.entrances() == [str(v2 / "lab-1/i-1/cgroup.procs")]


def test_v2_in_a_container_moves_the_roots_processes_down(
    v2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (v2 / "cgroup.procs").write_text("17\n")
    (v2 / "init").mkdir()
    write = Path.write_text
    refused: list[str] = []

    def busy_once(path: Path, text: str) -> int:
        if path.name == "cgroup.subtree_control" and not refused:
            refused.append(text)
            raise OSError(16, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", busy_once)
    cgroups.of_lab("lab-1", v2, v2 / "own").create()
    assert (v2 / "init/cgroup.procs").read_text() == "17"
    assert (v2 / "cgroup.subtree_control").read_text() == refused[0]


@pytest.mark.parametrize(
    ("files", "frozen", "thawed"),
    [
        (("cgroup.freeze",), {"cgroup.freeze": "1"}, {"cgroup.freeze": "0"}),
        (("freezer.state",), {"freezer.state": "FROZEN"}, {"freezer.state": "THAWED"}),
    ],
)
def test_freeze(
    tmp_path: Path, files: tuple[str, ...], frozen: dict[str, str], thawed: dict[str, str]
) -> None:
    def shown() -> dict[str, str]:
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    for name in files:
        (tmp_path / name).touch()
    group = cgroups.Group((tmp_path,))
    group.freeze(True)
    assert shown() == frozen
    group.freeze(False)
    assert shown() == thawed


def test_weight_of_the_machines_together(tmp_path: Path) -> None:
    for name in ("cpu.shares", "v2/cpu.weight"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cgroups.Group((tmp_path, tmp_path / "v2")).weigh()
    assert (tmp_path / "cpu.shares").read_text() == "8192"
    assert (tmp_path / "v2/cpu.weight").read_text() == "800"


def test_remove_goes_from_the_bottom_up(tmp_path: Path) -> None:
    (tmp_path / "lab-1/i-1/payload").mkdir(parents=True)
    cgroups.Group((tmp_path / "lab-1", tmp_path / "gone")).remove()
    assert list(tmp_path.iterdir()) == []
