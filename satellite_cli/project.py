"""The project's folder, a stack's settings, and changes to them that stay only if they succeed."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from satellite_cli.fleet import Fleet, ours, whole
from satellite_cli.problems import USAGE, SatelliteError
from satellite_infra.naming import NAMESPACE
from satellite_stack import stack_file
from satellite_stack.engine import config, pulumi, selected

if TYPE_CHECKING:
    from satellite_cli.noted import Order
    from satellite_infra.settings import Settings

Structure = TypeVar("Structure", list[Any], dict[str, Any])


@dataclass(frozen=True)
class Project:
    """One stack of the project that the current folder belongs to."""

    stack: str
    file: Path
    """Its settings."""
    _first: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    _config: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, stack: str) -> Project:
        """That stack's, or the selected one's; SatelliteError where there is none."""
        with ours():
            stack_file.project_folder()
            name = stack or selected()
            return cls(name, stack_file.of(name))

    def config(self) -> dict[str, Any]:
        """All settings when the command began, by their full names, secrets too; asked for once."""
        with self._first:
            if not self._config:
                self._config.update(config_at("--stack", self.stack))
            return self._config

    def fleet(self) -> Fleet:
        """Its hosts; SatelliteError where it was never up."""
        return Fleet.of(self.stack, self.config)

    @functools.cached_property
    def known(self) -> dict[str, Any]:
        """The settings when the command began; the value of a secret is not among them."""
        from satellite_infra import written  # some commands do without

        values = None if self._config else written.shown(self.file)
        if values is None:
            # asked for apart, as what is decrypted would be waited for
            found = self._config or config_at("--stack", self.stack, secrets=False)
            open_ = {key: item for key, item in found.items() if not item.get("secret")}
            values = {key: item.get("value") for key, item in open_.items()}
        return {key.removeprefix(f"{NAMESPACE}:"): value for key, value in values.items() if value}

    @functools.cached_property
    def hosts(self) -> int:
        """How many hosts the settings have; asked for once, as no command changes it."""
        count = str(self.known.get("count") or "")
        own = len(self.known_as("names", list)) or whole(count)
        hosts = self.known_as("hosts", dict).values()
        return own + sum("address" in host for host in hosts if isinstance(host, dict))

    @functools.cached_property
    def order(self) -> Order:
        """That of what the engine has noted; asked for once, for a preview and its update."""
        from satellite_cli import noted  # which asks by this module

        return noted.order(self.stack)

    def known_as(self, key: str, kind: type[Structure]) -> Structure:
        """A structured setting, empty where it is not of that kind: the program says so."""
        try:
            found = json.loads(self.known.get(key) or "null")
        except ValueError:
            found = None
        return found if isinstance(found, kind) else kind()

    def check(self) -> None:
        """SatelliteError where a file has what the engine would not read as it stands.

        For who brings settings; what is done at night goes on with what the hosts have.
        """
        from satellite_stack.config import check  # slow to load

        with ours():
            check(self.file, stack_file.project_folder() / "Pulumi.yaml")

    def config_names(self) -> list[str]:
        """Of the app's config vars, as they are in the stack's file: nothing is decrypted."""
        import yaml  # most commands do without

        found = yaml.safe_load(self.file.read_text("utf-8")) or {}
        known = (found.get("config") or {}).get("satellite:config")
        return sorted(map(str, known)) if isinstance(known, dict) else []

    def settings(self, file: Path | None = None) -> Settings:
        """All settings, or those of another file; SatelliteError with every problem of them."""
        from satellite_infra.settings import validated  # slow to load

        other = ("--config-file", str(file), "--stack", self.stack)
        shown = config_at(*other) if file else self.config()
        prefix = f"{NAMESPACE}:"
        found = {
            key.removeprefix(prefix): item for key, item in shown.items() if key.startswith(prefix)
        }
        values = {key: item.get("value", "") for key, item in found.items()}
        secret = frozenset(key for key, item in found.items() if item.get("secret"))
        settings, problems = validated(values, secret, self.stack.rpartition("/")[2])
        if problems:
            raise SatelliteError("\n  ".join([f"{self.file.name} is not right:", *problems]), USAGE)
        return settings

    def environment(self) -> str:
        """What the stack's environment is called."""
        return str(self.known.get("environment") or self.stack.rpartition("/")[2])

    @contextlib.contextmanager
    def draft(self) -> Iterator[Draft]:
        """A copy of the settings, to be changed and used; it is kept only where it is asked for."""
        with stack_file.copied(self.file) as copy:
            yield Draft(self, copy, copy.read_bytes())


@dataclass(frozen=True)
class Draft:
    """The settings as they shall be."""

    project: Project
    file: Path
    before: bytes

    def put(self, path: str, value: str) -> None:
        """Set one setting, by its path; nothing secret."""
        engine("config", "set", "--path", "--plaintext", *self._where(path), value)

    def remove(self, path: str) -> None:
        """Forget one."""
        engine("config", "rm", "--path", *self._where(path))

    def _where(self, path: str) -> tuple[str, ...]:
        place = ("--config-file", str(self.file), "--stack", self.project.stack)
        return (*place, f"satellite:{path}")

    @contextlib.contextmanager
    def pinned(self, revision: str, once: Mapping[str, str] = {}) -> Iterator[Path]:
        """The same file with that commit, whatever the branch says by then; nothing of it is kept.

        `once`: more settings for this time, by their paths.
        """
        wanted = {**once, **({"revision": revision} if revision else {})}
        if not wanted:
            yield self.file
            return
        copy = self.file.with_name(f"pinned.{self.file.name}")
        shutil.copyfile(self.file, copy)
        for path, value in wanted.items():
            Draft(self.project, copy, self.before).put(path, value)
        yield copy

    def keep(self) -> bool:
        """Make it the stack's settings; True where they were others before."""
        file = self.project.file
        with ours(), stack_file.alone(file):
            return stack_file.put(file, self.before, self.file.read_bytes())


def engine(*words: str, stdin: str = "") -> str:
    """What the CLI prints; its own error as ours."""
    with ours():
        return pulumi(*words, stdin=stdin)


def config_at(*place: str, secrets: bool = True) -> dict[str, Any]:
    """All settings there, by their full names; the CLI's own error as ours."""
    with ours():
        return config(*place, secrets=secrets)
