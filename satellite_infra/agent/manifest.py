"""What both sides share: what a host shall be (bootstrap), and what it shall run (release).

A manifest is complete and holds nothing secret, no address, and nothing of one run's state, so that
it can be read in a preview, compared, stored, and one day be pulled by a machine that nobody dials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from . import flat

FORMAT = 1
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
        lines += [(f"{prefix}env.{name}", value) for name, value in sorted(self.env.items())]
        if self.on_kill:
            lines.append((prefix + "on_kill", self.on_kill))
        return lines


class AptSource(NamedTuple):
    """A package source, and the key that signs it."""

    name: str
    uri: str
    suite: str
    components: tuple[str, ...]
    key: str  # armoured

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines of this source."""
        prefix = f"apt_sources.{self.name}."
        return [
            (prefix + "uri", self.uri),
            (prefix + "suite", self.suite),
            *flat.numbered(prefix + "components", self.components),
            (prefix + "key", self.key),
        ]


class Ruby(NamedTuple):
    """A Ruby that is built from its source archive."""

    version: str  # names its directory
    source: str  # the archive's URL
    sha256: str  # of the archive
    configure: tuple[str, ...] = ()  # options
    rubygems: str = ""  # its version; empty: the archive's own
    bundler: str = ""

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines of this Ruby."""
        return [
            ("ruby.version", self.version),
            ("ruby.source", self.source),
            ("ruby.sha256", self.sha256),
            *flat.numbered("ruby.configure", self.configure),
            *([("ruby.rubygems", self.rubygems)] if self.rubygems else []),
            *([("ruby.bundler", self.bundler)] if self.bundler else []),
        ]


class Watch(NamedTuple):
    """From when on monit tells of a process type's workers; empty and 0: it does not."""

    type: str
    memory: str = ""  # e.g. 300M
    cpu: str = ""  # of one core's time, e.g. 90%
    restarts: int = 0


class Monit(NamedTuple):
    """What monit watches, and whom it tells by which mail server."""

    mail_to: tuple[str, ...]
    mail_from: str
    smtp_host: str
    smtp_port: int
    smtp_tls: bool
    smtp_user: str = ""
    every_seconds: int = 60
    disk_percent: int = 85
    load_per_core: int = 4
    password: str = ""  # its keyed digest; empty: none
    watches: tuple[Watch, ...] = ()

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines."""
        lines: list[tuple[str, flat.Value]] = [
            *flat.numbered("monit.mail_to", self.mail_to),
            ("monit.mail_from", self.mail_from),
            ("monit.smtp_host", self.smtp_host),
            ("monit.smtp_port", self.smtp_port),
            ("monit.smtp_tls", "true" if self.smtp_tls else "false"),
            *([("monit.smtp_user", self.smtp_user)] if self.smtp_user else []),
            *([("monit.password", self.password)] if self.password else []),
            ("monit.every_seconds", self.every_seconds),
            ("monit.disk_percent", self.disk_percent),
            ("monit.load_per_core", self.load_per_core),
        ]
        for watch in self.watches:
            prefix = f"monit.watches.{watch.type}."
            lines.append((prefix + "restarts", watch.restarts))
            lines += [(prefix + "memory", watch.memory)] if watch.memory else []
            lines += [(prefix + "cpu", watch.cpu)] if watch.cpu else []
        return lines


class Rotation(NamedTuple):
    """How the host follows the config vars of an app on Heroku by itself."""

    app: str  # on Heroku
    minutes: int  # from one turn of this host to the next
    place: int  # in the order of the stack's hosts, from 1
    hosts: int  # how many take turns
    token: str  # its keyed digest

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines."""
        return [
            ("rotation.app", self.app),
            ("rotation.minutes", self.minutes),
            ("rotation.place", self.place),
            ("rotation.hosts", self.hosts),
            ("rotation.token", self.token),
        ]


