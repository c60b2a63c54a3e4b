"""The Procfile: which process types an app has, and the command of each."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

LONGEST = 1 << 20  # bytes: what such a file has at most, and the app may make one without end
# as Foreman and Heroku read it: a name, a colon, the command; other lines do not count
LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+?)\s*$")


def parse(text: str) -> dict[str, str]:
    """Process type -> command."""
    matches = (LINE.match(line) for line in text.splitlines())
    return {match.group(1): match.group(2) for match in matches if match}


def read(release: Path) -> dict[str, str]:
    """Those of a release directory, none without a Procfile; ValueError for one outside of it."""
    return parse(content(release, "Procfile", inside=True))


def told(release: Path) -> str:
    """The process types in words, for whom one is missing; and each line that is none."""
    if not (release / "Procfile").exists():
        return "there is none"
    text = content(release, "Procfile", inside=True)
    lines = [(str(n), line) for n, line in enumerate(text.splitlines(), 1)]
    meant = [(n, line) for n, line in lines if line.strip()[:1] not in ("", "#")]
    odd = [n for n, line in meant if not LINE.match(line)]
    has = f"it has: {', '.join(parse(text)) or 'nothing'}"
    return f"{has}; no `TYPE: COMMAND` is in line {', '.join(odd)}" if odd else has


def content(release: Path, name: str, inside: bool) -> str:
    """What stands in a file of a release directory; empty without one.

    `inside`: ValueError where it is outside: root reads it, and a link of the app's could lead to
    what the app may not read. The file that was opened is the one that is judged: nothing can be
    swapped meanwhile.
    """
    try:
        opened = os.open(release / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return ""
        if inside and release.resolve() not in Path(f"/proc/self/fd/{opened}").readlink().parents:
            raise ValueError(f"{name}: should be in the app's repository, not a link out of it")
        with open(opened, "rb", closefd=False) as file:
            return file.read(LONGEST).decode("utf-8", "replace")
    finally:
        os.close(opened)


def has_delayed_job(release: Path) -> bool:
    """Whether the app of that release brings the queue that the adapters know."""
    # also by a link, such as into what is shared: nobody is told what else stands there
    return " delayed_job " in content(release, "Gemfile.lock", inside=False)
