"""What went wrong, said so that a person knows what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class DemoError(Exception):
    """A promise of the demo that was not kept.

    `what` is one sentence, `why` the lines that prove it, `look` the files that tell more.
    """

    def __init__(self, what: str, why: Sequence[str] = (), look: Sequence[object] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.why = tuple(why)
        self.look = tuple(map(str, look))


def expect(what: str, why: Sequence[str], look: Sequence[object] = ()) -> None:
    """Raise DemoError when there is anything in `why`."""
    if why:
        raise DemoError(what, why, look)
