"""The joint posterior: drift taken out, nothing paid where there is none, and strength shared through genes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import bandit, pooling

unhurried = settings(deadline=None)  # the machine may be busy; benchmarks measure time


def expected_counts(exposures, bases, lifts):
    """Give counts without noise: the model's own rates."""
    exposures = np.asarray(exposures, dtype=float)
    return exposures, exposures * np.outer(bases, np.exp(lifts))


def betas(exposures, conversions, **more):
    return pooling.fit(np.asarray(exposures, dtype=float), np.asarray(conversions, dtype=float), **more).betas()


def gene_world(additive, arms=60, visitors=1000, seed=5):
    """Give genes, log lifts and counts of arms with 4 slots of 3 options; `additive` of the variance is the genes'."""
    generator = np.random.default_rng(seed)
    genes = generator.integers(0, 3, (arms, 4))
    effects = generator.standard_normal((4, 3))[np.arange(4), genes].sum(axis=1)
    effects = (effects - effects.mean()) / effects.std()
    lifts = 0.2 * (math.sqrt(additive) * effects + math.sqrt(1 - additive) * generator.standard_normal(arms))
    exposures = np.full((1, arms), float(visitors))
    return genes.tolist(), lifts, exposures, generator.binomial(visitors, 0.05 * np.exp([lifts])).astype(float)


# Drift


def test_arms_that_pooled_counts_rank_wrongly_are_ranked_right():
    exposures, conversions = expected_counts([[9e4, 1e4], [5e4, 5e4], [1e4, 9e4]], [0.08, 0.04, 0.02], [0.0, 0.1])
    pooled = bandit.probability_best(*bandit.posterior(exposures.sum(axis=0), conversions.sum(axis=0)))
    assert pooled[1] < 0.001
    assert bandit.probability_best(*betas(exposures, conversions))[1] > 0.99


def test_without_drift_moved_shares_cost_nothing():
    # Epochs set free know the difference no better than the smaller arm of each; with no drift all epochs are one.
    exposures, conversions = expected_counts([[9500, 500], [500, 9500]] * 20, [0.04] * 40, [0.0, 0.0])
    fitted = pooling.fit(exposures, conversions)
    free = pooling.fit_within_epochs(exposures, conversions)
    assert fitted.learnt.step < 0.02
    width, free_width = (np.ptp([limit[1] for limit in found.lift(control=0)]) for found in (fitted, free))
    assert width < 0.5 * free_width


def test_the_posterior_of_many_conversions_without_drift_is_the_plain_one():
    exposures, conversions = expected_counts([[4e5, 3e5, 2e5, 1e5]] * 3, [0.04] * 3, [0.0, 0.05, -0.05, 0.1])
    alpha, beta = betas(exposures, conversions)
    assert alpha == pytest.approx(conversions.sum(axis=0), rel=0.01)
    assert beta == pytest.approx((exposures - conversions).sum(axis=0), rel=0.01)


def test_a_rate_that_falls_fourfold_does_not_move_the_lift():
    exposures, conversions = expected_counts([[9000, 1000], [5000, 5000], [1000, 9000]], [0.08, 0.04, 0.02], [0, 0.1])
    median, low, high = pooling.fit(exposures, conversions).lift(control=0)
    assert median[1] == pytest.approx(math.expm1(0.1), abs=0.03)
    assert low[1] < 0.1 < high[1]


def test_where_the_rate_drifts_hourly_epochs_are_set_nearly_free():
    generator = np.random.default_rng(3)
    bases = 0.04 * np.exp(0.5 * np.sin(np.arange(336) / 24 * 2 * np.pi))
    conversions = generator.binomial(150, np.outer(bases, [1.0, 1.1])).astype(float)
    assert 0.05 < pooling.fit(np.full((336, 2), 150.0), conversions).learnt.step < 0.5


