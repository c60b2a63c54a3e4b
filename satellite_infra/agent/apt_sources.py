"""Package sources beside the distribution's own, each with the one key that may sign it.

The key is in the source's own file: apt reads no source at all where the same one has two keys, and
two files with one key are two.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import apt, storage
from .bootstrap_manifest import AptSource
from .layout import Layout
from .preparation import Preparation
from .system import CommandError

KEY = re.compile("-----BEGIN PGP.*?-----END PGP[^-]*-----", re.DOTALL)


def render(layout: Layout, sources: tuple[AptSource, ...]) -> dict[Path, str]:
    """Each file that there shall be, with its content."""
    return {layout.apt_source(source.name): _stanza(source) for source in sources}


def declare(host: Preparation) -> bool:
    """Have these sources and no former ones of this app, and apt's lists of them."""
    layout = host.layout
    files = render(layout, host.manifest.apt_sources)
    any_key, any_source = layout.apt_key("*"), layout.apt_source("*")
    ours = {*any_source.parent.glob(any_source.name)}
    ours.update(any_key.parent.glob(any_key.name))  # of an older agent
    before = {path: path.read_text("utf-8") for path in sorted(ours)}
    changed = [storage.write(path, content, 0o644) for path, content in files.items()]
    changed += [storage.remove(path) for path in before.keys() - files.keys()]
    # what was fetched last: a run that was cut off before, or a source that is down, is tried again
    known = "".join(files.values())
    fetched = layout.apt_fetched.read_text("utf-8") if layout.apt_fetched.exists() else ""
    if not any(changed) and fetched == known:
        return False
    status, said = host.system.output(["apt-get", "indextargets"])
    if status:  # as every apt of this machine would say from now on
        for path in {**files, **before}:
            if path in before and before[path] in fetched:
                storage.write(path, before[path], 0o644)
            else:
                storage.remove(path)
        raise CommandError(_refusal(host, said))
    # apt takes a source that does not answer for a warning; a package would be missing later
    apt.get(host, "-o", "APT::Update::Error-Mode=any", "update")
    storage.write(layout.apt_fetched, known)
    return True


def _refusal(host: Preparation, said: str) -> str:
    """What apt says, which names no file where two have the same source, with another key."""
    words = " ".join(KEY.sub("(a key)", said).split())
    uris = {source.uri.rstrip("/") for source in host.manifest.apt_sources}
    ours = host.layout.apt_source("*")
    lists = [ours.parent.with_name("sources.list"), *sorted(ours.parent.glob("*"))]
    others = [path for path in lists if path.is_file() and not path.match(ours.name)]
    texts = {str(path): path.read_text("utf-8", "replace") for path in others}
    same = [path for path, text in texts.items() if any(uri in text for uri in uris)]
    there = f"; the same source is in {', '.join(same)}" if same else ""
    return f"apt does not take the package sources of {host.manifest.app}: {words}{there}"


def _stanza(source: AptSource) -> str:
    lines = [
        "# Written by Satellite. A change by hand is overwritten.",
        "Types: deb",
        f"URIs: {source.uri}",
        f"Suites: {source.suite}",
        *([f"Components: {' '.join(source.components)}"] if source.components else []),
        "Signed-By:",
        *(f" {line.strip() or '.'}" for line in source.key.strip().splitlines()),
    ]
    return "".join(f"{line}\n" for line in lines)
