"""A Ruby is built whole or not at all; a small project of shell stands for its archive here.

tests/e2e builds a real one.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import ruby, storage, workers
from satellite_infra.agent.bootstrap_manifest import Ruby
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.preparation import Preparation
from satellite_infra.agent.system import PATH, CommandError, Say, System
from tests.agent.conftest import Killed, Origin, request
from tests.agent.machine import MANIFEST, files

CONFIGURE = r"""#!/bin/sh
echo "configured $*"
cat >Makefile <<END
all:
	cp gem.sh gem
install:
	mkdir -p \$(DESTDIR)${1#--prefix=}/bin
	cp gem \$(DESTDIR)${1#--prefix=}/bin/gem
	echo "$2" >\$(DESTDIR)${1#--prefix=}/options
END
"""
# as far as this program asks it
GEM = r"""#!/bin/sh
here=$(dirname "$0")
case "$*" in
--version) cat "$here/rubygems" 2>/dev/null || echo 3.3.5 ;;
"update --system "*) echo "$3" >"$here/rubygems" ;;
"list --installed --exact bundler --version "*)
	[ -e "$here/bundler-$6" ] && echo true || { echo false; exit 1; } ;;
"install bundler --version "*) : >"$here/bundler-$4" ;;
*) exit 9 ;;
esac
"""


def archive(**scripts: str) -> bytes:
    """A source archive as Ruby's are: one directory, and `configure` in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, text in {"configure": CONFIGURE, "gem.sh": GEM, **scripts}.items():
            entry = tarfile.TarInfo(f"ruby-3.3.6/{name}")
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return data.getvalue()


@dataclass
class Server:
    """Serves one archive, and counts."""

    url: str
    body: bytes
    gets: int = 0
    size: int = 0  # that it says; 0: it says none


