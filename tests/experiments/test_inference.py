"""Lifts, the split of traffic, evidence and verdicts against hand-worked cases, closed forms and simulations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from experiments import pooling
from experiments.bandit import lift_interval, posterior, probability_best, thompson_shares
from experiments.inference import (
    FALSE_WINNER_RATE,
    SampleRatio,
    VerdictState,
    e_values,
    evidence_against,
    evidence_for,
    evidence_path,
    replay,
    sample_ratio,
    stratified_lift,
    verdict,
    winner_threshold,
)

unhurried = settings(deadline=None)  # the machine may be busy; benchmarks measure time
FITS = SampleRatio(p_value=0.5, ok=True)
BROKEN = SampleRatio(p_value=1e-6, ok=False)


def expected_counts(exposures, bases, lifts):
    """Give counts without noise: the model's own rates."""
    exposures = np.asarray(exposures, dtype=float)
    return exposures, exposures * np.outer(bases, np.exp(lifts))


# Lifts


def test_drift_of_the_base_rate_does_not_move_the_lift():
    # Traffic moves to the better arm while the rate falls fourfold: pooled, the better arm looks worse.
    exposures, conversions = expected_counts([[9000, 1000], [5000, 5000], [1000, 9000]], [0.08, 0.04, 0.02], [0, 0.1])
    pooled = conversions.sum(axis=0) / exposures.sum(axis=0)
    median, low, high = stratified_lift(exposures, conversions, control=0)
    assert pooled[1] < pooled[0]
    assert low[1] < median[1] < high[1]
    assert median[1] == pytest.approx(math.expm1(0.1), abs=0.03)


@unhurried
@given(st.lists(st.floats(0.3, 3), min_size=3, max_size=3))
def test_multiplying_the_base_rates_moves_the_lift_by_no_more_than_their_weights(factors):
    # Without noise every epoch shows the same lift; the factors only change how much each knows.
    exposures = np.array([[4e6, 2e6, 3e6], [3e6, 4e6, 1e6], [1e6, 5e6, 2e6]])
    lifts = np.array([0.0, 0.1, -0.2])
    _, conversions = expected_counts(exposures, 0.03 * np.array(factors), lifts)
    median, _, _ = stratified_lift(exposures, conversions, control=0)
    assert median[1:] == pytest.approx(np.expm1(lifts[1:]), abs=2e-3)


@unhurried
@given(st.permutations(range(4)))
def test_the_order_of_epochs_does_not_matter(order):
    exposures = np.array([[900, 300], [500, 700], [0, 800], [400, 400]])
    conversions = np.array([[40, 15], [30, 41], [0, 30], [11, 9]])
    before = stratified_lift(exposures, conversions, control=0)
    after = stratified_lift(exposures[order], conversions[order], control=0)
    assert [x[1] for x in after] == pytest.approx([x[1] for x in before], abs=1e-9)


