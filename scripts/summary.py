"""Sum up JUnit reports in one line, `N passed, N failed`; exit 1 unless all passed and some ran."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


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


def main(reports: list[str]) -> int:
    """Print the sums; return the exit status."""
    passed, failed, skipped = (sum(n) for n in zip(*map(counts, map(Path, reports)), strict=True))
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
