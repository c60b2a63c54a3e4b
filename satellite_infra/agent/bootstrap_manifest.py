"""What a host shall be, before any release: the manifest of its bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from . import flat


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

    @classmethod
    def from_pairs(cls, pairs: dict[str, str], name: str) -> AptSource:
        """The source of these lines."""
        prefix = f"apt_sources.{name}."
        return cls(
            name=name,
            uri=pairs[prefix + "uri"],
            suite=pairs[prefix + "suite"],
            components=tuple(flat.items(pairs, prefix + "components")),
            key=pairs[prefix + "key"],
        )


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

    @classmethod
    def from_pairs(cls, pairs: dict[str, str]) -> Ruby | None:
        """The Ruby of these lines, if there is one."""
        if "ruby.version" not in pairs:
            return None
        return cls(
            version=pairs["ruby.version"],
            source=pairs["ruby.source"],
            sha256=pairs["ruby.sha256"],
            configure=tuple(flat.items(pairs, "ruby.configure")),
            rubygems=pairs.get("ruby.rubygems", ""),
            bundler=pairs.get("ruby.bundler", ""),
        )


class Watch(NamedTuple):
    """From when on monit tells of a process type's workers; empty and 0: it does not."""

    type: str
    memory: str = ""  # e.g. 300M
    cpu: str = ""  # of one core's time, e.g. 90%
    restarts: int = 0

    def pairs(self) -> list[tuple[str, flat.Value]]:
        """The flat lines."""
        prefix = f"monit.watches.{self.type}."
        return [
            (prefix + "restarts", self.restarts),
            *([(prefix + "memory", self.memory)] if self.memory else []),
            *([(prefix + "cpu", self.cpu)] if self.cpu else []),
        ]

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, str], type_: str) -> Watch:
        """That of these lines."""
        prefix = f"monit.watches.{type_}."
        return cls(
            type_,
            memory=pairs.get(prefix + "memory", ""),
            cpu=pairs.get(prefix + "cpu", ""),
            restarts=int(pairs[prefix + "restarts"]),
        )


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
        return [
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
            *[line for watch in self.watches for line in watch.pairs()],
        ]

    @classmethod
    def from_pairs(cls, pairs: dict[str, str]) -> Monit | None:
        """What these lines say, if they say any of it."""
        if "monit.smtp_host" not in pairs:
            return None
        types = flat.names(pairs, "monit.watches")
        return cls(
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
            watches=tuple(Watch.from_pairs(pairs, type_) for type_ in types),
        )


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

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, str]) -> Rotation | None:
        """What these lines say, if they say any of it."""
        if "rotation.app" not in pairs:
            return None
        return cls(
            app=pairs["rotation.app"],
            minutes=int(pairs["rotation.minutes"]),
            place=int(pairs["rotation.place"]),
            hosts=int(pairs["rotation.hosts"]),
            token=pairs["rotation.token"],
        )


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

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, str]) -> Queue | None:
        """What these lines say, if they say any of it."""
        if "queue.name" not in pairs:
            return None
        return cls(
            name=pairs["queue.name"],
            every_minutes=int(pairs["queue.every_minutes"]),
            delayed_job=pairs.get("queue.delayed_job") == "true",
            command=pairs.get("queue.command", ""),
            sql=pairs.get("queue.sql", ""),
        )


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
                flat.head("bootstrap"),
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
        pairs = flat.read(text, "bootstrap")
        sources = flat.names(pairs, "apt_sources")
        return cls(
            host=pairs["host"],
            app=pairs["app"],
            environment=pairs["environment"],
            agent=pairs["agent"],
            user=pairs["user"],
            deployer_keys=tuple(flat.items(pairs, "deployer_keys")),
            authorized_keys=tuple(flat.items(pairs, "authorized_keys")),
            apt_sources=tuple(AptSource.from_pairs(pairs, name) for name in sources),
            packages=tuple(flat.items(pairs, "packages")),
            known_hosts=tuple(flat.items(pairs, "known_hosts")),
            deploy_key="" if pairs["deploy_key"] == "none" else pairs["deploy_key"],
            app_metadata=pairs["app_metadata"],
            unattended_upgrades=pairs["unattended_upgrades"] == "true",
            ruby=Ruby.from_pairs(pairs),
            monit=Monit.from_pairs(pairs),
            rotation=Rotation.from_pairs(pairs),
            queue=Queue.from_pairs(pairs),
        )
