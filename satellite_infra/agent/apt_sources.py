"""Package sources beside the distribution's own, each with the one key that may sign it."""

from __future__ import annotations

from pathlib import Path

from . import apt, storage
from .bootstrap_manifest import AptSource
from .layout import Layout
from .preparation import Preparation


def render(layout: Layout, sources: tuple[AptSource, ...]) -> dict[Path, str]:
    """Each file that there shall be, with its content."""
    files: dict[Path, str] = {}
    for source in sources:
        files[layout.apt_key(source.name)] = source.key.rstrip("\n") + "\n"
        files[layout.apt_source(source.name)] = _stanza(layout, source)
    return files


def declare(host: Preparation) -> bool:
    """Have these sources and no former ones of this app, and apt's lists of them."""
    layout = host.layout
    files = render(layout, host.manifest.apt_sources)
    changed = [storage.write(path, content, 0o644) for path, content in files.items()]
    ours = {*layout.apt_source("*").parent.glob(layout.apt_source("*").name)}
    ours.update(layout.apt_key("*").parent.glob(layout.apt_key("*").name))
    for path in sorted(ours - files.keys()):
        changed.append(storage.remove(path))
    # what was fetched last: a run that was cut off before, or a source that is down, is tried again
    known = "".join(files.values())
    fetched = layout.apt_fetched.read_text("utf-8") if layout.apt_fetched.exists() else ""
    if not any(changed) and fetched == known:
        return False
    # apt takes a source that does not answer for a warning; a package would be missing later
    apt.get(host, "-o", "APT::Update::Error-Mode=any", "update")
    storage.write(layout.apt_fetched, known)
    return True


def _stanza(layout: Layout, source: AptSource) -> str:
    lines = [
        "# Written by Satellite. A change by hand is overwritten.",
        "Types: deb",
        f"URIs: {source.uri}",
        f"Suites: {source.suite}",
        *([f"Components: {' '.join(source.components)}"] if source.components else []),
        f"Signed-By: {layout.apt_key(source.name)}",
    ]
    return "".join(f"{line}\n" for line in lines)
