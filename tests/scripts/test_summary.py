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


def report(path: Path, **outcomes: str) -> str:
    """A report of tests in tests/e2e/NAME.py, each with the tags of what became of it."""
    cases = [
        f'<testcase classname="tests.e2e.{module}" name="test_it">'
        + "".join(f"<{tag}/>" for tag in tags.split())
        + "</testcase>"
        for module, tags in outcomes.items()
    ]
    tags = " ".join(outcomes.values()).split()
    path.write_text(
        f'<testsuites><testsuite tests="{len(cases)}" failures="{tags.count("failure")}" '
        f'errors="{tags.count("error")}" skipped="0">{"".join(cases)}</testsuite></testsuites>'
    )
    return str(path)


def test_what_passes_when_run_again_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = report(tmp_path / "1.xml", test_a="", test_b="failure", test_c="error")
    again = report(tmp_path / "2.xml", test_b="", test_c="")
    assert main(["--modules", first]) == 0
    assert capsys.readouterr().out == "tests/e2e/test_b.py tests/e2e/test_c.py\n"
    assert main(["--again", again, first]) == 0
    assert capsys.readouterr().out == (
        "passed only when run again: tests.e2e.test_b::test_it\n"
        "passed only when run again: tests.e2e.test_c::test_it\n"
        "3 passed, 0 failed\n"
    )


def test_what_fails_again_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = report(tmp_path / "1.xml", test_a="", test_b="failure", test_c="failure")
    again = report(tmp_path / "2.xml", test_b="failure")
    assert main(["--again", again, first]) == 1
    assert main(["--again", str(tmp_path / "none.xml"), first]) == 1
    assert capsys.readouterr().out == 2 * "1 passed, 2 failed\n"


def test_where_many_modules_fail_nothing_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {f"test_{n}": "failure" for n in range(5)}
    assert main(["--modules", report(tmp_path / "1.xml", **outcomes)]) == 0
    assert capsys.readouterr().out == "\n"


def test_what_has_run_in_no_lane_has_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a lane was ended before its time: that it failed is forgotten with its one test."""
    first = report(tmp_path / "1.xml", test_a="", test_b="failure")
    again = report(tmp_path / "2.xml", test_b="")
    noted = '<properties><property name="shared" value="{}"/></properties><testcase '
    text = Path(first).read_text()
    for shared, status, printed in ((2, 0, "2 passed, 0 failed"), (5, 1, "2 passed, 3 failed")):
        Path(first).write_text(text.replace("<testcase ", noted.format(shared), 1))
        assert main(["--again", again, first]) == status
        said = capsys.readouterr().out
        assert said.endswith(f"{printed}\n")
        assert ("3 tests have run in no lane" in said) == (shared == 5)
