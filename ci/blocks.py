"""Pieces of Markdown that stay whole when the comment must be cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST = 64_000
"""Bytes of a comment: GitHub takes 65,536 characters, and most of ours are one byte each."""
NOTE = "_Cut here, at what GitHub takes for a comment. All of it is in the summary of the job._"


@dataclass(frozen=True)
class Block:
    """Lines between a head and a tail; `parts` holds blocks instead of lines."""

    lines: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    parts: tuple[Block, ...] = ()

    @classmethod
    def fenced(cls, lines: Sequence[str], language: str = "text") -> Block:
        """Lines shown as they are, whatever is in them."""
        longest = max((len(run) for run in re.findall(r"`+", "\n".join(lines))), default=0)
        fence = "`" * max(3, longest + 1)
        return cls(tuple(lines), (fence + language,), (fence,))

    @classmethod
    def details(cls, title: str, lines: Sequence[str], opened: bool) -> Block:
        """A diff below a title, which folds it."""
        inner = cls.fenced(lines, "diff")
        head = f"<details{' open' if opened else ''}><summary>{title}</summary>"
        return cls(inner.lines, (head, "", *inner.head), (*inner.tail, "", "</details>"))

    def text(self) -> str:
        """All of it."""
        shown = [part.text() for part in self.parts if part.lines]
        if self.parts:
            return "\n".join(shown)
        return "".join(f"{line}\n" for line in (*self.head, *self.lines, *self.tail))

    def cut(self, room: int = LONGEST) -> str:
        """As much of it as has room, with a note where it ends; no fence stays open."""
        if _size(whole := self.text()) <= room:
            return whole
        shown, left = "", room - _size(NOTE) - 2  # an empty line, and the end of the note's
        for part in (part for part in self.parts if part.lines):
            text = ("\n" if shown else "") + part.text()
            if _size(text) > left:
                shown += part._beginning(left, "\n" if shown else "")
                break
            shown, left = shown + text, left - _size(text)
        return f"{shown}\n{NOTE}\n"

    def _beginning(self, room: int, before: str) -> str:
        """Its first lines, of the first one what has room; nothing where that is nothing."""
        left = room - _size(before) - sum(_size(line) + 1 for line in (*self.head, *self.tail))
        kept: list[str] = []
        for line in self.lines:
            if _size(line) + 1 > left:
                if not kept and left > 1:
                    kept.append(line.encode()[: left - 1].decode(errors="ignore"))
                break
            left -= _size(line) + 1
            kept.append(line)
        return before + Block(tuple(kept), self.head, self.tail).text() if kept else ""


def joined(blocks: Iterable[Block]) -> Block:
    """Blocks with an empty line between them."""
    return Block(parts=tuple(blocks))


def _size(text: str) -> int:
    return len(text.encode())
