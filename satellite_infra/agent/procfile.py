"""The Procfile: which process types an app has, and the command of each."""

from __future__ import annotations

import re

# as Foreman and Heroku read it: a name, a colon, the command; other lines do not count
LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+?)\s*$")


def parse(text: str) -> dict[str, str]:
    """Process type -> command."""
    matches = (LINE.match(line) for line in text.splitlines())
    return {match.group(1): match.group(2) for match in matches if match}