def test_relabelling_arms_relabels_lifts():
    exposures, conversions = np.array([[900, 800, 700]]), np.array([[40, 45, 25]])
    before = stratified_lift(exposures, conversions, control=0)
    after = stratified_lift(exposures[:, [2, 0, 1]], conversions[:, [2, 0, 1]], control=1)
    for old, new in zip(before, after, strict=True):
        assert new[[2, 0]] == pytest.approx(old[[1, 2]], abs=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_one_epoch_with_many_conversions_agrees_with_the_plain_ratio(rate):
    exposures = np.array([400_000.0, 300_000.0])
    conversions = exposures * rate * [1.0, 1.1]
    stratified = stratified_lift([exposures], [conversions], control=0)
    plain = lift_interval(*posterior(exposures, conversions), control=0)
    width = plain[2][1] - plain[1][1]
    for ours, theirs in zip(stratified, plain, strict=True):
        assert ours[1] == pytest.approx(theirs[1], abs=0.1 * width)


def test_the_mode_solves_the_score_equation_of_one_epoch():
    # With two arms and d the log lift: s1 - m q = d / (2 tau^2), q = n1 e^d / (n0 + n1 e^d).
    median, _, _ = stratified_lift([[1000, 2000]], [[30, 90]], control=0)
    d = math.log1p(median[1])
    q = 2000 * math.exp(d) / (1000 + 2000 * math.exp(d))
    assert 90 - 120 * q == pytest.approx(d / (2 * 0.25**2), abs=1e-6)


def test_epochs_without_the_control_still_compare_the_others():
    exposures = np.array([[1000, 1000, 0], [0, 50_000, 50_000]])
    with_later = stratified_lift(exposures, [[40, 40, 0], [0, 2000, 2600]], control=0)
    without = stratified_lift(exposures[:1], [[40, 40, 0]], control=0)
    assert with_later[0][2] > without[0][2] + 0.1


def test_an_arm_without_data_has_the_wide_interval_of_the_prior():
    _, low, high = stratified_lift([[100_000, 100_000, 0]], [[4000, 4000, 0]], control=0)
    assert math.log1p(high[2]) > 1.96 * 0.25
    assert high[2] - low[2] > 5 * (high[1] - low[1])


@pytest.mark.parametrize("epochs", [0, 3])
def test_without_any_data_every_lift_has_the_interval_of_the_prior(epochs):
    median, low, high = stratified_lift(np.zeros((epochs, 3)), np.zeros((epochs, 3)), control=1)
    margin = 1.959964 * 0.25 * math.sqrt(2)
    assert np.isnan([median[1], low[1], high[1]]).all()
    assert (median[0], low[0], high[0]) == pytest.approx((0, math.expm1(-margin), math.expm1(margin)), abs=1e-6)


def test_nobody_or_everybody_converting_gives_finite_limits():
    for conversions in ([[0, 0]], [[500, 500]], [[0, 500]]):
        limits = np.array(stratified_lift([[500, 500]], conversions, control=0))[:, 1]
        assert np.isfinite(limits).all()
        assert limits[1] < limits[0] < limits[2]


def test_counts_need_not_be_whole():
    median, low, high = stratified_lift([[1000.5, 900.25]], [[40.5, 45.75]], control=0)
    assert low[1] < median[1] < high[1]


def adaptive_experiment(generator, lifts, epochs=14, visitors=2000):
    """Run Thompson sampling on pooled counts under a strong daily and weekly drift: hard on every interval."""
    arms = len(lifts)
    exposures, conversions, shares = [], [], np.full(arms, 1 / arms)
    for epoch in range(epochs):
        base = 0.04 * (1 + 0.5 * math.sin(epoch / 2)) * (1.6 if epoch % 7 >= 5 else 1)
        exposures.append(generator.multinomial(visitors, shares))
        conversions.append(generator.binomial(exposures[-1], base * np.exp(lifts)))
        alpha, beta = posterior(np.sum(exposures, axis=0), np.sum(conversions, axis=0))
        shares = thompson_shares(alpha, beta, floor=0.02)
    return np.array(exposures, dtype=float), np.array(conversions, dtype=float)


def test_intervals_cover_the_truth_under_drift_and_moving_shares():
    generator = np.random.default_rng(20)
    runs = 150
    covered = 0
    for _ in range(runs):
        lifts = np.array([0.0, 0.1 * generator.standard_normal()])
        _, low, high = stratified_lift(*adaptive_experiment(generator, lifts), control=0)
        covered += low[1] <= math.expm1(lifts[1]) <= high[1]
    # Nominal 0.95; four standard errors of a binomial share.
    assert covered / runs > 0.95 - 4 * math.sqrt(0.95 * 0.05 / runs)


# The split of traffic


def test_the_split_is_compared_with_the_shares_of_each_epoch():
    assert sample_ratio([[900, 100], [100, 900]], [[0.9, 0.1], [0.1, 0.9]]) == SampleRatio(p_value=1.0, ok=True)


def test_the_p_value_is_the_chi_square_tail_worked_by_hand():
    # 1000 and 1000 expected, 1050 and 950 seen: 2500 / 1000 + 2500 / 1000 = 5 on one degree of freedom.
    split = sample_ratio([[1050, 950]], [[0.5, 0.5]])
    assert split.p_value == pytest.approx(math.erfc(math.sqrt(5 / 2)), rel=1e-12)
    assert split.ok


def test_losing_a_tenth_of_one_arm_is_noticed():
    assert not sample_ratio([[9000, 10_000]] * 5, [[0.5, 0.5]] * 5).ok


def test_arms_that_expect_few_visitors_are_one_cell():
    split = sample_ratio([[980, 1, 9, 5, 5]], [[0.98, 0.004, 0.004, 0.004, 0.008]])
    observed, expected = [980, 5, 15], [980, 8, 12]
    assert split.p_value == pytest.approx(stats.chisquare(observed, expected).pvalue, rel=1e-9)


def test_a_rest_too_small_for_a_cell_joins_the_smallest_arm():
    split = sample_ratio([[790, 202, 8]], [[0.796, 0.2, 0.004]])
    assert split.p_value == pytest.approx(stats.chisquare([790, 210], [796, 204]).pvalue, rel=1e-9)


def test_visitors_where_none_were_sent_break_the_split():
    assert sample_ratio([[1000, 1]], [[1.0, 0.0]]) == SampleRatio(p_value=0.0, ok=False)


@pytest.mark.parametrize("exposures", [[[0, 0]], [[1, 2]], [[3, 500]]])
def test_too_few_visitors_for_two_cells_break_nothing(exposures):
    assert sample_ratio(exposures, [[0.006, 0.994]]) == SampleRatio(p_value=1.0, ok=True)


# Evidence


def test_the_e_value_is_the_mixture_of_exact_likelihood_ratios():
    # One epoch, 1000 visitors each, 30 and 60 conversions: of 90, the second expects half if it is no better.
    def weighted_likelihood(log_lift):
        lift = math.exp(log_lift)
        part = math.exp(lift) / (1 + math.exp(lift))
        ratio = (part / 0.5) ** 60 * ((1 - part) / 0.5) ** 30
        return stats.norm.pdf(log_lift, math.log(0.1), 0.35) * ratio

    expected, _ = integrate.quad(weighted_likelihood, math.log(0.008), math.log(0.9))
    assert evidence_for(1, [[1000, 1000]], [[30, 60]])[0] == pytest.approx(expected, rel=1e-3)


def test_no_split_of_equal_arms_conversions_is_expected_to_give_evidence():
    # Given m conversions of equal arms, s is hypergeometric: summed over all s the e-value is at most 1, exactly.
    shown, converted = np.array([60.0, 20.0]), 12
    chances = stats.hypergeom(80, 60, converted)
    expected = sum(chances.pmf(s) * evidence_for(0, [shown], [[s, converted - s]])[1] for s in range(converted + 1))
    assert 0.9 < expected <= 1


def test_the_path_of_evidence_ends_where_evidence_is():
    exposures = np.array([[900.0, 800, 700], [300, 0, 900], [500, 400, 300]])
    conversions = np.array([[40.0, 45, 20], [10, 0, 41], [20, 30, 10]])
    path = evidence_path(2, exposures, conversions)
    for look in range(3):
        now = evidence_for(2, exposures[: look + 1], conversions[: look + 1])
        assert path[look] == pytest.approx(now, rel=1e-12)


def test_evidence_adds_over_epochs_and_ignores_drift_between_them():
    exposures = np.array([[900.0, 100.0], [100.0, 900.0]])
    _, conversions = expected_counts(exposures, [0.08, 0.02], [0.0, 0.0])
    # Pooled, the first arm has 7.4 % and the second 2.6 %; within epochs they are equal.
    assert (e_values(exposures, conversions) <= 1).all()


def test_each_row_is_the_evidence_for_its_arm():
    exposures, conversions = [[900, 800, 700], [300, 0, 900]], [[40, 45, 20], [10, 0, 41]]
    matrix = e_values(exposures, conversions)
    assert matrix[2].tolist() == evidence_for(2, exposures, conversions).tolist()
    assert matrix[:, 2] == pytest.approx(evidence_against(2, exposures, conversions), rel=1e-12)
    assert np.diag(matrix).tolist() == [1.0, 1.0, 1.0]


def test_arms_that_never_ran_together_have_no_evidence_between_them():
    assert e_values([[1000, 0], [0, 1000]], [[10, 0], [0, 90]]) == pytest.approx(np.ones((2, 2)))


def test_overwhelming_evidence_is_finite():
    assert math.isfinite(evidence_for(1, [[1e8, 1e8]], [[1e6, 9e7]])[0])


def test_equal_arms_seldom_win_however_often_one_looks():
    generator = np.random.default_rng(21)
    runs, looks = 400, 100
    wins = 0
    for _ in range(runs):
        exposures = np.full((looks, 2), 250.0)
        conversions = generator.binomial(250, 0.04, (looks, 2)).astype(float)
        u = np.cumsum((conversions[:, 1] - conversions[:, 0]) / 2)
        likely = [look for look in range(looks) if abs(u[look]) > 20]  # far from any evidence otherwise
        wins += any(
            e_values(exposures[: look + 1], conversions[: look + 1]).max() > winner_threshold(2) for look in likely
        )
    assert wins / runs < FALSE_WINNER_RATE + 4 * math.sqrt(0.05 * 0.95 / runs)


# Replay


def test_an_equal_split_replayed_is_what_it_earned():
    found = replay([[500, 500], [400, 600]], [[20, 30], [10, 30]], [[0.5, 0.5], [0.5, 0.5]])
    assert found.earned == 90
    assert found.equal == pytest.approx(90)
    assert found.low < 90 < found.high


def test_replay_weighs_visitors_by_their_propensities():
    # 900 visitors at 4 % and 100 at 2 %: half and half they would have brought 20 + 10.
    found = replay([[900, 100]], [[36, 2]], [[0.9, 0.1]])
    assert found.earned == 38
    assert found.equal == pytest.approx(30)


def test_an_arm_that_was_not_live_has_no_part_in_the_equal_split():
    found = replay([[900, 100, 0], [500, 250, 250]], [[36, 2, 0], [20, 10, 5]], [[0.9, 0.1, 0], [0.5, 0.25, 0.25]])
    first, second = (
        replay([[900, 100]], [[36, 2]], [[0.9, 0.1]]),
        replay([[500, 250, 250]], [[20, 10, 5]], [[0.5, 0.25, 0.25]]),
    )
    assert found.equal == pytest.approx(first.equal + second.equal)


def test_replay_covers_what_an_equal_split_would_have_earned():
    generator = np.random.default_rng(22)
    runs, covered = 300, 0
    for _ in range(runs):
        shares = generator.dirichlet([2.0, 1.0, 1.0], 20)
        exposures = generator.multinomial(500, shares).astype(float)
        rates = 0.05 * np.array([1.0, 1.2, 0.8]) * (1 + 0.4 * np.sin(np.arange(20)))[:, None]
        conversions = generator.binomial(exposures.astype(int), rates).astype(float)
        found = replay(exposures, conversions, shares)
        covered += int(found.low <= 500 * rates.mean(axis=1).sum() <= found.high)
    # Nominal 0.95, less four standard errors and a little for the skewness of rare arms.
    assert covered / runs > 0.95 - 4 * math.sqrt(0.95 * 0.05 / runs) - 0.02


def test_nobody_and_shares_of_another_shape():
    nothing = replay([[0, 0]], [[0, 0]], [[0.5, 0.5]])
    assert (nothing.earned, nothing.equal) == (0, 0)
    with pytest.raises(ValueError, match="shares must have the shape of exposures"):
        replay([[5, 5]], [[1, 1]], [[1.0]])


# Verdict


def judged(exposures, conversions, *, loss=0.001, minimum=100, ratio=FITS, control=0):
    best = probability_best(*pooling.fit(np.array(exposures, float), np.array(conversions, float)).betas())
    return verdict(
        exposures,
        conversions,
        control=control,
        probability_best=best,
        expected_loss=np.full(len(best), loss),
        sample_ratio=ratio,
        minimum_exposures=minimum,
    )


def test_a_broken_split_is_said_before_anything_else():
    found = judged([[50_000, 50_000]], [[1000, 2000]], ratio=BROKEN)
    assert found.state == VerdictState.CANNOT_BE_TRUSTED
    assert found.leader is None
    assert found.sample_ratio_p_value == 1e-6


def test_too_few_visitors_are_collecting_and_say_how_many_are_missing():
    found = judged([[60, 500]], [[3, 90]])
    assert (found.state, found.leader, found.exposures_missing) == (VerdictState.COLLECTING, None, 40)


def test_no_conversions_at_all_are_collecting():
    assert judged([[5000, 5000]], [[0, 0]]).state == VerdictState.COLLECTING


def test_one_arm_alone_is_collecting():
    assert judged([[5000]], [[100]]).state == VerdictState.COLLECTING


def test_strong_evidence_decides():
    found = judged([[50_000, 50_000]], [[2000, 2400]])
    assert (found.state, found.leader) == (VerdictState.DECIDED, 1)
    assert found.evidence is not None
    assert found.evidence > found.evidence_needed == 40


def test_a_probability_above_95_percent_alone_only_leans():
    found = judged([[10_000, 10_000]], [[400, 460]])
    assert found.probability_best is not None
    assert found.probability_best > 0.95
    assert (found.state, found.leader) == (VerdictState.LEANING, 1)


def test_the_winner_has_to_beat_every_arm():
    found = judged([[50_000, 50_000, 50_000]], [[2000, 2400, 2390]])
    assert found.state == VerdictState.LEANING


def test_a_starved_arm_does_not_hold_up_the_verdict():
    # Thompson sampling starves poor arms on purpose: only leader and control need the minimum.
    assert judged([[50_000, 50_000, 50]], [[2000, 2400, 0]], minimum=1000).state == VerdictState.LEANING


def test_a_control_that_costs_nothing_to_keep_is_no_difference():
    found = judged([[500_000, 500_000]], [[20_000, 20_010]], loss=0.0001)
    assert found.state == VerdictState.NO_DIFFERENCE
    assert found.control_relative_loss == pytest.approx(0.0001 / 0.04002)


# Arguments


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stratified_lift([1, 2], [0, 1], control=0), r"exposures must have a row per epoch .* shape \(2,\)"),
        (lambda: stratified_lift([[]], [[]], control=0), r"exposures must have a row per epoch .* shape \(1, 0\)"),
        (
            lambda: stratified_lift([[5, 5]], [[1]], control=0),
            r"conversions must have the shape of exposures, \(1, 2\)",
        ),
        (
            lambda: stratified_lift([[5, -5]], [[1, 1]], control=0),
            "exposures must be finite and not negative, .* -5.0 at",
        ),
        (lambda: stratified_lift([[5, 5]], [[1, math.nan]], control=0), "conversions must be .* nan at epoch 0, arm 1"),
        (
            lambda: stratified_lift([[5, 5]], [[1, 6]], control=0),
            "conversions cannot exceed .* epoch 0, arm 1 has 6.0 of 5",
        ),
        (lambda: stratified_lift([[5, 5]], [[1, 1]], control=2), "control must be an arm between 0 and 1, but got 2"),
        (lambda: stratified_lift([[5, 5]], [[1, 1]], control=0.5), "control must be an arm .* but got 0.5"),
        (lambda: stratified_lift([[5, 5]], [[1, 1]], control="0"), "control must be an arm .* but got '0'"),
        (
            lambda: stratified_lift([[5, 5]], [[1, 1]], control=0, level=None),
            r"level must be in \(0, 1\), but got None",
        ),
        (lambda: stratified_lift([["a"]], [[1]], control=0), "exposures must be a number per epoch and arm, but got"),
        (lambda: stratified_lift([[5, 5]], [[1, 1]], control=0, level=0.0), r"level must be in \(0, 1\), but got 0.0"),
        (
            lambda: sample_ratio([[5, 5]], [[0.5, 0.4]]),
            "shares must sum to 1 in every epoch, but sum to 0.9 in epoch 0",
        ),
        (lambda: sample_ratio([[5, 5]], [[1.0]]), r"shares must have the shape of exposures, \(1, 2\)"),
        (lambda: evidence_for(2, [[5, 5]], [[1, 1]]), "arm must be between 0 and 1, but got 2"),
        (lambda: evidence_for(None, [[5, 5]], [[1, 1]]), "arm must be between 0 and 1, but got None"),
        (lambda: judged([[5, 5]], [[1, 1]], control=2), "control must be an arm between 0 and 1, but got 2"),
        (
            lambda: judged([[5, 5]], [[1, 1]], loss=math.nan),
            r"expected_loss must be finite with one entry per arm \(2\)",
        ),
    ],
)
def test_a_bad_argument_is_named_with_its_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