class Queue(NamedTuple):
    """How the queue is measured: by one of `delayed_job`, `command` and `sql`."""

    name: str
    every_minutes: int = 1
    delayed_job: bool = False
    command: str = ""
    sql: str = ""

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines."""
        return [
            ("queue.name", self.name),
            ("queue.every_minutes", self.every_minutes),
            *([("queue.delayed_job", "true")] if self.delayed_job else []),
            *([("queue.command", self.command)] if self.command else []),
            *([("queue.sql", self.sql)] if self.sql else []),
        ]


class BootstrapManifest(NamedTuple):
    """What a host shall be, before any release."""

    host: str
    app: str
    environment: str
    agent: str  # the digest of the agent that shall be installed
    user: str  # who logs in to this host
    deployer_keys: tuple[str, ...]  # lines of authorized_keys that may log in as that user
    authorized_keys: tuple[str, ...] = ()  # the team's: as that user, and as the app's
    apt_sources: tuple[AptSource, ...] = ()
    packages: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()  # lines of the git server's pinned keys
    deploy_key: str = ""  # its keyed digest; empty: none
    app_metadata: str = "blocked"  # or allowed: does the app reach the instance's metadata?
    unattended_upgrades: bool = True
    ruby: Ruby | None = None  # None: the distribution's, if any
    monit: Monit | None = None  # None: nobody is told by this host
    rotation: Rotation | None = None  # None: config vars change with a release alone
    queue: Queue | None = None  # None: not measured by this host

    def text(self) -> str:
        """The flat text; `parse` reads it back."""
        return flat.dump(
            [
                ("manifest", f"bootstrap {FORMAT}"),
                ("host", self.host),
                ("app", self.app),
                ("environment", self.environment),
                ("agent", self.agent),
                ("user", self.user),
                *flat.numbered("deployer_keys", self.deployer_keys),
                *flat.numbered("authorized_keys", self.authorized_keys),
                *[line for source in self.apt_sources for line in source.pairs()],
                *flat.numbered("packages", self.packages),
                *flat.numbered("known_hosts", self.known_hosts),
                ("deploy_key", self.deploy_key or "none"),
                ("app_metadata", self.app_metadata),
                ("unattended_upgrades", "true" if self.unattended_upgrades else "false"),
                *(self.ruby.pairs() if self.ruby else []),
                *(self.monit.pairs() if self.monit else []),
                *(self.rotation.pairs() if self.rotation else []),
                *(self.queue.pairs() if self.queue else []),
            ]
        )

    @classmethod
    def parse(cls, text: str) -> BootstrapManifest:
        """The manifest of a text; ValueError says what is wrong with it."""
        pairs = _pairs(text, "bootstrap")
        return cls(
            host=pairs["host"],
            app=pairs["app"],
            environment=pairs["environment"],
            agent=pairs["agent"],
            user=pairs["user"],
            deployer_keys=tuple(flat.items(pairs, "deployer_keys")),
            authorized_keys=tuple(flat.items(pairs, "authorized_keys")),
            apt_sources=_apt_sources(pairs),
            packages=tuple(flat.items(pairs, "packages")),
            known_hosts=tuple(flat.items(pairs, "known_hosts")),
            deploy_key="" if pairs["deploy_key"] == "none" else pairs["deploy_key"],
            app_metadata=pairs["app_metadata"],
            unattended_upgrades=pairs["unattended_upgrades"] == "true",
            ruby=_ruby(pairs),
            monit=_monit(pairs),
            rotation=_rotation(pairs),
            queue=_queue(pairs),
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
                ("manifest", f"release {FORMAT}"),
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
    def parse(cls, text: str) -> ReleaseManifest:
        """The manifest of a text; ValueError says what is wrong with it."""
        pairs = _pairs(text, "release")
        return cls(
            host=pairs["host"],
            app=pairs["app"],
            environment=pairs["environment"],
            repository=pairs["repository"],
            revision=pairs["revision"],
            processes=_processes(pairs),
            config={k[7:]: v for k, v in pairs.items() if k.startswith("config.")},
            build=tuple(flat.items(pairs, "build")),
            generation=int(pairs["generation"]),
            keep_releases=int(pairs["keep_releases"]),
            gate_seconds=int(pairs["gate_seconds"]),
            soak_seconds=int(pairs.get("soak_seconds", 0)),
            health=pairs.get("health", ""),
            health_seconds=int(pairs.get("health_seconds", 30)),
            ruby=pairs.get("ruby", ""),
            config_files=_config_files(pairs),
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
        import hashlib  # slow to load, and not at every start of the agent

        parts = [self.repository, self.revision, self.environment, *self.build]
        parts += [f"ruby: {self.ruby}"] if self.ruby else []
        parts += [f"{key}: {value}" for file in self.config_files for key, value in file.pairs()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def slots(self) -> list[Slot]:
        """Every worker of the formation."""
        return [(p.type, n) for p in self.processes for n in range(1, p.quantity + 1)]

    def process(self, type_: str) -> Process:
        """The process type of that name; KeyError where the formation has none."""
        return {p.type: p for p in self.processes}[type_]


def _pairs(text: str, kind: str) -> dict[str, str]:
    pairs = _Required(flat.load(text))
    if pairs["manifest"] != f"{kind} {FORMAT}":
        raise ValueError(
            f"manifest: should be `{kind} {FORMAT}`, got `{pairs['manifest']}`; "
            "this host's agent is of another version: bootstrap it again"
        )
    return pairs


def _processes(pairs: dict[str, str]) -> tuple[Process, ...]:
    types = [k.split(".")[1] for k in pairs if k.startswith("processes.")]
    return tuple(
        Process(
            type=t,
            quantity=int(pairs[f"processes.{t}.quantity"]),
            command=pairs.get(f"processes.{t}.command", ""),
            grace=int(pairs[f"processes.{t}.grace"]),
            memory_max=pairs.get(f"processes.{t}.memory_max", ""),
            cpu=pairs.get(f"processes.{t}.cpu", ""),
            overlap=pairs.get(f"processes.{t}.overlap") == "true",
            signal=pairs.get(f"processes.{t}.signal", "TERM"),
            env={
                key.split(".", 3)[3]: value
                for key, value in pairs.items()
                if key.startswith(f"processes.{t}.env.")
            },
            on_kill=pairs.get(f"processes.{t}.on_kill", ""),
        )
        for t in dict.fromkeys(types)
    )


def _apt_sources(pairs: dict[str, str]) -> tuple[AptSource, ...]:
    names = [k.split(".")[1] for k in pairs if k.startswith("apt_sources.")]
    return tuple(
        AptSource(
            name=name,
            uri=pairs[f"apt_sources.{name}.uri"],
            suite=pairs[f"apt_sources.{name}.suite"],
            components=tuple(flat.items(pairs, f"apt_sources.{name}.components")),
            key=pairs[f"apt_sources.{name}.key"],
        )
        for name in dict.fromkeys(names)
    )


def _ruby(pairs: dict[str, str]) -> Ruby | None:
    if "ruby.version" not in pairs:
        return None
    return Ruby(
        version=pairs["ruby.version"],
        source=pairs["ruby.source"],
        sha256=pairs["ruby.sha256"],
        configure=tuple(flat.items(pairs, "ruby.configure")),
        rubygems=pairs.get("ruby.rubygems", ""),
        bundler=pairs.get("ruby.bundler", ""),
    )


def _config_files(pairs: dict[str, str]) -> tuple[ConfigFile, ...]:
    begin, end = "config_files.", ".template"
    keys = [key for key in pairs if key.startswith(begin) and key.endswith(end)]
    return tuple(
        ConfigFile(
            path=key[len(begin) : -len(end)],
            template=pairs[key],
            mode=pairs[f"{key[: -len(end)]}.mode"],
            owner=pairs[f"{key[: -len(end)]}.owner"],
        )
        for key in keys
    )


def _monit(pairs: dict[str, str]) -> Monit | None:
    if "monit.smtp_host" not in pairs:
        return None
    types = [key.split(".")[2] for key in pairs if key.startswith("monit.watches.")]
    return Monit(
        mail_to=tuple(flat.items(pairs, "monit.mail_to")),
        mail_from=pairs["monit.mail_from"],
        smtp_host=pairs["monit.smtp_host"],
        smtp_port=int(pairs["monit.smtp_port"]),
        smtp_tls=pairs["monit.smtp_tls"] == "true",
        smtp_user=pairs.get("monit.smtp_user", ""),
        every_seconds=int(pairs["monit.every_seconds"]),
        disk_percent=int(pairs["monit.disk_percent"]),
        load_per_core=int(pairs["monit.load_per_core"]),
        password=pairs.get("monit.password", ""),
        watches=tuple(
            Watch(
                type_,
                pairs.get(f"monit.watches.{type_}.memory", ""),
                pairs.get(f"monit.watches.{type_}.cpu", ""),
                int(pairs[f"monit.watches.{type_}.restarts"]),
            )
            for type_ in dict.fromkeys(types)
        ),
    )


def _rotation(pairs: dict[str, str]) -> Rotation | None:
    if "rotation.app" not in pairs:
        return None
    return Rotation(
        app=pairs["rotation.app"],
        minutes=int(pairs["rotation.minutes"]),
        place=int(pairs["rotation.place"]),
        hosts=int(pairs["rotation.hosts"]),
        token=pairs["rotation.token"],
    )


def _queue(pairs: dict[str, str]) -> Queue | None:
    if "queue.name" not in pairs:
        return None
    return Queue(
        name=pairs["queue.name"],
        every_minutes=int(pairs["queue.every_minutes"]),
        delayed_job=pairs.get("queue.delayed_job") == "true",
        command=pairs.get("queue.command", ""),
        sql=pairs.get("queue.sql", ""),
    )


class _Required(dict[str, str]):
    """A dictionary whose missing key is the reader's error, not a traceback."""

    def __missing__(self, key: str) -> str:
        raise ValueError(f"{key}: is missing")
