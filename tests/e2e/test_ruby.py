"""A real Ruby from Debian's own source archive is the one that workers run. It takes minutes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e.archive import ruby_archive, served
from tests.e2e.conftest import demolished, new_site, wait_until
from tests.e2e.test_bootstrap import NAMES, report

pytestmark = [pytest.mark.lab, pytest.mark.e2e, pytest.mark.slow]
RUBY_APP = {
    "Procfile": "worker: exec ruby worker.rb\n",
    "worker.rb": """\
trap('TERM') { exit 0 }
File.write('/tmp/ruby', [RUBY_VERSION, RbConfig.ruby, Gem.ruby].join("\\n"))
sleep
""",
}
OPTIONS = (
    "--disable-install-doc",
    "--disable-jit-support",
    # Debian took the bundled gems out of the archive; with a Ruby at hand they would be fetched
    "--with-baseruby=no",
    # compiled without waiting for speed
    "optflags=-O0",
    "debugflags=-g0",
)


def test_workers_run_the_ruby_that_was_built_from_its_archive(tmp_path: Path) -> None:
    site = new_site(tmp_path / "ruby", "ruby", RUBY_APP, hosts=1, settings={})
    with demolished(site):
        site.up()
        host = site.host(1)
        assert host.run("sed -n 2p /tmp/ruby").stdout.startswith("/usr/bin/ruby")
        archive = ruby_archive(host)
        version = archive.name.partition("_")[2].partition(".orig")[0]
        with served(archive.parent) as url:
            packages = ("gcc", "libc6-dev", "make", "zlib1g-dev")
            wanted = {
                **{f"packages[{n}]": package for n, package in enumerate(packages)},
                "ruby.version": version,
                "ruby.source": f"{url}/{archive.name}",
                "ruby.sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
                **{f"ruby.configure[{n}]": option for n, option in enumerate(OPTIONS)},
            }
            site.stack.configure({f"satellite:{key}": v for key, v in wanted.items()}, {})
            site.up()
        there = f"/opt/rubies/{version}/bin/ruby"
        assert report(site)[-1].startswith("changed: packages, ruby; already right: ")
        for unit, pid in site.workers(host).items():
            assert host.run(f"readlink /proc/{pid}/exe").stdout.strip() == there, unit
        wait_until("a worker said so", lambda: there in host.run("cat /tmp/ruby").stdout)
        assert host.run("cat /tmp/ruby").stdout.splitlines() == [version, there, there]

        workers = site.workers(host)
        site.put("packages[4]", "less")  # a second run; the archive is not served any more
        site.up()
        assert report(site)[-1] == f"changed: nothing; already right: {', '.join(NAMES)}"
        assert site.workers(host) == workers
