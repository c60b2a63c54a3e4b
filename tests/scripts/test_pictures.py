"""The pictures of the command: a terminal of 80 columns, and nothing of the machine it ran on."""

from __future__ import annotations

import os
import re
import socket
import sys
from html import unescape
from pathlib import Path

import pytest

from scripts.pictures import CHECKOUT, PICTURES, Names, svg, typed

ASKS = """
import os, sys
print(sys.stdout.isatty(), os.get_terminal_size().columns)
print("you said", input("Sure? [y/N]: "))
"""


def test_the_command_has_a_terminal_of_80_columns_and_is_answered(tmp_path: Path) -> None:
    said = typed([sys.executable, "-c", ASKS], tmp_path, os.environ, "y")
    assert said == "True 80\nSure? [y/N]: y\nyou said y\n"


def test_what_differs_in_each_run_is_shown_as_the_same() -> None:
    names = Names()
    commits = ["0123456789" * 4, "abcdef0123" * 4]
    for commit in commits:
        names.commit(commit)
    text = "\n".join(
        [
            f"{commits[0]} {commits[0][:12]} {commits[1][:7]}*",
            "i-0fedcba9876543210 i-11111111111111111 i-0fedcba9876543210",
            "release-20261125T005108Z-c648.log 20261125005034-0123456",
            "2026-11-25T09:59:58.123Z shop-1",
        ]
    )
    assert names.plain(text) == "\n".join(
        [
            "1c0ffee0c0ffee0c0ffee0c0ffee0c0ffee0c0ff 1c0ffee0c0ff 2c0ffee*",
            "i-0123456789abcdef0 i-0223456789abcdef0 i-0123456789abcdef0",
            "release-20260102T030405Z-a1b2.log 20260102030405-1c0ffee",
            "2026-01-02T03:04:58.123Z shop-1",
        ]
    )


def words(picture: str) -> str:
    """The text of a picture."""
    return unescape(re.sub(r"<[^>]*>", "", picture)).replace("\xa0", " ")


def test_a_long_line_is_folded_as_a_terminal_does() -> None:
    picture = svg("satellite ps", "x" * 79 + "yz\n\x1b[31mred\x1b[0m", "ps")
    rows = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    assert [row for row in rows if "x" in row or row == "z"] == ["x" * 79 + "y", "z"]
    assert "satellite ps" in words(picture)
    assert "red" in words(picture)


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_shows_nothing_of_this_machine_and_loads_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"')]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }
    shown = words(text)
    assert "$ satellite" in shown
    assert socket.gethostname() not in shown
    assert not re.search(rf"/tmp/|/root/|{re.escape(str(CHECKOUT))}|Traceback", shown)
