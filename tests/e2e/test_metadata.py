"""Who on a host reaches the instance's metadata: root and the system; the app where it may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lab.network import METADATA
from tests.e2e.conftest import Site, demolished, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
ROLE = "a role's credentials"
# each worker says at its start whether it got an answer
ASKS = f"""\
#!/bin/sh
trap 'exit 0' TERM
curl --silent --max-time 5 http://{METADATA}/role >"/tmp/role.$$" || echo none >"/tmp/role.$$"
while :; do sleep 1 & wait $!; done
"""
APP = {"Procfile": "worker: ./worker\n", "worker": ASKS}


class _Role(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ROLE.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[Site]:
    """One host, up; the lab's gateway answers at the metadata address."""
    site = new_site(tmp_path / "walled", "walled", APP, hosts=1, settings={})
    with HTTPServer((METADATA, 80), _Role) as server, demolished(site):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            site.up()
            yield site
        finally:
            server.shutdown()
            thread.join()


def answers(site: Site) -> dict[str, str]:
    """What root, a login of the app, and each of its workers got from the metadata address."""
    ask = f"curl --silent --max-time 5 http://{METADATA}/role || echo none"
    host, workers = site.host(1), site.workers(site.host(1))
    found = {"root": ask, "app": f"runuser -u walled -- sh -c '{ask}'"}
    for unit, pid in workers.items():
        found[unit] = f"until test -s /tmp/role.{pid}; do sleep 0.1; done; cat /tmp/role.{pid}"
    return {who: host.run(command).stdout.strip() for who, command in found.items()}


def test_the_app_is_kept_from_the_metadata_until_it_may(walled: Site) -> None:
    workers = {f"satellite-walled.worker@{n}.service" for n in (1, 2)}
    blocked = {"root": ROLE, **dict.fromkeys({"app", *workers}, "none")}
    assert answers(walled) == blocked
    table = walled.host(1).run("nft --numeric list table inet satellite-walled").stdout
    uid = walled.host(1).run("id -u walled").stdout.strip()
    assert f"meta skuid {uid} ip daddr {METADATA} reject" in table
    assert f"meta skuid {uid} ip6 daddr fd00:ec2::254 reject" in table

    host = walled.host(1)
    # the machine's own firewall begins with `flush ruleset`
    host.run("systemctl enable --now nftables")
    stands = "nft list table inet satellite-walled"
    for verb in ("reload", "restart"):
        host.run(f"nft flush ruleset; systemctl {verb} nftables")
        wait_until(verb, lambda: host.run(stands, check=False).returncode == 0, 10)
        assert answers(walled) == blocked
    host.run("touch /run/before; rm /tmp/role.*")
    host.reboot()
    wait_until("it boots", lambda: host.run("test ! -e /run/before", check=False).returncode == 0)
    wait_until("its workers run", lambda: len(walled.workers(host)) == 2)
    assert answers(walled) == blocked

    walled.put("app_metadata", "allowed")
    walled.repository.commit({"note": "new workers, that ask again"})
    walled.up()
    assert answers(walled) == dict.fromkeys(blocked, ROLE)
    walled.unset("app_metadata")
    walled.up()
    assert answers(walled)["app"] == "none"
