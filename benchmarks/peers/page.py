"""The page of results: tables, and what the numbers should be beside what they are."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers import tools
from benchmarks.peers.series import Figure, find

TEMPLATE = Path(__file__).with_name("page.md")


@dataclass(frozen=True)
class Machine:
    """Where it was measured, and with which versions."""

    cores: int
    system: str
    versions: tuple[str, ...]

    @classmethod
    def here(cls, venv: Path) -> Machine:
        """This machine, and what is installed on it."""
        listed = _said(str(venv / "bin/pip"), "list", "--format=freeze")
        peers = re.findall(r"^(ansible-core|parallel-ssh|pyinfra)==(\S+)$", listed, re.M)
        versions = [
            f"Pulumi {_said('pulumi', 'version').strip().removeprefix('v')}",
            *(f"{name} {version}" for name, version in peers),
            f"Capistrano {_number(_said('cap', '--version'))}",
            _said("ssh", "-V").partition(",")[0].replace("_", " "),
        ]
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
        system = f"{name}, Linux {platform.release().partition('-')[0]}"
        return cls(
            os.cpu_count() or 1, f"{system}, Python {platform.python_version()}", (*versions,)
        )

    def data(self) -> dict[str, object]:
        """For the file of raw numbers."""
        return asdict(self)


def page(figures: Sequence[Figure], machine: Machine, rounds: int, quick: bool) -> str:
    """The whole page."""
    tables = [f"## Aims\n\n{_table(AIMED, aims(figures))}"]
    tables += [f"## {head}\n\n{grid(figures, what)}" for head, what in HEADS]
    return TEMPLATE.read_text(encoding="utf-8").format(
        cores=machine.cores,
        machine=f"{machine.cores} cores, {machine.system}",
        rounds=rounds,
        typed=f"make bench-peers{' QUICK=1' if quick else ''} ROUNDS={rounds}",
        quick=", in haste" if quick else "",
        versions=", ".join(machine.versions),
        tables="\n".join(tables),
    )


Row = tuple[str, ...]
AIMED = ("what", "aim", "measured", "")
HEADS = (("Deploy", "deploy"), ("Rollback", "rollback"), ("Looking", "look"))


def grid(figures: Sequence[Figure], what: str) -> str:
    """One kind of run: a row for each tool, a column for each number of hosts."""
    mine = [figure for figure in figures if figure.what == what]
    hosts = sorted({figure.hosts for figure in mine})
    rows: list[Row] = []
    for tool in dict.fromkeys(figure.tool for figure in mine):
        cells = [find(mine, what, tool, count) for count in hosts]
        rows.append((tool, *(cell.text() if cell else "-" for cell in cells)))
    return _table(("seconds", *map(_hosts, hosts)), rows)


def aims(figures: Sequence[Figure]) -> list[Row]:
    """What is aimed at, what was measured, and whether it is so."""
    return [*_deploys(figures), *_rollbacks(figures), *_looks(figures)]


def _deploys(figures: Sequence[Figure]) -> list[Row]:
    rows: list[Row] = []
    for hosts in sorted({figure.hosts for figure in figures}):
        mine = find(figures, "deploy", tools.SATELLITE, hosts)
        floor = find(figures, "deploy", tools.FLOOR, hosts)
        if mine and floor:
            ratio = mine.median / floor.median
            limit = "at most 1.5 x" if hosts == 10 else "-"
            good = _mark(ratio <= 1.5) if hosts == 10 else ""
            what = f"deploy to {_hosts(hosts)}, against plain ssh with the same agent"
            rows.append((what, limit, f"{ratio:.2f} x", good))
        for peer in (tools.CAPISTRANO, tools.PYINFRA, tools.ANSIBLE):
            other = find(figures, "deploy", peer, hosts)
            if mine and other:
                ratio = other.median / mine.median
                what = f"deploy to {_hosts(hosts)}, against {peer}"
                rows.append((what, "faster", f"{ratio:.1f} x as fast", _mark(ratio > 1)))
    return rows


def _rollbacks(figures: Sequence[Figure]) -> list[Row]:
    rows: list[Row] = []
    for mine in figures:
        if (mine.what, mine.tool) == ("rollback", tools.SATELLITE):
            what = f"rollback of {_hosts(mine.hosts)}; workers drain at once"
            seconds = f"{mine.median:.2f} s"
            rows.append((what, "at most 1.0 s", seconds, _mark(mine.median <= 1.0)))
    return rows


def _looks(figures: Sequence[Figure]) -> list[Row]:
    rows: list[Row] = []
    for mine in figures:
        engine = find(figures, "look", tools.ENGINE, mine.hosts)
        true = find(figures, "look", tools.TRUE, mine.hosts)
        if (mine.what, mine.tool) == ("look", tools.INFO) and engine and true:
            more = mine.median - engine.median
            rows.append(
                (
                    f"`info` of {_hosts(mine.hosts)}, beyond the engine's start",
                    "about one round of ssh",
                    f"{more:.2f} s; one round of `ssh true`: {true.median:.2f} s",
                    "",
                )
            )
    return rows


def _mark(good: bool) -> str:
    return "yes" if good else "**no**"


def _hosts(count: int) -> str:
    return f"{count} host{'' if count == 1 else 's'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


def _number(text: str) -> str:
    match = re.search(r"\d+(\.\d+)+", text)
    return match[0] if match else "unknown"
