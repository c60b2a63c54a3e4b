"""The parts of the story that need no lab."""

from __future__ import annotations

import pytest

from demo.story import job_seconds


@pytest.mark.parametrize(
    ("pace", "expected"), [(0.5, (0.3, 1.0)), (3, (0.3, 1.0)), (7, (0.5, 1.5)), (20, (1.1, 3.2))]
)
def test_jobs_last_longer_where_the_machine_is_slow(
    pace: float, expected: tuple[float, float]
) -> None:
    assert job_seconds(pace) == expected
