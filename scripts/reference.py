"""Write docs/settings.md and docs/example-stack.yaml from the settings themselves (`make docs`).

`python -m scripts.reference --check` only says whether they are as they should be.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import json
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from satellite_infra.naming import NAMESPACE
from satellite_infra.rules import INSTANCE_ONLY
from satellite_infra.settings import ENCRYPTED, Settings

DOCS = Path(__file__).parents[1] / "docs"
SECTIONS = {
    "app": "The app",
    "processes": "Workers",
    "count": "Hosts",
    "public_key": "Keys",
    "connect": "Network",
}
"""The titles, by the setting that each begins with."""
PARTS = {
    "processes": "TYPE",
    "config_files": "PATH",
    "apt_sources": "NAME",
    "hosts": "NAME",
    "egress": "N",
}
"""What stands for the part of a path that the user chooses."""
DEFAULTS = {"egress": "everything", "release_phase": "`off`"}
"""Defaults that are better said than shown."""
INSTEAD = frozenset({"count", "ami", "ssh_agent", "queue.command", "queue.sql"})
"""Settings that the example shows as comments: another one there does the same."""
ENTRIES: Mapping[str, Mapping[str, Collection[str]]] = {
    "processes": {"worker": ()},
    "config_files": {"config/database.yml": ()},
    "apt_sources": {"pgdg": ()},
    "hosts": {
        "mailer": ("lost", *INSTANCE_ONLY),
        "rented": ("address", "host_key", "user", "port", "machine"),
    },
}
"""The example's entries of a map, and which parts each has (all where none is named)."""
INTRODUCTION = """\
# Settings

All of them live in `Pulumi.STACK.yaml`, below the name `satellite:`. Set one with `pulumi config
set satellite:KEY VALUE`, a part of a map or list with `pulumi config set --path
'satellite:processes.worker.quantity' 2`, a secret with `--secret`, from standard input where it has
several lines. [A stack file with everything in it](example-stack.yaml) shows how each looks.

Every problem is reported at once, before anything is touched: path, rule, value. An unknown key is
an error.

This page and that file are made from `satellite_infra/settings.py` by `make docs`.
"""
EXAMPLE = """\
# Every setting as it looks in a stack file, with its meaning; made by `make docs`. Nobody needs all
# of them: start from Pulumi.staging.yaml. What is commented out does the same as another setting
# here, or is a secret and is set by the command.
config:
  aws:region: us-east-1
"""


class Dumper(yaml.SafeDumper):
    """Writes text of several lines as such."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Dumper.add_representer(str, _text)


@functools.cache
def fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The settings of a model, each with the docstring below it as its description.

    Read here and not by the models themselves: each start of the program would wait for that.
    """
    (declared,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(declared, ast.ClassDef)
    found = {key: copy.copy(field) for key, field in model.model_fields.items()}
    for setting, below in pairwise(declared.body):
        match setting, below:
            case ast.AnnAssign(ast.Name(key)), ast.Expr(ast.Constant(str(text))):
                found[key].description = text
    return found


def model_in(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a map's values, of a list's items, or of the setting itself."""
    for part in (field.annotation, *get_args(field.annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def prefix_of(key: str) -> str:
    """The path below which a setting has its parts."""
    return f"{key}.{PARTS[key]}." if key in PARTS else f"{key}."


def default_of(key: str, field: FieldInfo) -> str:
    """What stands in the table's last column."""
    value = field.default
    if "Required." in (field.description or ""):
        return "required"
    if key in DEFAULTS:
        return DEFAULTS[key]
    if value is PydanticUndefined or value is None or value in ("", (), {}):
        return ""
    return f"`{json.dumps(value)}`".replace('"', "")


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each setting's own row, and those of its parts, as (key, row)."""
    for key, field in fields(model).items():
        about = " ".join(str(field.description).split()).removesuffix("Required.").rstrip()
        about = about.replace("|", "\\|")  # which would end the cell
        yield key, f"| `{prefix}{key}` | {about} | {default_of(key, field)} |"
        inner = model_in(field)
        if inner and not prefix:
            yield from ((key, row) for _, row in rows(inner, prefix_of(key)))


def settings_page() -> str:
    """docs/settings.md."""
    text = INTRODUCTION
    seen = ""
    for key, row in rows(Settings):
        if key in SECTIONS and key != seen:
            text += f"\n## {SECTIONS[key]}\n\n| key | what | default |\n|---|---|---|\n"
        text += row + "\n"
        seen = key
    return text


def commented(about: str | None) -> list[str]:
    """A meaning as comment lines."""
    return [f"# {line}" for line in textwrap.wrap(" ".join(str(about).split()), 96)]


def dumped(key: str, value: Any) -> list[str]:
    """One key with its value as lines of YAML."""
    return yaml.dump({key: value}, Dumper=Dumper, sort_keys=False, width=1000).splitlines()


def indented(lines: Iterable[str], first: str = "  ") -> list[str]:
    """The lines two columns further in; `first` is what the first of all begins with."""
    return [((first if not n else "  ") + line).rstrip() for n, line in enumerate(lines)]


def parts(setting: str, model: type[BaseModel], chosen: Collection[str] = ()) -> list[str]:
    """The parts of a setting (those `chosen`, or all), each with its meaning above it."""
    lines: list[str] = []
    for key, field in fields(model).items():
        if not chosen or key in chosen:
            assert field.examples, f"{key} needs an example"
            value = commentable(f"{setting}.{key}", dumped(key, field.examples[0]))
            lines += [*commented(field.description), *value]
    return lines


def commentable(key: str, lines: list[str]) -> list[str]:
    """The lines, as comments where another setting does the same."""
    return [f"# {line}" for line in lines] if key in INSTEAD else lines


def entry(key: str, field: FieldInfo) -> list[str]:
    """One setting of the example file."""
    about = commented(field.description)
    if key in ENCRYPTED:
        return [*about, f"#   pulumi config set --secret {NAMESPACE}:{key} < FILE"]
    inner = model_in(field)
    if not inner:
        assert field.examples, f"{key} needs an example"
        value = dumped(f"{NAMESPACE}:{key}", field.examples[0])
        return [*about, *commentable(key, value)]
    lines = [*about, f"{NAMESPACE}:{key}:"]
    if get_origin(field.annotation) is tuple:
        item = parts(key, inner)
        first = next(n for n, line in enumerate(item) if not line.startswith("#"))
        return [*lines, *indented(item[:first]), *indented(indented(item[first:], "- "))]
    if key not in ENTRIES:
        return [*lines, *indented(parts(key, inner))]
    for name, chosen in ENTRIES[key].items():
        lines += indented([f"{name}:", *indented(parts(key, inner, chosen))])
    return lines


def example_file() -> str:
    """docs/example-stack.yaml."""
    text = EXAMPLE
    for key, field in fields(Settings).items():
        title = f"\n  # ---- {SECTIONS[key]} ----\n\n" if key in SECTIONS else ""
        text += title + "".join(f"{line}\n" for line in indented(entry(key, field)))
    return text


PAGES = {"settings.md": settings_page, "example-stack.yaml": example_file}


def main(check: bool) -> int:
    """0 when the pages are as they should be, or have been written; 1 when `check` finds others."""
    for name, page in PAGES.items():
        path = DOCS / name
        if not check:
            path.write_text(page(), encoding="utf-8")
        elif path.read_text(encoding="utf-8") != page():
            print(f"docs/{name} is not what the settings say: make docs", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
