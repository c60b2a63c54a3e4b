"""The lab's network: a VPC 172.31.0.0/16, a link per machine, and a gateway that routes.

Like a cloud's network it is routed, not switched: machines see each other through the gateway
alone, so that one nftables table there sees everything. An address without a machine swallows
packets, as on EC2.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from lab.errors import LabError

GATEWAY = "172.31.0.1"
RANGE = 16
METADATA = "169.254.169.254"  # nothing listens there: a connection is refused at once
VPC = "vpc"  # a bridge without ports: has the gateway's addresses, drops what is sent to nobody


def outside_address(index: int) -> str:
    """The address that stands inside for the `index`-th relayed name, out of a range for tests."""
    return f"198.18.0.{index + 1}"


def build_gateway(addresses: Iterable[str]) -> None:
    """Set up this (new) network namespace; `addresses` are the relayed names' own."""
    extra = [f"addr add {address}/32 dev {VPC}" for address in (METADATA, *addresses)]
    _ip(
        "link set lo up",
        f"link add {VPC} type bridge",
        f"link set {VPC} arp off",
        f"addr add {GATEWAY}/{RANGE} dev {VPC}",
        *extra,
        f"link set {VPC} up",
        f"route add default dev {VPC} src {GATEWAY}",
    )
    for setting, value in {
        "ip_forward": "1",
        "conf/all/rp_filter": "1",  # a machine cannot send in another's name
        "conf/default/rp_filter": "1",
    }.items():
        Path(f"/proc/sys/net/ipv4/{setting}").write_text(value)
    for scope in ("all", "default"):
        disable = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
        if disable.exists():
            disable.write_text("1")


def plug(namespace: str, address: str) -> None:
    """Make a network namespace with an interface `eth0` of this address and route to it."""
    link = f"v{address}"
    _ip(
        f"netns add {namespace}",
        f"link add {link} type veth peer name eth0 netns {namespace}",
        f"link set {link} up",
    )
    _ip(
        "link set lo up",
        f"addr add {address}/32 dev eth0",
        "link set eth0 up",
        f"route add {GATEWAY} dev eth0",
        f"route add default via {GATEWAY} dev eth0",
        namespace=namespace,
    )
    _ip(f"route add {address} dev {link} src {GATEWAY}")


def unplug(namespace: str, address: str) -> None:
    """Remove the machine's link, route and namespace, as far as they are there."""
    _ip(f"link del v{address}", force=True)
    _ip(f"netns del {namespace}", force=True)


def _ip(*commands: str, namespace: str | None = None, force: bool = False) -> None:
    argv = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    text = "\n".join(commands) + "\n"
    done = subprocess.run(argv, input=text, text=True, capture_output=True)
    if done.returncode and not force:
        raise LabError(f"lab: `ip` failed: {done.stderr.strip()}\n{text}")
