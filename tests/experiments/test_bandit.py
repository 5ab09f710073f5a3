"""Shares and probabilities against hand-worked cases, closed forms, 30-digit references and properties."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.bandit import (
    credible_interval,
    expected_loss,
    lift_interval,
    posterior,
    probability_best,
    standing,
    thompson_shares,
    with_control_share,
    with_newcomers,
)

REFERENCES = json.loads((Path(__file__).parents[1] / "data" / "bandit_references.json").read_text(encoding="utf-8"))
LIFT_REFERENCES = [case for case in REFERENCES if "lift_of_arm_1" in case]

counts = st.tuples(st.integers(0, 100_000), st.floats(0, 1)).map(lambda pair: (pair[0], round(pair[0] * pair[1])))
arms = st.lists(counts, min_size=1, max_size=12)
several_arms = st.lists(counts, min_size=2, max_size=12)


unhurried = settings(deadline=None)  # the machine may be busy; benchmarks measure time


def posterior_of(pairs):
    return posterior([exposed for exposed, _ in pairs], [converted for _, converted in pairs])


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


# Posterior


def test_posterior_adds_conversions_to_alpha_and_the_rest_to_beta():
    alpha, beta = posterior([10, 0], [3, 0])
    assert alpha.tolist() == [4.0, 1.0]
    assert beta.tolist() == [8.0, 1.0]


def test_posterior_takes_another_prior_and_counts_that_are_not_whole():
    alpha, beta = posterior([10.5], [3.25], prior=(0.5, 2.0))
    assert (alpha[0], beta[0]) == (3.75, 9.25)


def test_credible_interval_of_a_uniform_rate_cuts_equal_tails():
    low, high = credible_interval([1.0], [1.0], level=0.9)
    assert (low[0], high[0]) == pytest.approx((0.05, 0.95), abs=1e-15)


def test_credible_interval_without_conversions_has_its_closed_form():
    # Beta(1, b) has the distribution function 1 - (1 - x)^b.
    low, high = credible_interval([1.0], [1e7], level=0.95)
    expected = (-math.expm1(math.log(0.975) / 1e7), -math.expm1(math.log(0.025) / 1e7))
    assert (low[0], high[0]) == pytest.approx(expected, rel=1e-12)


# Which arm is best


def exact_chance_that_second_wins(first, second):
    """Miller's sum: sum_{i < a2} B(a1 + i, b1 + b2) / ((b2 + i) B(1 + i, b2) B(a1, b1)), in exact fractions."""
    (a1, b1), (a2, b2) = first, second

    def beta(a, b):
        return Fraction(math.factorial(a - 1) * math.factorial(b - 1), math.factorial(a + b - 1))

    return sum(beta(a1 + i, b1 + b2) / ((b2 + i) * beta(1 + i, b2) * beta(a1, b1)) for i in range(a2))


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 1), (1, 1)), ((3, 5), (4, 6)), ((1, 11), (101, 901)), ((41, 961), (52, 950)), ((200, 1), (150, 3))],
)
def test_two_arms_agree_with_millers_closed_form(first, second):
    best = probability_best([first[0], second[0]], [first[1], second[1]])
    assert best[1] == pytest.approx(float(exact_chance_that_second_wins(first, second)), abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [((3, 5), (4, 6)), ((41, 961), (52, 950)), ((1, 9), (120, 4000))])
def test_loss_of_two_arms_agrees_with_its_closed_form(first, second):
    # E[(x2 - x1)+] = mean2 P(x2' > x1) - mean1 P(x2 > x1'), where ' adds one to alpha.
    (a1, b1), (a2, b2) = first, second
    gain = Fraction(a2, a2 + b2) * exact_chance_that_second_wins(first, (a2 + 1, b2))
    cost = Fraction(a1, a1 + b1) * exact_chance_that_second_wins((a1 + 1, b1), second)
    assert expected_loss([a1, a2], [b1, b2])[0] == pytest.approx(float(gain - cost), abs=1e-13)


@named(REFERENCES)
def test_probability_best_agrees_with_the_references(case):
    best = probability_best(case["alpha"], case["beta"])
    assert np.abs(best - case["probability_best"]).max() <= 1e-9


@named(REFERENCES)
def test_expected_loss_agrees_with_the_references(case):
    loss = expected_loss(case["alpha"], case["beta"])
    assert np.abs(loss - case["expected_loss"]).max() <= 1e-9


