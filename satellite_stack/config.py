"""The settings of one stack, by the Pulumi CLI: secrets go to it on its standard input."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from satellite_infra import written
from satellite_infra.naming import NAMESPACE
from satellite_infra.settings import ENCRYPTED
from satellite_stack import stack_file
from satellite_stack.engine import ConfigError as ConfigError
from satellite_stack.engine import config, pulumi, selected

CONFIG = f"{NAMESPACE}:config"


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
        node = check(self.file).get(CONFIG)
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


def check(file: Path, project: Path | None = None) -> dict[str, yaml.Node]:
    """The settings as they stand in a stack's file; ConfigError where Pulumi reads others.

    `project`: its file, which is looked at, too.
    """
    try:
        found = written.nodes(file)
        lost = {file.name: [*written.misread(found)]}
        if project:
            lost[project.name] = [*written.misread_of_project(project, found)]
    except written.UnreadError as problem:
        raise ConfigError(str(problem)) from None
    if any(lost.values()):
        each = (
            "\n  ".join([f"{name} is not right:", *told]) for name, told in lost.items() if told
        )
        raise ConfigError("\n".join(each))
    return found


def _path(name: str) -> str:
    """Where a config var is, whatever its name has, such as a dot."""
    quoted = name.replace('"', '\\"')
    return f'{CONFIG}["{quoted}"]'


def _is_text(node: yaml.Node | None) -> bool:
    """One value, open or encrypted."""
    empty = node is None or node.value in ("", "null", "~")
    return not empty and (isinstance(node, yaml.ScalarNode) or [*written.pairs(node)] == ["secure"])
