"""`make bench-peers`: measure, keep the raw numbers in build/, write docs/benchmarks/peers.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import page, quiet, tools
from benchmarks.peers.field import CHECKOUT, Field, FieldError, check
from benchmarks.peers.series import AGAIN, Figure, Run, series
from benchmarks.peers.tools import Bench, Call
from demo.site import demolished

RAW = CHECKOUT / "build" / "peers.json"
PAGE = CHECKOUT / "docs" / "benchmarks" / "peers.md"
HOSTS = (1, 4, 10)
ROLLBACK_AT = 4
ROUNDS = 5


@dataclass(frozen=True)
class Series:
    """Measures tools on a field; `quick`: whatever else this machine does."""

    bench: Bench
    rounds: int
    quick: bool

    def all(self, hosts: int, rollback: bool) -> list[Figure]:
        """All that is measured at that number of hosts."""
        found = self._series("deploy", hosts, tools.DEPLOYS, self._deploy)
        if rollback:
            found += self._series("rollback", hosts, tools.ROLLBACKS, self._rollback)
        return found + self._series("look", hosts, tools.LOOKS, self._look)

    def _series(
        self, what: str, hosts: int, names: tuple[str, ...], one: Callable[[str], Run]
    ) -> list[Figure]:
        def measure(tool: str) -> Run:
            try:
                run = one(tool)
            except FieldError as problem:  # now and then; all that was measured would go
                if tool in tools.OURS:
                    raise
                say(f"{what}, {hosts} hosts, {tool}: failed, and is done once more: {problem}")
                run = one(tool)
            say(f"{what}, {hosts} hosts, {tool}: {run.seconds:.2f} s (others {run.foreign:.0%})")
            return run

        return series(what, hosts, names, self.rounds, measure, 0 if self.quick else AGAIN)

    def _deploy(self, tool: str) -> Run:
        return self._changed(tool, self.bench.field.push(), self.bench.deploy)

    def _rollback(self, tool: str) -> Run:
        """The way back from a deploy that the same tool has just made."""
        field, ours = self.bench.field, tool in tools.OURS
        before = field.push()
        self._untimed(before, ours)
        time.sleep(1)  # the peers name a release by the second
        self._untimed(field.push(), ours)
        return self._changed(tool, before, self.bench.rollback)

    def _untimed(self, revision: str, ours: bool) -> None:
        call = self.bench.deploy(tools.SATELLITE if ours else "ssh, a script", revision)
        run(call)

    def _changed(self, tool: str, revision: str, call: Callable[[str, str], Call]) -> Run:
        current, units = tools.where(tool)
        before = self.bench.field.states(current, units)
        found = self._timed(call(tool, revision))
        check(tool, before, self.bench.field.states(current, units), revision)
        return found

    def _look(self, what: str) -> Run:
        return self._timed(self.bench.look(what))

    def _timed(self, call: Call) -> Run:
        time.sleep(0.5)  # for what the one before has left to systemd
        if not self.quick:
            quiet.wait()
        before = quiet.Used.now()
        run(call)
        after = quiet.Used.now()
        return Run(round(after.at - before.at, 3), round(after.foreign(before), 2))


def run(call: Call) -> None:
    """Run it to its end; FieldError where it fails."""
    done = subprocess.run(
        call.argv,
        cwd=call.folder,
        env=call.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise FieldError(f"{' '.join(call.argv)[:200]}: {done.stdout[-3000:]}{done.stderr[-3000:]}")


def say(line: str) -> None:
    """On standard error, as it comes."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds, without waiting")
    parser.add_argument("--rounds", type=int, default=0, help=f"{ROUNDS} where it is not given")
    parser.add_argument("--hosts", default=",".join(map(str, HOSTS)), help="such as 1,2")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes")
    options = parser.parse_args()
    counts = [int(count) for count in options.hosts.split(",")]
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    figures: list[Figure] = []
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # every day, Python programs are compiled
    with tempfile.TemporaryDirectory(prefix="satellite-bench-") as folder:
        field = Field.made(Path(folder))
        with demolished(field.site):
            bench = Bench(field, Path(os.environ["SATELLITE_PEERS"]))
            bench.prepare()
            found = page.Machine.here(bench.venv)
            for count in counts:
                say(f"{count} hosts")
                field.grow(count)
                at = ROLLBACK_AT if ROLLBACK_AT in counts else counts[-1]
                figures += Series(bench, rounds, options.quick).all(count, rollback=count == at)
                RAW.parent.mkdir(exist_ok=True)
                data = {"machine": found.data(), "figures": [f.data() for f in figures]}
                RAW.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    text = page.page(figures, found, rounds, options.quick)
    options.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