def test_a_tiny_loss_keeps_its_leading_digits():
    # A stop rule compares the leader's loss with a fraction of its rate: it must not be rounded to nothing.
    case = next(case for case in REFERENCES if case["name"] == "certain")
    loss = expected_loss(case["alpha"], case["beta"])
    assert 0 < case["expected_loss"][1] < 1e-13
    assert loss[1] == pytest.approx(case["expected_loss"][1], rel=1e-3)


@pytest.mark.parametrize("number", [2, 30, 1000])
def test_new_arms_lose_what_the_highest_of_uniform_rates_is_above_one_half(number):
    loss = expected_loss(*posterior([0] * number, [0] * number))
    assert loss == pytest.approx(np.full(number, number / (number + 1) - 0.5), abs=1e-13)


def test_one_arm_is_best_and_loses_nothing():
    assert probability_best([3.0], [7.0]).tolist() == [1.0]
    assert expected_loss([3.0], [7.0]).tolist() == [0.0]


@unhurried
@given(arms)
def test_probabilities_sum_to_one(pairs):
    best = probability_best(*posterior_of(pairs))
    assert abs(best.sum() - 1) <= 1e-12
    assert (best >= 0).all()


@pytest.mark.parametrize("number", [300, 500, 1000])
def test_probabilities_of_many_arms_sum_to_one(number):
    exposures = np.geomspace(1, 1e7, number).round()
    best = probability_best(*posterior(exposures, (exposures * 0.04).round()))
    assert abs(best.sum() - 1) <= 1e-12


@unhurried
@given(several_arms, st.randoms(use_true_random=False))
def test_relabelling_arms_relabels_the_results_bit_for_bit(pairs, random):
    order = list(range(len(pairs)))
    random.shuffle(order)
    before, after = standing(*posterior_of(pairs)), standing(*posterior_of([pairs[k] for k in order]))
    assert after.probability_best.tolist() == before.probability_best[order].tolist()
    assert after.expected_loss.tolist() == before.expected_loss[order].tolist()


@unhurried
@given(several_arms)
def test_a_repeated_call_gives_the_same_bits(pairs):
    alpha, beta = posterior_of(pairs)
    assert probability_best(alpha, beta).tobytes() == probability_best(alpha, beta).tobytes()


@unhurried
@given(counts, st.integers(2, 50))
def test_equal_arms_are_equally_good(pair, number):
    best = probability_best(*posterior_of([pair] * number))
    assert best == pytest.approx(np.full(number, 1 / number), abs=1e-12)


@unhurried
@given(several_arms)
def test_losses_differ_by_the_difference_of_the_means(pairs):
    alpha, beta = posterior_of(pairs)
    loss = expected_loss(alpha, beta)
    assert loss + alpha / (alpha + beta) == pytest.approx(
        np.full(len(pairs), (loss + alpha / (alpha + beta))[0]), abs=1e-11
    )
    assert (loss >= 0).all()


def test_arguments_are_left_as_they_were():
    alpha, beta = np.array([3.0, 4.0]), np.array([5.0, 6.0])
    thompson_shares(alpha, beta, floor=0.1, top_two=0.5)
    lift_interval(alpha, beta, control=0)
    assert (alpha.tolist(), beta.tolist()) == ([3.0, 4.0], [5.0, 6.0])


# Shares


@unhurried
@given(several_arms, st.floats(0, 1))
def test_the_floor_is_added_and_the_rest_kept_in_proportion(pairs, part):
    alpha, beta = posterior_of(pairs)
    floor = part / len(pairs)
    shares = thompson_shares(alpha, beta, floor=floor)
    expected = floor + (1 - len(pairs) * floor) * probability_best(alpha, beta)
    assert shares == pytest.approx(expected, abs=1e-15)
    assert shares.min() >= floor
    assert abs(shares.sum() - 1) <= 1e-12


def test_a_floor_that_takes_all_traffic_gives_equal_shares():
    assert thompson_shares([1.0, 90.0], [9.0, 10.0], floor=0.5).tolist() == [0.5, 0.5]


@unhurried
@given(several_arms, st.data())
def test_more_conversions_never_lower_the_share(pairs, data):
    arm = data.draw(st.integers(0, len(pairs) - 1))
    exposed, converted = pairs[arm]
    more = data.draw(st.integers(converted, exposed))
    before = thompson_shares(*posterior_of(pairs))[arm]
    after = thompson_shares(*posterior_of([*pairs[:arm], (exposed, more), *pairs[arm + 1 :]]))[arm]
    assert after >= before - 1e-12


