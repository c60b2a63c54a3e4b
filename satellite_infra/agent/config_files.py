"""Files with secrets: templates that config vars fill in, one copy for each release.

`{{ NAME }}` stands for a config var as it is, `{{ NAME | json }}` for it as a quoted text that JSON
and YAML read, `{{ NAME | ruby }}` for one that Ruby reads, `{{ '{{' }}` for two braces.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable

from . import storage
from .layout import Layout
from .release_manifest import ConfigFile
from .system import System

PLACE = re.compile(r"\{\{(?P<inner>.*?)(?P<end>\}\}|\Z)", re.DOTALL)
USE = re.compile(r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*(\|\s*(?P<filter>\w+)\s*)?")
BRACES = re.compile(r"""\s*(?P<quote>['"])\{\{(?P=quote)\s*""")
TELLING = 12  # characters; a shorter part of a template is no secret, but a part of any log


def quoted(value: str) -> str:
    """A text in double quotes that JSON and YAML read as the value, whatever it holds."""
    # YAML knows no pairs of surrogates, which ASCII would need; and takes no unprintable character
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in text)


def ruby(value: str) -> str:
    """A text in double quotes that Ruby reads as the value."""
    return quoted(value).replace("#", "\\#")


FILTERS: Mapping[str, Callable[[str], str]] = {"": str, "json": quoted, "ruby": ruby}


def uses(template: str) -> Iterator[tuple[int, str, str]]:
    """Each place of a template as (line, config var, problem): one of the two is empty."""
    for place in PLACE.finditer(template):
        line = template.count("\n", 0, place.start()) + 1
        use = USE.fullmatch(place["inner"])
        if not place["end"]:
            yield line, "", "has no end, }}"
        elif use and (use["filter"] or "") in FILTERS:
            yield line, use["name"], ""
        elif use:
            known = ", ".join(filter(None, FILTERS))
            yield line, "", f"should have one of the filters {known}"
        elif not BRACES.fullmatch(place["inner"]):
            yield line, "", "should be {{ NAME }} or {{ NAME | json }}, or {{ '{{' }} for braces"


def render(template: str, config: Mapping[str, str]) -> str:
    """The file's text, with a newline at its end; ValueError says what cannot be filled in."""
    for line, name, problem in uses(template):
        if problem or name not in config:
            raise ValueError(f"line {line}: {problem or f'{name} is no config var'}")

    def fill(place: re.Match[str]) -> str:
        use = USE.fullmatch(place["inner"])
        return FILTERS[use["filter"] or ""](config[use["name"]]) if use else "{{"

    text = PLACE.sub(fill, template)
    return text if text.endswith("\n") else text + "\n"


def telling(templates: Mapping[str, str]) -> dict[str, str]:
    """What of the templates themselves may be secret, and must not be in a log."""
    found = {path: "\n".join(_literal(text)) for path, text in templates.items()}
    return {path: text for path, text in found.items() if text}


def _literal(template: str) -> Iterator[str]:
    """Long lines; of those with a config var only the long words, such as a URL's beginning."""
    for line in PLACE.sub("\0", template).splitlines():
        if "\0" in line:
            yield from re.findall(rf"[^\s\0]{{{TELLING},}}", line)
        elif len(line) >= TELLING:
            yield line


def write(
    layout: Layout,
    release: str,
    files: Sequence[ConfigFile],
    templates: Mapping[str, str],
    config: Mapping[str, str],
    system: System,
) -> None:
    """Fill in each file of a release, where root alone writes and the app's group reads."""
    if not files:
        return
    user, group = system.ids(layout.app)
    root, top = os.geteuid(), layout.config_files(release)
    storage.directory(top.parent, 0o750, (root, group))
    for file in files:
        try:
            text = render(templates[file.path], config)
        except ValueError as problem:
            raise ValueError(f"config_files/{file.path}: {problem}") from None
        path = top / file.path
        inside = [p for p in reversed(path.parents) if p == top or top in p.parents]
        for directory in inside:
            storage.directory(directory, 0o750, (root, group))
        owner = (user if file.owner == "app" else root, group)
        storage.write(path, text, int(file.mode, 8), owner)
