"""Security groups as nftables text."""

from __future__ import annotations

from lab.firewall import Guarded, Rule, render

NOBODY = """\
table inet lab
delete table inet lab
table inet lab {
  chain receiver {
  }
  chain sender {
  }
  chain public-prerouting {
    type nat hook prerouting priority -100
  }
  chain public-output {
    type nat hook output priority -100
  }
  chain forward {
    type filter hook forward priority filter
    ct state established,related accept
    jump sender
    jump receiver
  }
  chain output {
    type filter hook output priority filter
    ct state established,related accept
    jump receiver
  }
  chain input {
    type filter hook input priority filter
    ct state established,related accept
    ip daddr 169.254.169.254 accept
    udp dport 53 accept
    jump sender
  }
}
"""
TWO = """\
table inet lab {
  chain to-172.31.0.4 {
    ip saddr 172.31.0.1/32 tcp dport 22-22 return
    ip saddr 172.31.0.5 tcp dport 22-22 return
    ip saddr 0.0.0.0/0 icmp type 8 return
    drop
  }
  chain from-172.31.0.4 {
    ip daddr 0.0.0.0/0 return
    drop
  }
  chain to-172.31.0.5 {
    drop
  }
  chain from-172.31.0.5 {
    ip daddr 10.0.0.0/8 meta l4proto 50 return
    ip daddr 0.0.0.0/0 meta l4proto icmp return
    drop
  }
  chain receiver {
    ip daddr vmap { 172.31.0.4 : jump to-172.31.0.4, 172.31.0.5 : jump to-172.31.0.5 }
  }
  chain sender {
    ip saddr vmap { 172.31.0.4 : jump from-172.31.0.4, 172.31.0.5 : jump from-172.31.0.5 }
  }
  chain public-prerouting {
    type nat hook prerouting priority -100
    dnat ip to ip daddr map { 54.214.1.2 : 172.31.0.4 }
  }
  chain public-output {
    type nat hook output priority -100
    dnat ip to ip daddr map { 54.214.1.2 : 172.31.0.4 }
  }
  chain forward {
"""


def test_without_machines() -> None:
    assert render([]) == NOBODY


def test_machines() -> None:
    first = Guarded(
        "172.31.0.4",
        "54.214.1.2",
        ingress=(
            Rule("tcp", 22, 22, ("172.31.0.1/32", "172.31.0.5")),
            Rule("icmp", 8, -1, ("0.0.0.0/0",)),
            Rule("tcp", 80, 80, ()),
        ),
        egress=(Rule("-1", None, None, ("0.0.0.0/0",)),),
    )
    second = Guarded(
        "172.31.0.5",
        None,
        ingress=(),
        egress=(
            Rule("50", None, None, ("10.0.0.0/8",)),
            Rule("icmp", -1, -1, ("0.0.0.0/0",)),
        ),
    )
    shown = render([second, first])
    assert shown.startswith(NOBODY[: NOBODY.index("table inet lab {")] + TWO)
    assert shown.endswith(NOBODY[NOBODY.index("  chain forward {") :])
