"""The settings of one stack, by the Pulumi CLI: secrets go to it on its standard input."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from satellite_infra.settings import ENCRYPTED, NAMESPACE
from satellite_stack import stack_file
from satellite_stack.engine import ConfigError as ConfigError
from satellite_stack.engine import config, pulumi, selected

CONFIG = f"{NAMESPACE}:config"
NUMBER = (
    r"[-+]?(0[xob][\da-f_]+|(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)(e[-+]?\d+)?)"
    r"|\d{4}-\d\d?-\d\d?([t ]\s*\d.*)?"
)
"""What the CLI may read as a number or a day where it stands without quotes."""
SAME = r"-?(0|[1-9]\d{0,17})"
"""A number that it reads, and writes again, as it was: of 64 bits."""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 40 times as fast, where it was built


@dataclass(frozen=True)
class Config:
    """The settings of one stack, by the Pulumi CLI; `file`: a copy of them that is changed."""

    stack: str
    file: Path | None = None

    @classmethod
    def of(cls, stack: str) -> Config:
        """That stack's, or the selected one's where the name is empty."""
        name = stack or selected()
        stack_file.of(name)  # what is not there would be begun anew, with other encryption
        return cls(name)

    def known(self) -> dict[str, str]:
        """What is set; a secret's value is not shown."""
        found = config(*self._place(), secrets=False)
        values = {key.removeprefix(f"{NAMESPACE}:"): item for key, item in found.items()}
        given = {key: item.get("value", "[secret]") for key, item in values.items()}
        return {key: value for key, value in given.items() if value != ""}

    def get(self, key: str) -> str:
        """One value, a secret one decrypted."""
        return pulumi("config", "get", f"{NAMESPACE}:{key}", *self._place())

    @contextlib.contextmanager
    def change(self) -> Iterator[Config]:
        """The same in a copy of the stack's file, which takes its place at the end, in one step.

        Whatever fails, or is cut off, has changed nothing. Others who change the file wait.
        """
        file = stack_file.of(self.stack)
        with stack_file.alone(file), stack_file.copied(file) as copy:
            before = copy.read_bytes()
            yield replace(self, file=copy)
            stack_file.put(file, before, copy.read_bytes())

    def _place(self) -> tuple[str, ...]:
        other = ("--config-file", str(self.file)) if self.file else ()
        return (*other, "--stack", self.stack)

    def put(self, key: str, value: str) -> None:
        """Set one value, encrypted where it has to be."""
        kind = "--secret" if key in ENCRYPTED else "--plaintext"
        pulumi("config", "set", kind, f"{NAMESPACE}:{key}", *self._place(), stdin=value)

    def config_vars(self) -> dict[str, str]:
        """The config vars that are set, secret ones decrypted; numbers and the like as text."""
        known = self._config_vars()
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in known.items()}

    def _config_vars(self) -> dict[str, Any]:
        found = config(*self._place())
        text = found.get(CONFIG, {}).get("value") or "{}"
        try:
            known = json.loads(text)
        except ValueError:
            known = None
        if not isinstance(known, dict):  # no value in it: it may be secret
            raise ConfigError(f"{CONFIG}: should be names with values, and is a text")
        return known

    def change_config_vars(self, put: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Set these config vars, encrypted, and forget those; of a `change`, which is one step."""
        assert self.file
        node = _written(self.file)
        _check(node)
        gone = {*remove}
        if _is_text(node):  # be it JSON: it would give way to what is set within it
            put = {**self._texts(), **put}
            self.remove("config")
        else:
            for name in gone:
                pulumi("config", "rm", "--path", _path(name), *self._place())
        for name, value in put.items():
            if name not in gone:
                self._put_config_var(name, value)

    def _texts(self) -> dict[str, str]:
        """The config vars as texts; ConfigError with each that is none, nor a whole number."""
        known = self._config_vars()
        odd = [k for k, v in known.items() if isinstance(v, bool) or not isinstance(v, str | int)]
        if odd:
            raise ConfigError(f"{CONFIG}: should be texts: {', '.join(odd)}")
        return {name: str(value) for name, value in known.items()}

    def _put_config_var(self, name: str, value: str) -> None:
        # the CLI takes one newline from the end
        words = ("config", "set", "--secret", "--path", _path(name))
        pulumi(*words, *self._place(), stdin=f"{value}\n")

    def remove(self, key: str) -> None:
        """Forget one value."""
        pulumi("config", "rm", f"{NAMESPACE}:{key}", *self._place())

    def state(self) -> dict[str, Any]:
        """What the last `pulumi up` left, secrets encrypted."""
        text = pulumi("stack", "export", "--stack", self.stack)
        found: dict[str, Any] = json.loads(text)["deployment"]
        return found


def check(file: Path) -> None:
    """ConfigError where a stack's file has config vars that Pulumi does not read as they stand."""
    _check(_written(file))


def _check(node: yaml.Node | None) -> None:
    plain = {name: one.value for name, one in _pairs(node).items() if _is_plain(one)}
    if lost := [name for name, text in plain.items() if _misread(text)]:
        raise ConfigError(
            f"{CONFIG}: should be in quotes, or another number is made of it: {', '.join(lost)}"
        )


def _path(name: str) -> str:
    """Where a config var is, whatever its name has, such as a dot."""
    quoted = name.replace('"', '\\"')
    return f'{CONFIG}["{quoted}"]'


def _written(file: Path) -> yaml.Node | None:
    """The config vars as they stand in the file."""
    try:
        found = yaml.compose(file.read_text("utf-8"), LOADER)
    except (yaml.YAMLError, ValueError):  # whose text quotes the file
        raise ConfigError(f"{file.name} is no YAML") from None
    for key in ("config", CONFIG):
        found = _pairs(found).get(key)
    return found


def _pairs(node: yaml.Node | None) -> dict[str, yaml.Node]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return {str(key.value): value for key, value in pairs}


def _is_text(node: yaml.Node | None) -> bool:
    """One value, open or encrypted."""
    empty = node is None or node.value in ("", "null", "~")
    return not empty and (isinstance(node, yaml.ScalarNode) or [*_pairs(node)] == ["secure"])


def _is_plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style


def _misread(text: str) -> bool:
    """Whether it is not written again as it was."""
    return bool(re.fullmatch(NUMBER, text, re.IGNORECASE)) and not re.fullmatch(SAME, text)
