"""A formation as systemd units: pure, `render` says which files with which content."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from .layout import AGENT, Layout
from .release_manifest import Process, ReleaseManifest

TOLD = {"all": "control-group", "main": "mixed"}
"""How systemd calls those of a worker's processes which get the signal; SIGKILL is for all."""


class File(NamedTuple):
    """A file that shall be: its name in the units' directory, and its whole content."""

    name: str
    content: str


def render(manifest: ReleaseManifest, workers: Iterable[str]) -> list[File]:
    """The units of a release: one template for each process type, and the target of these units."""
    layout = Layout(manifest.app)
    wants = [f"Wants={unit}" for unit in workers]
    target = fill("app.target", layout, WANTS="\n".join(wants))
    return [
        *(_worker(process, layout) for process in manifest.processes),
        File(layout.target, target),
    ]


def housekeeping(layout: Layout) -> list[File]:
    """The units that do not change with a release."""
    return [
        File(layout.recover_unit, fill("recover.service", layout, MOUNTS=_mounts(layout))),
        File(layout.reap_unit, fill("reap.service", layout)),
    ]


def _mounts(layout: Layout) -> str:
    """The units that mount what the app's places may be on; systemd has those that there are.

    As `WantsMountsFor` does, which systemd knows from 256 on.
    """
    places = (layout.releases, layout.shared, layout.state)
    parts = [place.relative_to(layout.root).parts for place in places]
    paths = {each[:depth] for each in parts for depth in range(1, len(each) + 1)}
    names = ["-".join(part.replace("-", r"\x2d") for part in path) for path in paths]
    return " ".join(f"{name}.mount" for name in sorted(names))


def rotation(layout: Layout, calendar: str) -> list[File]:
    """The units that follow Heroku."""
    return [
        File(layout.rotate_unit, fill("rotate.service", layout)),
        File(layout.rotate_timer, fill("rotate.timer", layout, CALENDAR=calendar)),
    ]


def wall(layout: Layout) -> File:
    """The unit that keeps the app from the instance's metadata."""
    content = fill("metadata.service", layout, RULES=str(layout.metadata_rules))
    return File(layout.metadata_unit, content)


def wall_rules(layout: Layout, uid: int) -> str:
    """What that unit tells the firewall; `uid`: the app's user."""
    return fill("metadata.nft", layout, UID=str(uid))


def queue(layout: Layout, every_minutes: int) -> list[File]:
    """The units that have the queue measured."""
    return [
        File(layout.queue_unit, fill("queue.service", layout)),
        File(layout.queue_timer, fill("queue.timer", layout, MINUTES=str(every_minutes))),
    ]


def template(name: str) -> str:
    """The text of a template file of this package."""
    # which may be in an archive; as `pkgutil` does, which brings half of `importlib` along
    path = os.path.join(os.path.dirname(__file__), "templates", name)  # noqa: PTH118, PTH120
    loader: Any = __spec__.loader
    return str(loader.get_data(path).decode())


def _worker(process: Process, layout: Layout) -> File:
    content = fill(
        "worker.service",
        layout,
        TYPE=process.type,
        SIGNAL=process.signal,
        TO=TOLD[process.signal_to],
        GRACE=str(process.grace),
        STOPS=str(layout.stops),
    )
    return File(layout.template_unit(process.type), content)


def fill(name: str, layout: Layout, **more: str) -> str:
    """A template's text with its words filled in: the app's, and `more`."""
    text = template(name)
    values = {
        "APP": layout.app,
        "AGENT": AGENT,
        "TARGET": layout.target,
        "RECOVER": layout.recover_unit,
        "REAP": layout.reap_unit,
        **more,
    }
    # once: a value may hold what looks like a word
    return re.sub(r"@([A-Z]+)@", lambda match: values.get(match[1], match[0]), text)
