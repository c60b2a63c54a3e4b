"""Runs of pytest that share a folder run each module once, also of the same name, and count all."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
HOOKS = f"""\
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.conftest import collected, pytest_addoption, pytest_runtestloop
"""


def run(folder: Path) -> str:
    words = [
        "-q",
        "--import-mode=importlib",
        "--rootdir=.",
        "--share=shared",
        "-p",
        "no:cacheprovider",
        "--junit-xml=report.xml",
    ]
    argv = [sys.executable, "-m", "pytest", *words, "."]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_each_module_runs_once(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_it.py").write_text("def test_it(): pass\n")
    (tmp_path / "shared/one/test_it.py").mkdir(parents=True)  # another run has taken it
    assert "1 passed" in run(tmp_path)
    report = ET.parse(tmp_path / "report.xml")
    noted = report.find("testsuite/properties/property[@name='shared']")
    assert noted is not None
    assert noted.get("value") == "2"
    assert "passed" not in run(tmp_path)
