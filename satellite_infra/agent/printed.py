"""What a program prints, by the line; what has no end fills neither the memory nor the disk."""

from __future__ import annotations

import codecs
import io
from collections import deque
from typing import Callable

LONGEST = 1 << 18  # characters of a line: more than any config var has, see `_hand_on`
MOST = 1 << 26  # characters of one program
LAST = 20  # lines that are told at the end of one that has printed more: they say why it failed


class Printed:
    """Hands on the lines of one program, with its bytes as they come."""

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._begun = ""  # a line that has no end yet
        self._dropped = 0  # characters of it that were too many to keep
        self._room = MOST
        self._last: deque[str] = deque(maxlen=LAST)

    def take(self, data: bytes, final: bool = False) -> None:
        """Hand on the lines that these bytes end."""
        text = self._begun + self._decoder.decode(data, final)
        *lines, self._begun = text.split("\n")
        for line in lines:
            self._hand_on(line)
        if len(self._begun) > LONGEST:
            self._dropped += len(self._begun)
            self._begun = ""

    def end(self) -> None:
        """Hand on the rest: no more is to come."""
        self.take(b"", final=True)
        if self._begun or self._dropped:
            self._hand_on(self._begun)
        for line in self._last:
            self._say(line)

    def _hand_on(self, line: str) -> None:
        length = self._dropped + len(line)
        self._dropped = 0
        if length > LONGEST:
            # not its beginning: a secret that is cut in two is not known as one any more
            line = f"[a line of {length} characters is left out]"
        if self._room <= 0:
            self._last.append(line)
            return
        self._say(line)
        self._room -= len(line) + 1
        if self._room <= 0:
            self._say(f"[more than {MOST >> 20} MB: the rest is left out, but for its last lines]")
