"""How many jobs come when, and how long they take."""

from __future__ import annotations

import pytest

from demo.failure import DemoError
from endurance.events import EVENTS, FEW, deploy, roll_back, scale_down, scale_up
from endurance.plan import Scale


def test_what_happens_is_what_was_promised() -> None:
    happens = [event.happens for event in EVENTS]
    assert happens.count(deploy) == 5
    once = {each.__name__ for each in happens if happens.count(each) == 1}
    assert once == {
        *("roll_back", "scale_up", "scale_down", "kill_worker"),
        *("reboot", "roll", "outlast_the_grace", "cut_power"),
    }
    few = [event.happens for event in FEW]
    assert (few.count(deploy), few.count(roll_back)) == (2, 1)
    for each in (happens, few):
        assert each.index(scale_up) < each.index(scale_down)


def test_the_shares_are_all_jobs() -> None:
    assert Scale().shares(13) == [770, 770, 770, *[769] * 10]
    assert sum(Scale().shares(13)) == 10_000
    assert Scale(jobs=2).shares(3) == [1, 1, 0]


@pytest.mark.parametrize(
    ("scale", "jobs", "kinds"),
    [
        (Scale(), 769, [(169, 1.0, 5.0), (600, 0.01, 0.1)]),
        (Scale(), 10_000, [(1000, 1.0, 5.0), (9000, 0.01, 0.1)]),  # never fewer long ones
        (Scale(), 40, [(40, 1.0, 5.0)]),
        (Scale(), 0, []),
    ],
)
def test_most_jobs_are_short_and_last_as_long_as_an_event(
    scale: Scale, jobs: int, kinds: list[tuple[int, float, float]]
) -> None:
    assert scale.kinds(jobs) == kinds


def test_the_environment_makes_it_smaller() -> None:
    assert Scale.read({}) == Scale(10_000, 3, 4, 20)
    given = {"JOBS": "500", "HOSTS": "2", "WORKERS": "1", "GRACE": "8", "OTHER": "x"}
    assert Scale.read(given) == Scale(500, 2, 1, 8)


def test_every_wrong_number_is_told_at_once() -> None:
    with pytest.raises(DemoError) as failure:
        Scale.read({"JOBS": "many", "WORKERS": "0", "GRACE": "5"})
    assert failure.value.why == (
        "JOBS: should be a number from 100, got 'many'",
        "WORKERS: should be a number from 1, got '0'",
        "GRACE: should be a number from 6, got '5'",
    )


def test_no_job_is_longer_than_its_lock_may_be() -> None:
    scale = Scale(grace=8)
    assert scale.grace < scale.outlasting < scale.grace + 10