@dataclass
class Programs(System):
    """Real programs; which, is remembered."""

    began: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], say: Say, **options: Any) -> None:
        words = [word for word in argv if word not in ruby.NICE]
        self.began.append(Path(words[0]).name)
        super().run(argv, say, **options)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.gets += 1
            if "gone" in self.path:
                self.send_error(404)
                return
            self.send_response(200)
            if found.size:
                self.send_header("Content-Length", str(found.size))
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        found = Server(f"http://127.0.0.1:{http.server_port}/ruby.tar.xz", archive())
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield found
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_power_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared machine takes seconds to write everything to its disk."""
    monkeypatch.setattr(os, "sync", lambda: None)


def host(root: Path, server: Server, **changes: Any) -> Preparation:
    root.mkdir(exist_ok=True)
    sha256 = hashlib.sha256(server.body).hexdigest()
    wanted = Ruby("3.3.6", server.url, sha256, ("--enable-x",))._replace(**changes)
    manifest = MANIFEST._replace(ruby=wanted)
    said: list[str] = []
    layout = Layout("shop", root)
    return Preparation(manifest, {}, Path("agent.pyz"), layout, Programs(), said.append)


def began(preparation: Preparation) -> list[str]:
    assert isinstance(preparation.system, Programs)
    return preparation.system.began


def test_it_is_built_once_and_kept(tmp_path: Path, server: Server) -> None:
    first = host(tmp_path / "host", server)
    assert ruby.install(first)
    assert began(first) == ["tar", "configure", "make", "make"]
    there = first.layout.ruby("3.3.6")
    assert sorted(path.name for path in there.parent.iterdir()) == ["3.3.6"]
    assert (there / "options").read_text() == "--enable-x\n"
    second = host(tmp_path / "host", server)
    assert not ruby.install(second)
    assert (began(second), server.gets) == ([], 1)


def test_another_archive_is_not_put_below_running_workers(tmp_path: Path, server: Server) -> None:
    ruby.install(host(tmp_path / "host", server))
    before = files(tmp_path / "host")
    for change in ({"sha256": "0" * 64}, {"configure": ()}):
        with pytest.raises(ValueError, match=r"choose another satellite:ruby.version, such as 3"):
            ruby.install(host(tmp_path / "host", server, **change))
    assert files(tmp_path / "host") == before
    assert ruby.install(host(tmp_path / "host", server, version="3.3.6-2", configure=("-y",)))


def test_an_archive_that_is_another_one_is_not_unpacked(tmp_path: Path, server: Server) -> None:
    preparation = host(tmp_path / "host", server, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"its SHA-256 should be 0+, got [0-9a-f]{64}; it was not"):
        ruby.install(preparation)
    assert began(preparation) == []
    assert not preparation.layout.ruby("3.3.6").exists()


def test_an_archive_that_cannot_be_fetched_is_named_with_its_setting(
    tmp_path: Path, server: Server
) -> None:
    gone = server.url.replace("ruby", "gone")
    server.size = len(server.body) + 7
    for url, why in (
        (gone, "HTTP Error 404: Not Found"),
        ("http://127.0.0.1:1/r.tar.xz", "urlopen error [Errno 111] Connection refused"),
        (server.url, f"the connection broke off after {len(server.body)} of {server.size} bytes"),
    ):
        with pytest.raises(CommandError) as failure:
            ruby.install(host(tmp_path / "host", server, source=url))
        expected = f"satellite:ruby.source: {url} could not be fetched: {why}"
        assert str(failure.value) == expected
    server.size -= 7
    assert ruby.install(host(tmp_path / "host", server))


def test_a_build_that_fails_says_so_and_is_begun_anew(tmp_path: Path, server: Server) -> None:
    good, server.body = server.body, archive(configure="#!/bin/sh\necho no cc; exit 77\n")
    with pytest.raises(CommandError, match=r"configure .* ended with status 77"):
        ruby.install(host(tmp_path / "host", server))
    server.body = good
    assert ruby.install(host(tmp_path / "host", server))


def test_cut_off_anywhere_the_next_run_builds_it(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 0

    def falls_after(deed: Any) -> Any:
        def do(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            result = deed(*args, **kwargs)
            left -= 1
            if left == 0:
                raise Killed
            return result

        return do

    for owner, name in (
        *((storage, name) for name in ("write_json", "remove_tree", "directory", "sync_directory")),
        (ruby, "_download"),
        (Programs, "run"),
        (Path, "rename"),
    ):
        monkeypatch.setattr(owner, name, falls_after(getattr(owner, name)))
    ruby.install(host(tmp_path / "whole", server))
    deeds, expected = -left, files(tmp_path / "whole")
    assert deeds > 10
    for number in range(1, deeds + 1):
        root = tmp_path / f"cut-{number}"
        left = number
        with pytest.raises(Killed):
            ruby.install(host(root, server))
        ruby.install(host(root, server))
        assert files(root) == expected, number


def test_rubygems_and_bundler_are_the_ones_that_are_declared(
    tmp_path: Path, server: Server
) -> None:
    pinned = {"rubygems": "3.5.23", "bundler": "2.5.23"}
    for changes, expected in (
        (pinned, (True, ["tar", "configure", "make", "make", "gem", "gem"])),
        (pinned, (False, [])),
        ({**pinned, "bundler": "2.6.0"}, (True, ["gem"])),
        ({}, (False, [])),
    ):
        preparation = host(tmp_path / "host", server, **changes)
        assert (ruby.install(preparation), began(preparation)) == expected
    names = {path.name for path in (preparation.layout.ruby("3.3.6") / "bin").iterdir()}
    assert names == {"gem", "rubygems", "bundler-2.5.23", "bundler-2.6.0"}


def test_a_release_runs_with_the_ruby_that_it_was_built_with(
    layout: Layout, origin: Origin
) -> None:
    manifest = request(origin, origin.commit()).manifest
    for name, version in (("old", ""), ("new", "3.3.6")):
        storage.write(layout.manifest(name), manifest._replace(ruby=version).text())
    found = [workers.environment(layout, n, {})["PATH"] for n in ("old", "new", "forgotten")]
    assert found == [PATH, f"{layout.root}/opt/rubies/3.3.6/bin:{PATH}", PATH]
