"""The last line of `make test`: true sums, and a part that never ended is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.summary import main

REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


def reports(folder: Path, *counts: tuple[int, int, int, int] | None) -> list[str]:
    paths = []
    for number, count in enumerate(counts):
        path = folder / f"{number}.xml"
        if count:
            path.write_text(REPORT.format(*count))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    ("counts", "status", "printed"),
    [
        ([(5, 0, 0, 0), (3, 0, 0, 0)], 0, "8 passed, 0 failed\n"),
        ([(5, 1, 1, 1), (3, 0, 0, 0)], 1, "1 skipped\n5 passed, 2 failed\n"),
        ([(0, 0, 0, 0), (0, 0, 0, 0)], 1, "0 passed, 0 failed\n"),
        ([(0, 0, 0, 0), (2, 0, 0, 0)], 0, "2 passed, 0 failed\n"),
    ],
)
def test_the_sums_are_true(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    counts: list[tuple[int, int, int, int]],
    status: int,
    printed: str,
) -> None:
    assert main(reports(tmp_path, *counts)) == status
    assert capsys.readouterr().out == printed


def test_a_part_that_did_not_end_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = reports(tmp_path, (5, 0, 0, 0), None)
    assert main(paths) == 1
    assert capsys.readouterr().out == (
        f"{paths[1]}: no report, so these tests did not end\n5 passed, 1 failed\n"
    )
