"""What is in the repository: texts that people read, and nothing that fell into it."""

from __future__ import annotations

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LARGE = 1 << 20  # bytes


def test_every_file_is_a_text_and_none_is_large() -> None:
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [CHECKOUT / name for name in told.stdout.split("\0") if name]
    contents = {path: path.read_bytes() for path in files if path.is_file()}
    assert [path for path, content in contents.items() if b"\0" in content] == []
    assert [path for path, content in contents.items() if len(content) > LARGE] == []
    assert len(contents) > 100
