"""A stack's settings as they stand in its file, before Pulumi makes values of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from satellite_infra.naming import NAMESPACE

Found = TypeVar("Found")
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


class UnreadError(Exception):
    """A file is no YAML; the text says where, and nothing of what stands there."""


def values(file: Path) -> tuple[str, dict[str, Any]]:
    """The project's name, and all that is set for the stack of this file, by full names.

    What is encrypted is the map that stands there. UnreadError where one of both is no YAML.
    """
    return _values(*_both(file))


def shown(file: Path) -> dict[str, str] | None:
    """What `pulumi config` shows of it, which takes longer to start than all that is done here.

    What is secret is not there, nor is what has something secret inside; a list or map is JSON.
    None where only Pulumi knows: of what is no YAML, and what takes settings from elsewhere.
    """
    try:
        about, own = _both(file)
        if any(_twice(_read(at, _composed)) for at in (file.with_name(PROJECT), file)):
            return None
        declared = _map(about.get("config")).values()
        if own.get("environment") or any(_map(said).get("secret") for said in declared):
            return None
        _, found = _values(about, own)
        there = {name: value for name, value in found.items() if value is not None}
        open_ = {name: value for name, value in there.items() if not _has_secret(value)}
        return {name: v if isinstance(v, str) else json.dumps(v) for name, v in open_.items()}
    except (OSError, UnreadError, TypeError, RecursionError):  # what JSON does not have, or itself
        return None


def _twice(node: yaml.Node | None) -> bool:
    """Whether a map in it has a name twice, which Pulumi refuses."""
    if isinstance(node, yaml.MappingNode):
        names = [str(key.value) for key, _ in node.value]
        return len({*names}) < len(names) or any(_twice(inner) for _, inner in node.value)
    return isinstance(node, yaml.SequenceNode) and any(map(_twice, node.value))


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return [*value] == ["secure"] or any(map(_has_secret, value.values()))
    return isinstance(value, list) and any(map(_has_secret, value))


def _both(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the project's file says, and the stack's."""
    about, own = (_map(_read(at, _loaded)) for at in (file.with_name(PROJECT), file))
    return about, own


def _values(about: dict[str, Any], own: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    project = str(about.get("name") or NAMESPACE)
    declared = {name: _declared(said) for name, said in _map(about.get("config")).items()}
    found = {name: value for name, value in declared.items() if value is not None}
    every = [*found.items(), *_map(own.get("config")).items()]
    return project, {full(name, project): value for name, value in every}


def _declared(said: Any) -> Any:
    """The value of an entry of the project's file; None where there is none."""
    if not isinstance(said, dict):
        return said
    return said.get("default") if said.get("value") is None else said["value"]


def _loaded(text: str) -> Any:
    return yaml.load(text, Loader)


def _composed(text: str) -> yaml.Node | None:
    found: yaml.Node | None = yaml.compose(text, NODES)
    return found


def _read(file: Path, read: Callable[[str], Found]) -> Found:
    """What that makes of its text."""
    try:
        return read(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # whose whole text quotes the file
        mark = getattr(error, "problem_mark", None)
        # a name may be what was meant as a value
        what = re.sub("(alias|anchor|handle|tag) .*", r"\1", str(getattr(error, "problem", "")))
        where = f": line {mark.line + 1}: {what}" if mark else ""
        raise UnreadError(f"{file.name} is no YAML{where}") from None


def _map(found: Any) -> dict[str, Any]:
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def full(name: str, project: str) -> str:
    """The full name of a setting; one without a namespace is of the project's.

    `shop:config:branch` is what was once written for `shop:branch`.
    """
    return re.sub("^([^:]+):config:", r"\1:", name) if ":" in name else f"{project}:{name}"


def nodes(file: Path) -> dict[str, yaml.Node]:
    """The same of the file alone, as it stands there, with and without quotes, or a tag."""
    return pairs(pairs(_read(file, _composed)).get("config"))


def project_nodes(file: Path) -> dict[str, yaml.Node]:
    """What the project's file sets for each stack, by full names, as it stands there."""
    known = pairs(_read(file, _composed))
    project = str(known["name"].value) if "name" in known else NAMESPACE
    found: dict[str, yaml.Node] = {}
    for name, node in pairs(known.get("config")).items():
        said = {word: one for word, one in pairs(node).items() if not _empty(one)}
        value = said.get("value") or said.get("default")
        if value or not isinstance(node, yaml.MappingNode):
            found[full(name, project)] = value or node
    return found


def _empty(node: yaml.Node) -> bool:
    return node.tag == PLAIN and node.value.lower() in ("", "~", "null")


def misread(found: Mapping[str, yaml.Node]) -> Iterator[str]:
    """A line for each value of ours that Pulumi reads, and writes again, as another one.

    It says nothing of it: of `0123` it makes 83, of `1.10` 1.1, of a day a moment.
    """
    from satellite_infra.problems import line  # slow to load, as the other
    from satellite_infra.settings import ENCRYPTED, MAY_BE_ENCRYPTED

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
    own = {full(name, NAMESPACE) for name in stack}
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
