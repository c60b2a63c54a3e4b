"""Security groups as nftables rules at the gateway, out of the machines' own reach.

As on EC2: what is not allowed is dropped, in silence; the answers to what was allowed pass, and so
do connections that were there before a rule went; DNS and the metadata address are not filtered.
The gateway's own services (git.lab, db.lab, the apt relay) count as outside of the machines.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from lab.errors import LabError
from lab.network import METADATA


@dataclass(frozen=True)
class Rule:
    """One permission. `protocol` is EC2's ("-1" is any); `peers` are IPv4 networks or addresses."""

    protocol: str
    from_port: int | None
    to_port: int | None
    peers: tuple[str, ...]

    def matches(self, side: str) -> list[str]:
        """As nftables matches, one per peer; `side` is the peer's: `saddr` or `daddr`."""
        return [f"ip {side} {peer}{self._traffic()}" for peer in self.peers]

    def _traffic(self) -> str:
        if self.protocol == "-1":
            return ""
        if self.protocol in ("tcp", "udp"):
            return f" {self.protocol} dport {self.from_port}-{self.to_port}"
        if self.protocol == "icmp" and self.from_port not in (None, -1):
            return f" icmp type {self.from_port}"
        return f" meta l4proto {self.protocol}"


@dataclass(frozen=True)
class Guarded:
    """A machine's interface as EC2 sees it; `public` is its address outside, if it has one."""

    address: str
    public: str | None
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


def render(machines: Iterable[Guarded]) -> str:
    """The whole ruleset, for `nft -f`; it replaces the one before in a single step."""
    machines = sorted(machines, key=lambda machine: machine.address)
    lines = ["table inet lab", "delete table inet lab", "table inet lab {"]
    for machine in machines:
        lines += _chain(f"to-{machine.address}", machine.ingress, "saddr")
        lines += _chain(f"from-{machine.address}", machine.egress, "daddr")
    for name, key, prefix in (("receiver", "daddr", "to"), ("sender", "saddr", "from")):
        verdicts = ", ".join(f"{m.address} : jump {prefix}-{m.address}" for m in machines)
        lines += [f"  chain {name} {{"]
        lines += [f"    ip {key} vmap {{ {verdicts} }}"] if verdicts else []
        lines += ["  }"]
    public = ", ".join(f"{m.public} : {m.address}" for m in machines if m.public)
    for hook in ("prerouting", "output"):
        lines += [f"  chain public-{hook} {{", f"    type nat hook {hook} priority -100"]
        lines += [f"    dnat ip to ip daddr map {{ {public} }}"] if public else []
        lines += ["  }"]
    return "\n".join(lines) + HOOKS


HOOKS = f"""
  chain forward {{
    type filter hook forward priority filter
    ct state established,related accept
    jump sender
    jump receiver
  }}
  chain output {{
    type filter hook output priority filter
    ct state established,related accept
    jump receiver
  }}
  chain input {{
    type filter hook input priority filter
    ct state established,related accept
    ip daddr {METADATA} accept
    udp dport 53 accept
    jump sender
  }}
}}
"""


def apply(machines: Iterable[Guarded]) -> None:
    """Put the rules into effect in this network namespace."""
    done = subprocess.run(
        ["nft", "-f", "-"], input=render(machines), text=True, capture_output=True
    )
    if done.returncode:
        raise LabError(f"lab: nft refused the security groups: {done.stderr.strip()}")


def _chain(name: str, rules: Iterable[Rule], side: str) -> list[str]:
    allowed = [f"    {match} return" for rule in rules for match in rule.matches(side)]
    return [f"  chain {name} {{", *allowed, "    drop", "  }"]
