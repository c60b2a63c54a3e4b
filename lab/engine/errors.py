"""What goes wrong in a way that a person can mend."""

from __future__ import annotations


class EngineError(Exception):
    """The engine cannot be had here; the message says what to do about it."""