def test_conversions_that_are_still_to_come_cancel_out():
    # Half of the last epoch's conversions are missing, alike in all arms.
    exposures = np.array([[5000.0, 5000.0], [1000.0, 9000.0]])
    conversions = exposures * 0.04 * [1.0, 1.2]
    whole, half = conversions.copy(), conversions.copy()
    half[1] /= 2
    lifts = [pooling.fit(exposures, counts).lift(control=0)[0][1] for counts in (whole, half)]
    assert lifts[1] == pytest.approx(lifts[0], abs=0.01)


# Alike arms


def test_a_new_arm_enters_at_the_average_of_the_others():
    alpha, beta = betas([[5e4, 5e4, 0]], [[2000, 2000, 0]])
    rates = alpha / (alpha + beta)
    assert rates[2] == pytest.approx(rates[0], rel=1e-3)
    assert 5 < alpha[2] < 30


def test_a_new_arm_is_believed_to_be_like_its_parents_but_less_so():
    counts = [[5e4, 5e4, 0]], [[2000, 2400, 0]]
    orphan, child = betas(*counts), betas(*counts, parents=[[], [], [1]])
    rates, orphan_rates = (alpha / (alpha + beta) for alpha, beta in (child, orphan))
    assert orphan_rates[2] < rates[2] < rates[1]


def test_parents_weigh_no_more_than_150_visitors():
    counts = [[5e4, 5e4, 1500]], [[2000, 2400, 60]]
    orphan, child = betas(*counts), betas(*counts, parents=[[], [], [1]])
    rates, orphan_rates = (alpha / (alpha + beta) for alpha, beta in (child, orphan))
    # 150 visitors beside 1,500 of its own and the common mean: less than a tenth of the way to the parent.
    assert 0 < rates[2] - orphan_rates[2] < 0.1 * (rates[1] - orphan_rates[2])


def test_arms_alike_are_found_to_be_alike():
    generator = np.random.default_rng(4)
    conversions = generator.binomial(5000, np.full((1, 50), 0.04)).astype(float)
    spread = generator.binomial(5000, 0.04 * np.exp(0.3 * generator.standard_normal((1, 50)))).astype(float)
    assert pooling.fit(np.full((1, 50), 5000.0), conversions).learnt.own < 0.08
    assert pooling.fit(np.full((1, 50), 5000.0), spread).learnt.own == pytest.approx(0.3, abs=0.08)


def test_before_any_data_lifts_have_the_usual_spread():
    fitted = pooling.fit(np.zeros((0, 3)), np.zeros((0, 3)))
    assert fitted.learnt.own == pytest.approx(pooling.USUAL_DEVIATION, rel=1e-3)
    assert fitted.mean.tolist() == [0, 0, 0]


# Genes


def test_genes_that_explain_much_bring_arms_nearer_to_the_truth():
    genes, lifts, exposures, conversions = gene_world(additive=0.9)
    errors = [
        np.abs(found.mean - found.mean.mean() - lifts + lifts.mean()).mean()
        for found in (pooling.fit(exposures, conversions, genes=genes), pooling.fit(exposures, conversions))
    ]
    assert errors[0] < 0.85 * errors[1]


def test_an_arm_without_visitors_is_judged_by_its_genes():
    genes, lifts, exposures, conversions = gene_world(additive=1.0, visitors=10_000)
    best = int(np.argmax(lifts))
    exposures[0, best] = conversions[0, best] = 0
    pooled, alone = (pooling.fit(exposures, conversions, genes=held) for held in (genes, None))
    assert pooled.mean[best] > pooled.mean.mean() + 0.1
    assert alone.mean[best] == pytest.approx(alone.mean.mean(), abs=0.05)


def test_pooling_switches_itself_off_where_genes_explain_nothing():
    genes, _, exposures, conversions = gene_world(additive=0.0, visitors=20_000, arms=120)
    pooled, alone = (pooling.fit(exposures, conversions, genes=held) for held in (genes, None))
    assert pooled.learnt.between < 0.35 * pooled.learnt.own
    assert pooled.betas()[0] == pytest.approx(alone.betas()[0], rel=0.05)


