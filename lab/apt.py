"""This machine's own apt configuration, reduced to what lab machines need for the same mirror."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from lab.errors import LabError

LOOPBACK_NAME = "outside.lab"  # what a machine calls the loopback address of the machine around it
SUFFIXES = ("", "-updates", "-security", "-backports", "/updates")
MIRROR_PATHS = re.compile(r"/(debian|debian-security|ubuntu|ubuntu-ports)/?$|/archive/debian")
KEPT_SETTINGS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")


@dataclass(frozen=True)
class Relay:
    """A TCP service outside that machines may reach: the name they look up, real host, port."""

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class Source:
    """One `deb` entry. `signed_by` is a keyring's path, an armoured key, or empty."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""
    trusted: bool = False

    def stanza(self) -> str:
        """The entry in deb822 format."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {' '.join(self.suites)}"]
        lines += [f"Components: {' '.join(self.components)}"] if self.components else []
        lines += [f"Signed-By: {self.signed_by}"] if self.signed_by else []
        lines += ["Trusted: yes"] if self.trusted else []
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Apt:
    """What is written into each machine, and what the relay has to let through.

    `outside` holds the same sources as they are written here, for building the image.
    """

    suite: str
    outside: str
    sources: str
    settings: str
    keyrings: tuple[Path, ...] = ()
    relays: tuple[Relay, ...] = field(default=())

    def write(self, root: Path) -> None:
        """Make `root` use this configuration and no other."""
        directory = root / "etc/apt"
        for entry in [directory / "sources.list", *directory.glob("sources.list.d/*")]:
            entry.unlink(missing_ok=True)
        (directory / "sources.list.d/lab.sources").write_text(self.sources)
        (directory / "apt.conf.d/90lab").write_text(self.settings)
        for keyring in self.keyrings:
            copy = root / str(keyring).lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(keyring.read_bytes())


def one_line(text: str) -> list[Source]:
    """Entries of a `sources.list` in the one-line format."""
    sources = []
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line.strip())
        if match:
            options = dict(o.split("=", 1) for o in (match[1] or "").split() if "=" in o)
            sources.append(
                Source(
                    match[2],
                    (match[3],),
                    tuple(match[4].split()),
                    options.get("signed-by", ""),
                    options.get("trusted") == "yes",
                )
            )
    return sources


def deb822(text: str) -> list[Source]:
    """Entries of a `.sources` file."""
    sources = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = {
            name.lower(): value.rstrip()
            for name, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza)
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            sources += [
                Source(
                    uri,
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    fields.get("signed-by", ""),
                    fields.get("trusted") == "yes",
                )
                for uri in fields.get("uris", "").split()
            ]
    return sources


def of_distribution(sources: Iterable[Source], codename: str) -> list[Source]:
    """The entries that are the distribution itself: its suites, its component `main`, its mirrors.

    A company's mirror may sit at any path: where no entry looks like a usual mirror, all entries
    with the right suite count.
    """
    wanted = {codename + suffix for suffix in SUFFIXES}
    fitting = [s for s in sources if wanted.issuperset(s.suites) and "main" in s.components]

    def usual(source: Source) -> bool:
        return MIRROR_PATHS.search(urlsplit(source.uri).path) is not None

    return [s for s in fitting if usual(s)] or fitting


def expand_mirror_lists(sources: Iterable[Source]) -> list[Source]:
    """Replace `mirror+file:/PATH`, which cloud images use, by the first mirror in that file."""
    expanded = []
    for source in sources:
        scheme, _, path = source.uri.partition(":")
        if scheme == "mirror+file":
            mirrors = re.findall(r"(?m)^\s*(https?://\S+)", Path(path).read_text())
            expanded += [replace(source, uri=mirrors[0])] if mirrors else []
        elif scheme in ("http", "https"):
            expanded.append(source)
    return expanded


def relay_to(url: str) -> tuple[str, Relay]:
    """The URL as a machine has to write it, and the relay which that takes."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not _is_loopback(host):
        return url, Relay(host, host, port)
    userinfo, at, _ = parts.netloc.rpartition("@")
    netloc = f"{userinfo}{at}{LOOPBACK_NAME}:{port}"
    return parts._replace(netloc=netloc).geturl(), Relay(LOOPBACK_NAME, host, port)


def configure(
    codename: str,
    sources: Iterable[Source],
    settings: Mapping[str, str],
    environment: Mapping[str, str],
) -> Apt:
    """Put together the machines' configuration. `settings` is apt's own, by full name."""
    sources = expand_mirror_lists(of_distribution(sources, codename))
    if not sources:
        raise LabError(
            f"lab: no http or https apt source for {codename!r} found in /etc/apt; add one:\n"
            f"  deb http://m.example.com/debian {codename} main"
        )
    lines = ['Acquire::Languages "none";', 'APT::Install-Recommends "false";']
    lines += [f'{name} "{settings[name]}";' for name in KEPT_SETTINGS if name in settings]
    relays, stanzas = [], []
    proxies = {s: _proxy(s, settings, environment) for s in ("http", "https")}
    for scheme, proxy in proxies.items():
        if proxy:
            url, relay = relay_to(proxy)
            relays.append(relay)
            lines.append(f'Acquire::{scheme}::Proxy "{url}";')
    for source in sources:
        uri = source.uri
        if not proxies[urlsplit(uri).scheme]:
            uri, relay = relay_to(uri)
            relays.append(relay)
        stanzas.append(replace(source, uri=uri).stanza())
    keyrings = {Path(s.signed_by) for s in sources if s.signed_by.startswith("/")}
    return Apt(
        codename,
        "\n".join(source.stanza() for source in sources),
        "\n".join(stanzas),
        "\n".join(lines) + "\n",
        tuple(sorted(keyrings)),
        tuple(dict.fromkeys(relays)),
    )


def read() -> Apt:
    """Read the configuration of the machine that we run on; LabError where there is none."""
    release = platform.freedesktop_os_release()
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") not in ("debian", "ubuntu") or not codename:
        raise LabError(
            "lab: needs Debian 12 or later (tried) or Ubuntu (not tried): it uses its apt"
        )
    directory = Path("/etc/apt")
    sources = []
    for path in [directory / "sources.list", *sorted(directory.glob("sources.list.d/*"))]:
        if path.suffix == ".sources":
            sources += deb822(path.read_text())
        elif path.suffix == ".list" and path.exists():
            sources += one_line(path.read_text())
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    settings = dict(re.findall(r'(?m)^(\S+) "(.*)";$', dump))
    return configure(codename, sources, settings, os.environ)


def _proxy(scheme: str, settings: Mapping[str, str], environment: Mapping[str, str]) -> str:
    found = settings.get(f"Acquire::{scheme}::Proxy") or environment.get(f"{scheme}_proxy") or ""
    return "" if found == "DIRECT" else found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
