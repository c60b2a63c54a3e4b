"""How this program speaks HTTP: directly, and never on to where an answer points."""

from __future__ import annotations

import urllib.request
from typing import Any


class _Stay(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would arrive as a GET, without what it says."""

    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))
