"""What a host can give its workers as a config var, wherever the value comes from."""

from __future__ import annotations

LONGEST = 130_000
"""Bytes. One of a process's variables is at most 131072, with its name, a `=` and a NUL (execve(2),
MAX_ARG_STRLEN)."""
