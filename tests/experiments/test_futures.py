"""Futures of an experiment, from fixed seeds."""

from typing import Any

import numpy as np

from experiments import futures
from experiments.futures import Course, look_ahead


def course(visitors_per_day: float, **changes: Any) -> Course:
    values: dict[str, Any] = {"control": 0, "control_share": 0.1, "minimum_exposures": 1000}
    return Course(visitors_per_day=visitors_per_day, **(values | changes))


def ahead(exposures: list[float], conversions: list[float], visitors_per_day: float, **changes: Any) -> futures.Ahead:
    counts = np.array([exposures]), np.array([conversions])
    return look_ahead(*counts, course(visitors_per_day, **changes), np.random.default_rng(1))


def test_a_clear_lead_is_over_at_the_first_look():
    found = ahead([2000.0, 2000.0], [60.0, 140.0], 5000.0)
    assert np.median(found.best) == np.median(found.better) == 1


def test_a_trickle_of_visitors_decides_nothing():
    found = ahead([40.0, 40.0], [1.0, 2.0], 1.0)
    assert np.isinf(found.best).all()
    assert np.isinf(found.better).all()


def test_two_pages_that_are_both_better_are_told_from_today_s_long_before_from_one_another():
    found = ahead([2000.0, 2000.0, 2000.0], [60.0, 120.0, 122.0], 2000.0)
    assert (found.better <= found.best).all()
    assert np.median(found.better) <= 2
    assert np.median(found.best) > 2


def test_the_same_counts_have_the_same_futures():
    first, second = (ahead([900.0, 900.0], [30.0, 40.0], 900.0) for _ in range(2))
    assert np.array_equal(first.best, second.best)


def test_an_equal_split_keeps_the_share_of_the_control():
    found = futures._look(np.array([[500.0] * 3]), np.array([[20.0, 25.0, 60.0]]), course(1.0, equal=True))
    assert found.shares.tolist() == [1 / 3] * 3
