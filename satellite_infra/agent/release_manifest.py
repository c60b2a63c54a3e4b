"""What a host shall run: the manifest of a release.

A manifest is complete and holds nothing secret, no address, and nothing of one run's state, so that
it can be read in a preview, compared, stored, and one day be pulled by a machine that nobody dials.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

from . import flat, sha256

Slot = tuple[str, int]
"""A worker's process type, and its number from 1."""


class Process(NamedTuple):
    """One process type of the formation: how many workers, and how each runs and ends."""

    type: str
    quantity: int
    command: str = ""  # empty: what the Procfile says
    grace: int = 60  # seconds from `signal` to SIGKILL
    memory_max: str = ""  # as systemd writes it, e.g. 300M; empty: no limit
    cpu: str = ""  # of one core's time, e.g. 150%; empty: no limit
    overlap: bool = False  # new workers start beside the old ones, not after them
    signal: str = "TERM"  # what a worker gets when it shall end, without SIG
    signal_to: str = "all"  # of its processes; or main: the first alone
    env: Mapping[str, str] = {}  # wins over config vars
    on_kill: str = (
        ""  # gives back the jobs of dead workers; empty: what fits the app's Gemfile.lock
    )

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines of this process type."""
        prefix = f"processes.{self.type}."
        lines: list[tuple[str, flat.Value]] = [(prefix + "quantity", self.quantity)]
        if self.command:
            lines.append((prefix + "command", self.command))
        lines.append((prefix + "grace", self.grace))
        if self.memory_max:
            lines.append((prefix + "memory_max", self.memory_max))
        if self.cpu:
            lines.append((prefix + "cpu", self.cpu))
        if self.overlap:
            lines.append((prefix + "overlap", "true"))
        if self.signal != "TERM":
            lines.append((prefix + "signal", self.signal))
        if self.signal_to != "all":
            lines.append((prefix + "signal_to", self.signal_to))
        lines += [(f"{prefix}env.{name}", value) for name, value in sorted(self.env.items())]
        if self.on_kill:
            lines.append((prefix + "on_kill", self.on_kill))
        return lines

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, str], type_: str) -> Process:
        """The process type of these lines."""
        prefix = f"processes.{type_}."
        env = prefix + "env."
        return cls(
            type=type_,
            quantity=int(pairs[prefix + "quantity"]),
            command=pairs.get(prefix + "command", ""),
            grace=int(pairs[prefix + "grace"]),
            memory_max=pairs.get(prefix + "memory_max", ""),
            cpu=pairs.get(prefix + "cpu", ""),
            overlap=pairs.get(prefix + "overlap") == "true",
            signal=pairs.get(prefix + "signal", "TERM"),
            signal_to=pairs.get(prefix + "signal_to", "all"),
            env={key[len(env) :]: value for key, value in pairs.items() if key.startswith(env)},
            on_kill=pairs.get(prefix + "on_kill", ""),
        )


class ConfigFile(NamedTuple):
    """A file that is filled in with config vars and linked into the release."""

    path: str  # in the release
    template: str  # its keyed digest
    mode: str = "0640"
    owner: str = "app"  # or root; its group is the app's

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """Its lines of the manifest."""
        prefix = f"config_files.{self.path}"
        found: list[tuple[str, flat.Value]] = [
            (f"{prefix}.mode", self.mode),
            (f"{prefix}.owner", self.owner),
            (f"{prefix}.template", self.template),
        ]
        return found

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, str], path: str) -> ConfigFile:
        """The file of these lines."""
        prefix = f"config_files.{path}."
        return cls(
            path=path,
            template=pairs[prefix + "template"],
            mode=pairs[prefix + "mode"],
            owner=pairs[prefix + "owner"],
        )


class ReleaseManifest(NamedTuple):
    """What a host shall run: one commit, its config vars (as digests) and its formation."""

    host: str
    app: str
    environment: str
    repository: str
    revision: str  # 40 hex digits
    processes: tuple[Process, ...]
    config: Mapping[str, str] = {}  # name -> keyed digest of the value
    build: tuple[str, ...] = ()  # empty: `bundle install` where there is a Gemfile
    generation: int = 0  # raised to force a visit
    keep_releases: int = 5
    gate_seconds: int = 10
    soak_seconds: int = 0  # beyond the gate's, on the canary, for one that was never good there
    health: str = ""  # a shell command that must succeed at the gate's end; empty: none
    health_seconds: int = 30  # the longest that it may take
    ruby: str = ""  # the version of a Ruby that bootstrap built; empty: the distribution's
    config_files: tuple[ConfigFile, ...] = ()
    webhook: str = ""  # keyed digest of the URL that hears how a release ended; empty: none
    inherited: tuple[str, ...] = ()  # the config vars that follow Heroku; empty: none by itself
    inherited_from: str = ""  # the app on Heroku; empty: none, or of a release that did not say

    def text(self) -> str:
        """The flat text; `parse` reads it back."""
        return flat.dump(
            [
                flat.head("release"),
                ("host", self.host),
                ("revision", self.revision),
                ("app", self.app),
                ("environment", self.environment),
                ("repository", self.repository),
                ("generation", self.generation),
                *([("ruby", self.ruby)] if self.ruby else []),
                *flat.numbered("build", self.build),
                *[line for process in self.processes for line in process.pairs()],
                ("keep_releases", self.keep_releases),
                ("gate_seconds", self.gate_seconds),
                *([("soak_seconds", self.soak_seconds)] if self.soak_seconds else []),
                *self._health(),
                *[line for file in self.config_files for line in file.pairs()],
                *([("webhook", self.webhook)] if self.webhook else []),
                *flat.numbered("inherited", self.inherited),
                *([("inherited_from", self.inherited_from)] if self.inherited_from else []),
                *[(f"config.{name}", digest) for name, digest in sorted(self.config.items())],
            ]
        )

    @classmethod
    @functools.lru_cache(32)  # a release reads those of the good ones again and again
    def parse(cls, text: str) -> ReleaseManifest:
        """The manifest of a text; ValueError says what is wrong with it."""
        pairs = flat.read(text, "release")
        types = flat.names(pairs, "processes")
        return cls(
            host=pairs["host"],
            app=pairs["app"],
            environment=pairs["environment"],
            repository=pairs["repository"],
            revision=pairs["revision"],
            processes=tuple(Process.from_pairs(pairs, t) for t in types),
            config={k[7:]: v for k, v in pairs.items() if k.startswith("config.")},
            build=tuple(flat.items(pairs, "build")),
            generation=int(pairs["generation"]),
            keep_releases=int(pairs["keep_releases"]),
            gate_seconds=int(pairs["gate_seconds"]),
            soak_seconds=int(pairs.get("soak_seconds", 0)),
            health=pairs.get("health", ""),
            health_seconds=int(pairs.get("health_seconds", 30)),
            ruby=pairs.get("ruby", ""),
            config_files=tuple(ConfigFile.from_pairs(pairs, path) for path in _paths(pairs)),
            webhook=pairs.get("webhook", ""),
            inherited=tuple(flat.items(pairs, "inherited")),
            inherited_from=pairs.get("inherited_from", ""),
        )

    def _health(self) -> list[tuple[str, flat.Value]]:
        if not self.health:
            return []
        return [("health", self.health), ("health_seconds", self.health_seconds)]

    def watch_seconds(self) -> int:
        """The longest that new workers are watched."""
        return self.gate_seconds + self.soak_seconds + self.health_seconds

    def code_id(self) -> str:
        """What makes two releases the same code, build and templates, in any formation.

        Config vars are compared by their values: a digest is known for those alone that were sent.
        """
        parts = [self.repository, self.revision, self.environment, *self.build]
        parts += [f"ruby: {self.ruby}"] if self.ruby else []
        parts += [f"{key}: {value}" for file in self.config_files for key, value in file.pairs()]
        return sha256.hexdigest("\0".join(parts).encode())

    def slots(self) -> list[Slot]:
        """Every worker of the formation."""
        return [(p.type, n) for p in self.processes for n in range(1, p.quantity + 1)]

    def process(self, type_: str) -> Process:
        """The process type of that name; KeyError where the formation has none."""
        return {p.type: p for p in self.processes}[type_]


def _paths(pairs: Mapping[str, str]) -> list[str]:
    """Those of the config files; one may have dots, as their keys have."""
    begin, end = "config_files.", ".template"
    keys = (key for key in pairs if key.startswith(begin) and key.endswith(end))
    return [key[len(begin) : -len(end)] for key in keys]
