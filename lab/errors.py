"""The one exception of the lab that is a message to a person and not a bug."""

from __future__ import annotations


class LabError(Exception):
    """Something that the person can put right; its text says what and how."""
