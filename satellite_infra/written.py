"""A stack's settings as they stand in its file, before Pulumi makes values of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from satellite_infra.problems import line
from satellite_infra.settings import ENCRYPTED, MAY_BE_ENCRYPTED, NAMESPACE

PROJECT = "Pulumi.yaml"
CLOCK = r"\d\d?:\d\d?:\d\d?(\.\d+)?"
NUMBER = (
    r"[-+]?(0[xob][\da-f_]+|(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)(e[-+]?\d+)?)"
    rf"|\d{{4}}-\d\d?-\d\d?(t{CLOCK}(z|[-+]\d\d:\d\d)| {CLOCK})?"
)
"""What Pulumi may read as a number or a day where it stands without quotes."""
WHOLE = r"0|-?[1-9]\d{0,18}"
"""A number that it reads, and writes again, as it was, if it is one of 64 bits."""
DECIMAL = r"-?(0|[1-9]\d{0,5})\.\d{0,20}[1-9]"
"""One with a point of which the same is true, if no shorter one is as near; a larger one would come
into the file with an exponent."""
DAY = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[\d.]* \+0000 UTC"
"""What it makes of a day."""
RULE = "should be in quotes, or a plain number: Pulumi makes another value of it"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 40 times as fast, where it was built
KINDS = {
    "bool": "true|True|TRUE|false|False|FALSE",
    "null": "|~|null|Null|NULL",
    "merge": "<<",
    "int": WHOLE,
    "float": DECIMAL,
}
"""What may stand without quotes, and is no text."""
RESOLVERS = {None: [(f"tag:yaml.org,2002:{k}", re.compile(f"({v})$")) for k, v in KINDS.items()]}


PLAIN, TEXT = "plain", "tag:yaml.org,2002:str"
"""The tags of what stands without quotes and a tag of its own, and of what is text in any case."""
NODES = type("NODES", (LOADER,), {"yaml_implicit_resolvers": {None: [(PLAIN, re.compile(""))]}})


class Loader(yaml.SafeLoader):
    """Reads it as Pulumi does, to whom `on` and `yes` are words."""

    yaml_implicit_resolvers = RESOLVERS


def project_file() -> Path | None:
    """That of the project that the current folder belongs to; None where it belongs to none."""
    here = Path.cwd()
    files = (folder / PROJECT for folder in (here, *here.parents))
    return next((file for file in files if file.is_file()), None)


def file_of(stack: str) -> Path | None:
    """The stack's file in that project; None without either."""
    project = project_file()
    file = project and project.with_name(f"Pulumi.{stack}.yaml")
    return file if file and file.is_file() else None


def values(file: Path) -> dict[str, Any]:
    """All that the file sets, by full names; what is encrypted as the map that stands there."""
    found = yaml.load(file.read_text("utf-8"), Loader) or {}
    return dict(found.get("config") or {})


def nodes(file: Path) -> dict[str, yaml.Node]:
    """The same as it stands there, with and without quotes, or a tag."""
    return pairs(pairs(yaml.compose(file.read_text("utf-8"), NODES)).get("config"))


def project_nodes(file: Path) -> dict[str, yaml.Node]:
    """What the project's file sets for each stack, by full names, as it stands there."""
    known = pairs(yaml.compose(file.read_text("utf-8"), NODES))
    project = str(known["name"].value) if "name" in known else NAMESPACE
    found: dict[str, yaml.Node] = {}
    for name, node in pairs(known.get("config")).items():
        said = pairs(node)
        value = said.get("value") or said.get("default")
        if value or not isinstance(node, yaml.MappingNode):
            found[name if ":" in name else f"{project}:{name}"] = value or node
    return found


def misread(found: Mapping[str, yaml.Node]) -> Iterator[str]:
    """A line for each value of ours that Pulumi reads, and writes again, as another one.

    It says nothing of it: of `0123` it makes 83, of `1.10` 1.1, of a day a moment.
    """
    seen: set[int] = set()
    for name, node in found.items():
        namespace, _, key = name.rpartition(":")
        namespace = namespace or NAMESPACE  # the project's, which Pulumi adds
        for place, text in _plain([key], node, seen) if namespace == NAMESPACE else ():
            mode = key == "config_files" and place[-1] == "mode"  # which is known as either number
            if not mode and _another(text):
                hidden = key in ENCRYPTED | MAY_BE_ENCRYPTED
                yield line(place, RULE) + ", got [secret]" if hidden else line(place, RULE, text)


def misread_of_project(file: Path, stack: Mapping[str, yaml.Node]) -> Iterator[str]:
    """The same of the project's file, but for what the `stack` says itself."""
    own = {name if ":" in name else f"{NAMESPACE}:{name}" for name in stack}
    found = project_nodes(file)
    yield from misread({name: node for name, node in found.items() if name not in own})


def pairs(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """What a map holds; nothing where it is none."""
    found = node.value if isinstance(node, yaml.MappingNode) else ()
    return {str(key.value): value for key, value in found}


def _plain(place: list[str], node: yaml.Node, seen: set[int]) -> Iterator[tuple[list[str], str]]:
    """Each name and value that may be no text, and where it is; what has several places once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if node.tag != TEXT and not node.tag.startswith("!"):  # of such a one Pulumi makes text
            yield place, node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = [*place, str(key.value)]
            yield from _plain(inside, key, seen)
            yield from _plain(inside, value, seen)
    else:
        for number, value in enumerate(node.value):
            yield from _plain([*place, str(number)], value, seen)


def _another(text: str) -> bool:
    """Whether it is not written again as it was."""
    if not re.fullmatch(NUMBER, text, re.IGNORECASE | re.ASCII):
        return False
    if re.fullmatch(WHOLE, text, re.ASCII):
        return not -(2**63) <= int(text) < 2**63
    return not re.fullmatch(DECIMAL, text, re.ASCII) or repr(float(text)) != text
