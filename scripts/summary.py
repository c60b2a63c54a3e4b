"""Sum up JUnit reports in one line, `N passed, N failed`; exit 1 unless all passed and some ran.

What reports share and none has an outcome of has failed. With `--again`, what failed and passes in
that report has passed, and is named. With `--modules`, only print the test files of what failed, as
long as they are few: where many fail, the fault is not a machine that was too busy.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

FEW = 4


def counts(report: Path) -> tuple[int, int, int]:
    """(passed, failed, skipped) of a report; one that was never written is one failure."""
    if not report.exists():
        print(f"{report}: no report, so these tests did not end")
        return 0, 1, 0
    suites = ET.parse(report).getroot().iter("testsuite")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for key in totals:
            totals[key] += int(suite.get(key, 0))
    failed = totals["failures"] + totals["errors"]
    return totals["tests"] - failed - totals["skipped"], failed, totals["skipped"]


def faults(report: Path) -> Iterator[tuple[str, int]]:
    """(test's name, how often it failed: in itself, before it, after it) of a report that is."""
    if report.exists():
        for case in ET.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname', '')}::{case.get('name', '')}"
            yield name, sum(part.tag in ("failure", "error") for part in case)


def left_out(reports: Sequence[Path]) -> int:
    """How many of the tests that these reports share have an outcome in none of them."""
    shared, ran = 0, set[str]()
    for report in reports:
        if report.exists():
            noted = ET.parse(report).find("testsuite/properties/property[@name='shared']")
            if noted is not None:
                shared = int(noted.get("value", ""))
                ran.update(name for name, _ in faults(report))
    return shared - len(ran)


def main(arguments: list[str]) -> int:
    """Print the sums (or the modules); return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", type=Path)
    parser.add_argument("--modules", action="store_true")
    parser.add_argument("reports", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    failing = Counter[str]()
    for report in options.reports:
        for name, times in faults(report):
            failing[name] += times
    failing = +failing
    if options.modules:
        modules = sorted({name.partition("::")[0].replace(".", "/") + ".py" for name in failing})
        print(" ".join(modules if len(modules) <= FEW else ()))
        return 0

    passed, failed, skipped = (sum(n) for n in zip(*map(counts, options.reports), strict=True))
    if options.again:
        second = dict(faults(options.again))
        for name in (name for name in failing if second.get(name) == 0):
            print(f"passed only when run again: {name}")
            passed, failed = passed + 1, failed - failing[name]
    if missing := left_out(options.reports):
        print(f"{missing} tests have run in no lane")
        failed += missing
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