@pytest.mark.parametrize("genes", [[["a"], ["b"], ["c"]], [["a"], ["a"], ["a"]], [[], [], []]])
def test_slots_in_which_all_arms_agree_or_none_do_change_nothing(genes):
    counts = [[500, 600, 700]], [[20, 30, 28]]
    assert betas(*counts, genes=genes)[0].tolist() == betas(*counts)[0].tolist()


def test_more_options_than_arms_are_no_obstacle():
    generator = np.random.default_rng(6)
    genes = generator.integers(0, 4, (6, 30)).tolist()
    alpha, beta = betas(np.full((2, 6), 800.0), generator.binomial(800, 0.05, (2, 6)), genes=genes)
    assert abs(bandit.probability_best(alpha, beta).sum() - 1) < 1e-12


# Any counts


@unhurried
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=12, max_size=12),
    st.lists(st.lists(st.sampled_from("ab"), min_size=2, max_size=2), min_size=3, max_size=3),
)
def test_the_posterior_is_always_usable(epochs, cells, genes):
    exposures = np.array([n for n, _ in cells[: 3 * epochs]], dtype=float).reshape(epochs, 3)
    conversions = np.array([round(n * part) for n, part in cells[: 3 * epochs]], dtype=float).reshape(epochs, 3)
    fitted = pooling.fit(exposures, conversions, genes=genes)
    assert abs(bandit.probability_best(*fitted.betas()).sum() - 1) < 1e-12
    median, low, high = fitted.lift(control=0)
    assert (low[1:] <= median[1:]).all()
    assert np.isfinite(high[1:]).all()


@unhurried
@given(st.permutations(range(4)))
def test_relabelling_arms_relabels_the_posterior(order):
    exposures = np.array([[900, 300, 500, 0], [500, 700, 100, 400]], dtype=float)
    conversions = np.array([[40, 15, 30, 0], [30, 41, 2, 9]], dtype=float)
    genes = [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]
    before = betas(exposures, conversions, genes=genes)[0]
    after = betas(exposures[:, order], conversions[:, order], genes=[genes[place] for place in order])[0]
    assert after == pytest.approx(before[order], rel=1e-6)


def test_a_repeated_call_gives_the_same_bits():
    genes, _, exposures, conversions = gene_world(additive=0.5)
    first, second = (pooling.fit(exposures, conversions, genes=genes) for _ in range(2))
    assert first.mean.tobytes() == second.mean.tobytes()
    assert first.covariance.tobytes() == second.covariance.tobytes()


def test_a_part_of_the_arms_is_compared_among_itself():
    exposures, conversions = expected_counts([[4e4, 3e4, 10]], [0.04], [0.0, 0.05, 0.0])
    alpha, _ = pooling.fit(exposures, conversions).betas([0, 1])
    assert len(alpha) == 2


def test_a_single_arm_has_its_own_counts_and_the_priors():
    alpha, beta = betas([[1000.0]], [[40.0]])
    assert alpha[0] / (alpha[0] + beta[0]) == pytest.approx(0.04, rel=0.02)
    assert 40 < alpha[0] < 60


def test_intervals_cover_the_truth_when_the_rate_doubles_and_shares_follow_the_bandit():
    generator = np.random.default_rng(20)
    runs, covered, errors = 60, 0, []
    for _ in range(runs):
        exposures, conversions, shares = [], [], np.array([0.5, 0.5])
        for epoch in range(48):
            exposures.append(generator.multinomial(1500, shares))
            base = 0.04 * (2 if epoch >= 24 else 1)
            conversions.append(generator.binomial(exposures[-1], base * np.array([1.0, 1.1])))
            if epoch % 4 == 3:
                found = betas(exposures, conversions)
                shares = bandit.thompson_shares(*found, floor=0.01)
        median, low, high = pooling.fit(np.array(exposures, float), np.array(conversions, float)).lift(control=0)
        covered += low[1] <= 0.1 <= high[1]
        errors.append(median[1] - 0.1)
    # Nominal 0.95; four standard errors of a binomial share.
    assert covered / runs > 0.95 - 4 * math.sqrt(0.95 * 0.05 / runs)
    assert abs(np.mean(errors)) < 0.03
