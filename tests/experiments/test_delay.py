"""How much of its conversions an exposure has brought by its age: learnt from delays that are seen only when over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import delay

HOUR = 3600.0


def exponential(number, mean, oldest, seed=1):
    """Give the delays and ages of those of `number` conversions that have come; exposures are spread over `oldest`."""
    generator = np.random.default_rng(seed)
    ages = generator.uniform(0, oldest, number)
    delays = generator.exponential(mean, number)
    return delays[delays <= ages], ages[delays <= ages]


def test_three_conversions_by_hand():
    # R(4) = 2: the first and the last were old enough to take 4. R(2) = 2, R(1) = 1.
    maturity = delay.learn([1, 2, 4], [5, 2, 4])
    assert maturity.at([0, 1, 2, 3.9, 4]) == pytest.approx([2 / 9, 4 / 9, 2 / 3, 2 / 3, 1])


def test_young_exposures_do_not_make_conversions_look_quick():
    delays, ages = exponential(20_000, mean=3 * HOUR, oldest=10 * HOUR)
    points = np.array([0.5, 1, 2, 4, 8]) * HOUR
    whole = -np.expm1(-10 / 3)  # nothing is known of delays beyond the oldest exposure
    assert delay.learn(delays, ages).at(points) == pytest.approx(-np.expm1(-points / (3 * HOUR)) / whole, abs=0.02)
    assert np.mean(delays <= 2 * HOUR) > -np.expm1(-2 / 3) / whole + 0.08


def test_without_conversions_everything_counts_at_once():
    assert delay.learn([], []).at([0.0, 5.0]).tolist() == [1.0, 1.0]


def test_the_age_of_a_part_is_where_it_is_reached():
    maturity = delay.learn([1, 2, 4], [5, 2, 4])
    assert [maturity.age_of(part) for part in (0.0, 0.3, 0.5, 0.9, 1.0)] == [0.0, 1.0, 2.0, 4.0, 4.0]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=40))
def test_maturity_grows_from_above_nothing_to_one(pairs):
    maturity = delay.learn([d for d, _ in pairs], [age for _, age in pairs])
    parts = maturity.at(np.linspace(0, 200, 101))
    assert (np.diff(parts) >= 0).all()
    assert parts[0] > 0
    assert parts[-1] == 1


@pytest.mark.parametrize(
    ("delays", "ages", "message"),
    [([1.0], [], "one number per conversion"), ([-1.0], [2.0], "not negative"), ([np.nan], [2.0], "finite")],
)
def test_what_is_no_delay_is_refused(delays, ages, message):
    with pytest.raises(ValueError, match=message):
        delay.learn(delays, ages)