def test_top_two_of_two_arms_gives_the_part_to_the_likelier_one():
    best = probability_best([30.0, 40.0], [970.0, 960.0])
    shares = thompson_shares([30.0, 40.0], [970.0, 960.0], top_two=0.8)
    assert shares == pytest.approx(0.8 * best + 0.2 * best[::-1], abs=1e-12)


def test_top_two_of_three_arms_is_russos_formula():
    alpha, beta = [30.0, 40.0, 35.0], [970.0, 960.0, 965.0]
    p, q, r = probability_best(alpha, beta)
    first = p * (0.6 + 0.4 * (q / (1 - q) + r / (1 - r)))
    assert thompson_shares(alpha, beta, top_two=0.6)[0] == pytest.approx(first, abs=1e-12)


def test_top_two_with_a_certain_winner_sends_the_rest_to_the_runner_up():
    shares = thompson_shares([10.0, 100.0, 1000.0], [990.0, 900.0, 1000.0], top_two=0.9)
    assert shares == pytest.approx([0.0, 0.1, 0.9], abs=1e-6)


def test_top_two_shares_the_rest_equally_among_equal_others():
    shares = thompson_shares([1e6, 10.0, 10.0], [10.0, 1e6, 1e6], top_two=0.5)
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=1e-12)


@unhurried
@given(arms, st.floats(0.01, 1))
def test_top_two_shares_sum_to_one(pairs, part):
    shares = thompson_shares(*posterior_of(pairs), top_two=part)
    assert abs(shares.sum() - 1) <= 1e-12
    assert (shares >= 0).all()


@unhurried
@given(several_arms)
def test_top_two_of_one_is_thompson_sampling(pairs):
    alpha, beta = posterior_of(pairs)
    assert thompson_shares(alpha, beta, top_two=1.0) == pytest.approx(thompson_shares(alpha, beta), abs=1e-14)


def test_a_newcomer_is_raised_and_the_others_keep_their_proportions():
    raised = with_newcomers([0.6, 0.3, 0.1], [900, 900, 10], minimum=50)
    assert raised[2] == pytest.approx(0.1 * (1 - 1 / 15) + 1 / 15)
    assert raised[0] / raised[1] == pytest.approx(2)
    assert raised.sum() == pytest.approx(1, abs=1e-15)


def test_arms_that_have_their_minimum_keep_their_shares():
    assert with_newcomers([0.98, 0.02], [500, 50], minimum=50).tolist() == [0.98, 0.02]


@unhurried
@given(several_arms, st.floats(0, 1000))
def test_newcomers_never_take_more_than_half_from_anybody(pairs, minimum):
    shares = thompson_shares(*posterior_of(pairs))
    raised = with_newcomers(shares, [exposed for exposed, _ in pairs], minimum=minimum)
    assert abs(raised.sum() - 1) < 1e-12
    assert (raised >= shares / 2).all()


def test_the_control_is_raised_and_the_others_keep_their_proportions():
    raised = with_control_share([0.1, 0.6, 0.3], control=0, control_share=0.4)
    assert raised == pytest.approx([0.4, 0.4, 0.2], abs=1e-15)


def test_a_control_that_has_enough_keeps_its_share():
    assert with_control_share([0.5, 0.3, 0.2], control=0, control_share=0.4).tolist() == [0.5, 0.3, 0.2]


# Lift over the control


@named(LIFT_REFERENCES)
def test_lift_limits_agree_with_the_references(case):
    lifts = lift_interval(case["alpha"], case["beta"], control=0)
    expected = np.array(case["lift_of_arm_1"])
    width = expected[2] - expected[1]
    assert np.abs([limit[1] for limit in lifts] - expected).max() <= 1e-4 * width


def test_lift_of_uniform_rates_has_its_closed_form():
    # The ratio r of two uniform rates has P(<= r) = r / 2 up to 1, and 1 - 1 / (2 r) beyond.
    median, low, high = lift_interval([1.0, 1.0], [1.0, 1.0], control=0, level=0.5)
    assert (median[1], low[1], high[1]) == pytest.approx((0.0, -0.5, 1.0), abs=1e-5)


def test_lift_is_not_a_number_at_the_control_only():
    lifts = lift_interval([5.0, 6.0, 700.0], [95.0, 94.0, 9300.0], control=1)
    assert [np.isnan(limit).tolist() for limit in lifts] == [[False, True, False]] * 3


@unhurried
@given(several_arms, st.floats(0.5, 0.99))
def test_lift_limits_are_in_order(pairs, level):
    median, low, high = lift_interval(*posterior_of(pairs), control=0, level=level)
    assert (low[1:] < median[1:]).all()
    assert (median[1:] < high[1:]).all()


