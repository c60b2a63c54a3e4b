"""Workers as people name them: `TYPE` are all of a process type, `TYPE.N` is one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .release_manifest import Slot


def named(words: Sequence[str], quantities: Mapping[str, int]) -> tuple[set[Slot], list[str]]:
    """The workers that these words name, and what is wrong with those that name none.

    `quantities`: how many workers each process type has.
    """
    found: set[Slot] = set()
    wrong: list[str] = []
    for word in words:
        type_, dot, number = word.partition(".")
        most = quantities.get(type_)
        if most is None:
            wrong.append(f"{word}: should be a process type ({', '.join(quantities)}), or TYPE.N")
        elif not dot:
            found |= {(type_, n) for n in range(1, most + 1)}
        elif re.fullmatch("[0-9]{1,9}", number) and 1 <= int(number) <= most:
            found.add((type_, int(number)))
        else:
            wrong.append(f"{word}: its number should be from 1 to {most}")
    return found, wrong
