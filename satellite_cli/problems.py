"""How a command ends when not well: one message, no traceback, and a status of the table."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from typing import TextIO

import click

from satellite_cli import screen
from satellite_cli.aim import aimed, glued, loose

FAILED = 1
"""What was asked was done in part or not at all; the message says what is where."""
USAGE = 2
"""The command line or the settings are wrong; nothing was done."""
UNANSWERED = 3
"""All that was shown is right, but some hosts did not answer; standard error names them."""
REFUSED = 4
"""It was refused, or nobody confirmed it; nothing was done. The message says which."""
INTERRUPTED = 130
"""Ctrl-C, SIGTERM, or a closed terminal; the message says in which state things are."""


class SatelliteError(Exception):
    """The text says what is wrong, and what to do; `status` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class LockedError(SatelliteError):
    """Another update of the stack is under way; this one has changed nothing."""


class Interruptions:
    """Ctrl-C of a command that has to tell at its end what is where, and to clear up.

    The first one is heard, and of those after it, as of whoever holds the keys, none but where it
    may be.
    """

    def __init__(self) -> None:
        self.over = False

    def __enter__(self) -> Interruptions:
        self.before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def _hear(self, *_: object) -> None:
        if not self.over:
            self.over = True
            raise KeyboardInterrupt

    def end(self) -> None:
        """From here on none is heard."""
        self.over = True

    @contextlib.contextmanager
    def until_here(self) -> Iterator[None]:
        """None is heard once this is left, however it is."""
        try:
            yield
        finally:
            self.end()

    @contextlib.contextmanager
    def once_more(self) -> Iterator[None]:
        """One may be heard in here: nothing is lost by it."""
        before, self.over = self.over, False
        try:
            yield
        finally:
            self.over |= before


def consent(question: str) -> None:
    """SatelliteError unless a person says yes."""
    if not click.confirm(screen.safe(question, err=True), err=True):
        raise SatelliteError("nothing was done", REFUSED)


def note(text: str) -> None:
    """A remark on standard error: standard output is the command's own."""
    text = aimed(text)
    if sys.stderr.isatty():
        text = fitted(text, shutil.get_terminal_size().columns)
    say(text, err=True)


def say(text: str, err: bool = False, colour: str | None = None) -> None:
    """Print it, if anybody still reads that: what is at work goes on to its end without."""
    text = screen.safe(text, err)
    try:
        click.echo(screen.coloured(text, colour) if colour else text, err=err)
    except OSError as problem:
        deafen(sys.stderr if err else sys.stdout)
        if problem.errno not in (errno.EPIPE, errno.EIO) and not err:
            say(f"warning: not all could be written: {problem.strerror}", err=True)


def deafen(stream: TextIO) -> None:
    """Nobody reads it any more, such as after `| head`: what it still holds goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def fitted(text: str, width: int) -> str:
    """Its lines broken between words, but within no command; what one begins with, its blanks and
    bars, is repeated.
    """
    return "\n".join(_lines(text, width))


def _lines(text: str, width: int) -> Iterator[str]:
    for line in text.split("\n"):
        begins = line[: len(line) - len(line.lstrip(" |"))]
        if len(line) <= width or len(begins) > width // 2:
            yield line
            continue
        wrapped = textwrap.wrap(
            glued(line),
            width,
            subsequent_indent=begins,
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield from map(loose, wrapped)