@unhurried
@given(counts, counts)
def test_swapping_the_control_inverts_the_ratio(first, second):
    _, low, high = lift_interval(*posterior_of([first, second]), control=0)
    _, swapped_low, swapped_high = lift_interval(*posterior_of([first, second]), control=1)
    assert 1 + high[1] == pytest.approx(1 / (1 + swapped_low[0]), rel=1e-3)
    assert 1 + low[1] == pytest.approx(1 / (1 + swapped_high[0]), rel=1e-3)


# Arguments


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: posterior([], []), r"exposures must be a 1-D array with at least one arm, but has shape \(0,\)"),
        (lambda: posterior([[1]], [[1]]), r"exposures must be a 1-D array .* shape \(1, 1\)"),
        (lambda: posterior([-1], [0]), "exposures must not be negative, but arm 0 has -1.0"),
        (lambda: posterior([9, 9], [1, math.nan]), "conversions must be finite, but arm 1 has nan"),
        (lambda: posterior([9, 9], [1]), "conversions must have one entry per arm, but has 1 for 2 arms"),
        (lambda: posterior([9, 9], [1, 10]), "conversions cannot exceed exposures, but arm 1 has 10.0 of 9.0"),
        (lambda: posterior([9], [1], prior=(0.0, 1.0)), "prior must be two numbers above 0, but got"),
        (lambda: posterior([9], [1], prior=(1,)), r"prior must be two numbers above 0, but got \(1,\)"),
        (lambda: posterior([9], [1], prior=None), "prior must be two numbers above 0, but got None"),
        (lambda: posterior([9], [1], prior=("1", 1)), "prior must be two numbers above 0, but got"),
        (lambda: posterior(["nine"], [1]), "exposures must be a number per arm, but got .'nine'"),
        (lambda: probability_best([1.0, 0.0], [1.0, 1.0]), "alpha must be above 0, but arm 1 has 0.0"),
        (lambda: expected_loss([1.0], [math.inf]), "beta must be finite, but arm 0 has inf"),
        (lambda: expected_loss([1.0], [1.0, 1.0]), "beta must have one entry per arm, but has 2 for 1 arms"),
        (lambda: lift_interval([1.0], [1.0], control=1), "control must be an arm between 0 and 0, but got 1"),
        (lambda: lift_interval([1.0], [1.0], control=-1), "control must be an arm between 0 and 0, but got -1"),
        (lambda: lift_interval([1.0], [1.0], control=0.5), "control must be an arm between 0 and 0, but got 0.5"),
        (lambda: lift_interval([1.0], [1.0], control="0"), "control must be an arm between 0 and 0, but got '0'"),
        (lambda: lift_interval([1.0], [1.0], control=None), "control must be an arm between 0 and 0, but got None"),
        (lambda: lift_interval([1.0], [1.0], control=0, level="95%"), r"level must be in \(0, 1\), but got '95%'"),
        (lambda: lift_interval([1.0], [1.0], control=0, level=1.0), r"level must be in \(0, 1\), but got 1.0"),
        (lambda: credible_interval([1.0], [1.0], level=math.nan), r"level must be in \(0, 1\), but got nan"),
        (
            lambda: thompson_shares([1.0] * 4, [1.0] * 4, floor=0.3),
            "floor must be between 0 and 1 / arms = 0.25, .* 0.3",
        ),
        (lambda: thompson_shares([1.0], [1.0], floor=-0.1), "floor must be between .* but got -0.1"),
        (lambda: thompson_shares([1.0], [1.0], floor=None), "floor must be between .* but got None"),
        (lambda: thompson_shares([1.0], [1.0], top_two="all"), r"top_two must be in \(0, 1\], but got 'all'"),
        (lambda: thompson_shares([1.0], [1.0], top_two=0.0), r"top_two must be in \(0, 1\], but got 0.0"),
        (
            lambda: with_control_share([0.4, 0.4], control=0, control_share=0.5),
            "shares must not be negative and sum to 1",
        ),
        (
            lambda: with_control_share([1.0], control=0, control_share=1.5),
            "control_share must be between 0 and 1, .* 1.5",
        ),
        (
            lambda: with_control_share([1.0], control=0, control_share="half"),
            "control_share must be between 0 and 1, but got 'half'",
        ),
        (lambda: with_control_share([1.0], control=None, control_share=0.5), "control must be an arm .* got None"),
        (lambda: with_control_share([1.0], control=3, control_share=0.5), "control must be an arm between 0 and 0"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
