"""Tell a webhook how a release ended, in the JSON that Slack takes.

A release never waits for it: a message is a file, and a unit of its own sends what is there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import storage
from .layout import AGENT, Layout
from .ledger import ROTATION, Ledger, Unfinished
from .system import Say, System

PAUSES = (1, 5, 25, 125)  # seconds before each further attempt; after a boot the network is late
TIMEOUT = 10  # seconds that the other side may be silent
LIMIT = 600  # seconds for all that waits
NEXT = (
    "Next: mend the cause and deploy again (`satellite deploy`, or where settings alone are new "
    "`satellite up --same-commit`); nothing has to be cleaned by hand."
)
LEFT = "what was left to do after it was cut off"
LONGEST = 700  # characters of a reason
HEADERS = {"Content-Type": "application/json", "User-Agent": "satellite"}
AGAIN = frozenset({408, 425, 429})  # what a later attempt may change, beside 5xx


class Told(NamedTuple):
    """The release that a message is about; `began` by the clock of `time.monotonic`."""

    revision: str
    by: str = ""
    name: str = "release"
    began: float | None = None

    def good(self, done: str) -> str:
        """It is live."""
        return f"{self._which()}: good{self._took()}. {done}"

    def failed(self, phase: str, reason: str, state: str) -> str:
        """It is not; `state`: what the host runs now."""
        short = reason if len(reason) <= LONGEST else reason[:LONGEST] + "..."
        return (
            f"{self._which()}: FAILED{self._took()} in phase `{phase}`: {short}\n"
            f"The host {state}.\n{NEXT}"
        )

    def _which(self) -> str:
        return f"{self.name} of {self.revision[:12]}" + (f" by {self.by}" if self.by else "")

    def _took(self) -> str:
        return "" if self.began is None else f" after {time.monotonic() - self.began:.0f} s"


def set_up(layout: Layout, url: str, say: Say) -> None:
    """Keep the URL for all that ends a release, a recovery at boot included; none: forget it."""
    try:
        if url:
            storage.write_json(layout.webhook, {"url": url})
        else:
            storage.remove(layout.webhook)
            for waiting in layout.outbox.glob("[0-9]*.json"):  # no other URL shall get it
                storage.remove(waiting)
    except OSError as problem:  # a full disk: the release says so itself
        say(f"the webhook could not be noted: {problem.strerror}")


def put(layout: Layout, text: str, say: Say, begun: int = 0) -> None:
    """Have it wait to be sent; whatever fails here is only said.

    `begun`: when the release was, by which a message that a recovery puts takes the place of the
    same one.
    """
    try:
        if not layout.webhook.is_file():
            return
        who = Ledger(layout).identity()
        head = f"{who['app']} {who['environment']} on {who['host']}: "
        storage.directory(layout.outbox, 0o700)
        name = f"{begun:020}" if begun else f"{time.time_ns():020}-{os.urandom(2).hex()}"
        storage.write_json(layout.outbox / f"{name}.json", {"text": _escaped(head + text)})
    except Exception as problem:  # noqa: BLE001 - the release has its outcome already
        say(f"the webhook could not be told: {type(problem).__name__}")


def tell(layout: Layout, text: str, system: System, say: Say) -> None:
    """Have it sent, by somebody else and soon."""
    put(layout, text, say)
    send(layout, system, say)


def send(layout: Layout, system: System, say: Say) -> None:
    """Have sent what waits, be it what a reboot has cut off; whatever fails here is only said."""
    try:
        if layout.webhook.is_file() and any(layout.outbox.glob("[0-9]*.json")):
            status, said = system.output(_sender(layout))
            if status:
                say(f"the message to the webhook waits for the next one: {said.strip()}")
    except Exception as problem:  # noqa: BLE001 - the release has its outcome already
        say(f"the webhook could not be told: {type(problem).__name__}")


def put_recovered(layout: Layout, cut_off: Unfinished, state: str, say: Say) -> None:
    """After a boot or a kill that left nobody else to tell it."""
    rotated = cut_off.by == ROTATION
    # a rotation that became good is nobody's deploy
    if cut_off.noted or (cut_off.good and rotated):
        return
    release, manifest = cut_off.target
    what = Told(manifest.revision, cut_off.by, ROTATION if rotated else "release")
    text = what.failed("unknown", "it was cut off, by a reboot or a kill", state)
    if cut_off.good:
        text = what.good(f"{release}: {manifest.revision[:12]} is live; {LEFT}")
    # one that could not be put back has told so before: this comes after it
    put(layout, text, say, cut_off.begun if cut_off.good else 0)


def send_all(layout: Layout, system: System, say: Say) -> int:
    """Send what waits, oldest first, each once; 1 where one was given up."""
    given_up = 0
    with storage.locked(layout.run / "outbox.lock"):
        url = (storage.read_json(layout.webhook) or {}).get("url", "")
        for path in sorted(layout.outbox.glob("[0-9]*.json")):
            try:
                message = storage.read_json(path)
            except ValueError:  # a power cut; it would keep all later ones, too
                say(f"{path} cannot be read: that message is dropped")
                given_up = 1
            else:
                if url and not _send(url, message, system, say):
                    given_up = 1
            storage.remove(path)
    return given_up


def _sender(layout: Layout) -> list[str]:
    name = f"satellite-{layout.app}-send-{time.time_ns()}.service"  # beside one that still sends
    return [
        *("systemd-run", f"--unit={name}", "--collect"),
        *("--quiet", "--no-block", f"--description={layout.app}: tell how a release ended"),
        *(f"--property=RuntimeMaxSec={LIMIT}", AGENT, "send", "--app", layout.app),
    ]


def _send(url: str, message: Mapping[str, Any], system: System, say: Say) -> bool:
    from . import web  # slow to load, and not at every start of the agent

    problem = web.post(
        url,
        json.dumps(message).encode(),
        lambda: HEADERS,
        lambda answer: ("", answer.code in AGAIN),
        timeout=TIMEOUT,
        pauses=PAUSES,
        sleep=system.sleep,
        say=lambda problem: say(f"the webhook did not take a message: {problem}"),
    )
    if problem:
        say("gave up on that message; `satellite releases` has what it said")
    return not problem


def _escaped(text: str) -> str:
    """As Slack wants it, so that nothing in a reason becomes a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
