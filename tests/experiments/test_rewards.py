"""Effective conversions: rewards of any kind with the right mean and the right spread."""

import numpy as np
import pytest

from experiments import pooling, rewards


def test_equal_values_give_the_count_back():
    counts = np.array([[3.0, 5.0]])
    effective = rewards.revenue(20 * counts, 400 * counts)
    assert effective.conversions.tolist() == [[3.0, 5.0]]
    assert effective.unit == 20


def test_nothing_sold_is_no_conversion():
    assert rewards.revenue(np.zeros((2, 2)), np.zeros((2, 2))).conversions.sum() == 0


def test_spread_values_count_as_fewer_conversions():
    # Orders of 10 and 90: the mean is 50, the second moment 4100, the unit 82.
    effective = rewards.revenue(np.array([[100.0]]), np.array([[8200.0]]))
    assert effective.conversions[0, 0] == pytest.approx(100 / 82)


def test_the_largest_hundredth_is_counted_at_its_edge():
    assert rewards.largest_counted(np.arange(1.0, 202.0)) == 199
    assert rewards.largest_counted(np.zeros(0)) == np.inf


def test_one_weighted_goal_is_that_goal():
    reached = np.array([[[4.0, 6.0]]])
    effective = rewards.weighted(reached, np.array([3.0]))
    assert effective.conversions.tolist() == [[4.0, 6.0]]
    assert effective.unit == 3


def test_weighted_goals_are_taken_as_reached_by_the_same_visitors():
    # Ten click (worth 1), four of them sign up (worth 5): six bring 1 and four bring 6.
    effective = rewards.weighted(np.array([[[10.0]], [[4.0]]]), np.array([1.0, 5.0]))
    assert effective.unit == pytest.approx((6 * 1 + 4 * 36) / 30)
    assert effective.conversions[0, 0] * effective.unit == pytest.approx(30)


def orders(generator, arms, visitors, lift):
    """Give summed values and squares of log-normal orders; the last arm sells more often by `lift`."""
    rates = np.full(arms, 0.04)
    rates[-1] *= 1 + lift
    sold = [generator.lognormal(3, 1.2, generator.binomial(visitors, rate)) for rate in rates]
    edge = rewards.largest_counted(np.concatenate(sold))
    kept = [np.minimum(values, edge) for values in sold]
    return np.array([[v.sum() for v in kept]]), np.array([[v @ v for v in kept]])


def test_intervals_of_revenue_per_visitor_cover_with_heavy_tails():
    generator = np.random.default_rng(8)
    runs, covered = 150, 0
    for _ in range(runs):
        effective = rewards.revenue(*orders(generator, 2, 5000, 0.2))
        _, low, high = pooling.fit(np.full((1, 2), 5000.0), effective.conversions).lift(control=0)
        covered += low[1] <= 0.2 <= high[1]
    # Nominal 0.95; four standard errors of a binomial share.
    assert covered / runs > 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
