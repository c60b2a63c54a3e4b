"""A package archive and a web server in the lab: what hosts fetch when they are prepared."""

from __future__ import annotations

import base64
import functools
import hashlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab import paths
from lab.client import LabHost
from lab.network import GATEWAY

CONTROL = """\
Package: lab-tool
Version: {}
Architecture: all
Maintainer: Lab <lab@example.com>
Description: says that it is there
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL, for machines, of a folder."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer((GATEWAY, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{GATEWAY}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def package_archive(folder: Path) -> str:
    """Make a signed archive of one package, `lab-tool` 1.0 and 2.0, in the folder; its key."""
    packages = "\n".join(_package(folder, version) for version in ("1.0", "2.0"))
    (folder / "Packages").write_text(packages)
    size, digest = len(packages.encode()), _sha256(folder / "Packages")
    release = f"Origin: Lab\nDate: {_run('date', '-Ru').strip()}\nSHA256:\n"
    (folder / "Release").write_text(f"{release} {digest} {size} Packages\n")
    with tempfile.TemporaryDirectory() as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--quiet")
        who = ("--quick-generate-key", "lab@example.com", "ed25519", "sign", "never")
        try:
            _run(*gpg, "--passphrase", "", *who)
            files = (str(folder / "InRelease"), "--clearsign", str(folder / "Release"))
            _run(*gpg, "--output", *files)
            return _run(*gpg, "--armor", "--export")
        finally:
            _run("gpgconf", "--homedir", home, "--kill", "all")


def _package(folder: Path, version: str) -> str:
    """Make that one; what the archive's list says of it."""
    tree, control = folder / f"tree-{version}", CONTROL.format(version)
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(control)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/lab-tool").write_text(f"#!/bin/sh\necho {version}\n")
    (tree / "usr/bin/lab-tool").chmod(0o755)
    deb = folder / f"lab-tool-{version}.deb"
    _run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(deb))
    size = deb.stat().st_size
    return f"{control}Filename: ./{deb.name}\nSize: {size}\nSHA256: {_sha256(deb)}\n"


def ruby_archive(host: LabHost) -> Path:
    """Debian's own source archive of Ruby, as that machine's mirror has it; kept in the cache."""
    folder = paths.cache() / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    for found in sorted(folder.glob("ruby*.orig.tar.*")):
        return found
    # of the distribution itself: a mirror may lack the sources of its security suite
    host.run(
        "sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/lab.sources"
        " >/etc/apt/sources.list.d/lab-src.sources && apt-get -qq update && . /etc/os-release &&"
        " package=$(apt-cache depends ruby | sed -n 's/.*Depends: \\(ruby[0-9.]*\\)$/\\1/p') &&"
        " mkdir /root/source && cd /root/source &&"
        ' apt-get -qq source --download-only "$package/$VERSION_CODENAME"'
    )
    name = host.run("cd /root/source && ls ruby*.orig.tar.*").stdout.strip()
    content = base64.b64decode(host.run(f"base64 /root/source/{name}").stdout)
    partial = folder / f".{name}"
    partial.write_bytes(content)
    return partial.rename(folder / name)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
