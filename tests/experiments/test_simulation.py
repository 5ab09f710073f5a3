"""Simulated worlds are what they say they are; rivals follow their published rules; ours calls the product's engine."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments import allocation, bandit, inference, pooling, simulation
from experiments.simulation import History, Ours, World, drawn, fixed, gene_built
from experiments.study import proving

TWO = np.array([0.04, 0.06])


def generator(seed=7):
    return np.random.default_rng(seed)


def world(rates=TWO, **changes):
    values: dict[str, Any] = {"key": "w", "says": "", "ticks": 20, "batch": 500, "draw": fixed(np.asarray(rates))}
    return World(**(values | changes))


def seen(exposures, conversions, batch=500):
    """Return a history of one run and one tick."""
    return History(
        exposures=np.array([[exposures]], dtype=float),
        conversions=np.array([[conversions]], dtype=float),
        batch=batch,
        genes=None,
        generator=generator(),
    )


# Worlds


def test_every_tick_has_its_batch_and_no_more_conversions_than_visitors():
    outcome = simulation.simulate(world(), simulation.equal_split, generator(), 5)
    assert (outcome.exposures.sum(axis=2) == 500).all()
    assert (outcome.conversions <= outcome.exposures).all()
    assert outcome.shares.sum(axis=2) == pytest.approx(1)


def test_the_same_seed_gives_the_same_runs():
    first, second = (simulation.simulate(world(), Ours(), generator(), 2) for _ in range(2))
    assert (first.exposures == second.exposures).all()
    assert (first.conversions == second.conversions).all()


def test_an_equal_split_loses_what_its_regret_says():
    outcome = simulation.simulate(world(), simulation.equal_split, generator(), 50)
    assert outcome.equal_regret() == pytest.approx(np.full(50, 20 * 500 * 0.01))
    assert outcome.regret()[:, -1].mean() == pytest.approx(100, rel=0.02)
    assert outcome.gain() == pytest.approx(0, abs=0.03)


def test_rates_follow_the_base():
    drifting = world(ticks=48, batch=100_000, base=simulation.doubling(48))
    outcome = simulation.simulate(drifting, simulation.equal_split, generator(), 1)
    rates = outcome.conversions[0].sum(axis=1) / outcome.exposures[0].sum(axis=1)
    assert rates[24:].mean() / rates[:24].mean() == pytest.approx(2, rel=0.02)


def test_a_week_has_nights_and_weekends():
    base = simulation.weekly(336)
    assert base[:24].max() / base[:24].min() == pytest.approx(1.4 / 0.6, rel=0.01)
    assert base[120:144].sum() / base[:24].sum() == pytest.approx(1.6)


def test_delayed_conversions_arrive_as_the_exponential_law_has_it():
    shown = {}

    def spy(history):
        shown[history.exposures.shape[1]] = history.conversions[0].sum(axis=1)
        return simulation.equal_split(history)

    late = world([0.5], ticks=12, batch=200_000, delay_ticks=4.0)
    outcome = simulation.simulate(late, spy, generator(), 1)
    arrived = shown[11] / outcome.conversions[0, :11].sum(axis=1)
    assert arrived == pytest.approx(simulation.matured(np.arange(10, -1, -1.0), 4.0), abs=0.01)


def test_genes_explain_the_part_of_the_variance_they_are_said_to():
    draw = gene_built(slots=4, options=5, arms=200, mean=0.03, deviation=0.006, additive=0.7)
    pages = draw(generator(), 40)
    assert pages.genes is not None
    explained = []
    for rates, genes in zip(pages.rates, pages.genes, strict=True):
        columns = np.hstack([np.eye(5)[genes[:, slot]] for slot in range(4)])
        fitted = columns @ np.linalg.lstsq(columns, rates, rcond=None)[0]
        explained.append(np.var(fitted) / np.var(rates))
    # Sixteen free effects explain a part of the rest by chance: 16 / 199 of 30 %.
    assert np.mean(explained) == pytest.approx(0.7 + 0.3 * 16 / 199, abs=0.03)


# Ours


def test_ours_is_the_products_posterior_and_shares():
    exposures, conversions = np.array([[500.0, 480.0, 520.0]] * 3), np.array([[20.0, 24.0, 30.0]] * 3)
    history = History(
        exposures=exposures[None], conversions=conversions[None], batch=500, genes=None, generator=generator()
    )
    alpha, beta = pooling.fit(exposures, conversions).betas()
    expected = bandit.with_control_share(
        bandit.thompson_shares(alpha, beta, floor=0.02 / 3, top_two=0.9), control=0, control_share=0.2
    )
    found = Ours(top_two=0.9, control_share=0.2)(history)[0]
    assert found.tolist() == expected.tolist()


def test_the_study_of_learning_mixes_as_the_product_does():
    assert proving.LEARN.top_two == allocation.TOP_TWO["learn"]


# Rivals


def test_growthbook_waits_for_a_hundred_visitors_in_every_arm():
    assert simulation.growthbook(seen([400, 99], [10, 9])).tolist() == [[0.5, 0.5]]
    later = simulation.growthbook(seen([4000, 4000], [100, 200]))[0]
    assert later == pytest.approx([0.01, 0.99])


def test_growthbook_never_moves_with_a_hundred_arms():
    shares = simulation.growthbook(seen([4000] * 100, [100] * 99 + [400]))[0]
    assert set(shares) == {0.01}


def test_epsilon_greedy_gives_a_tenth_evenly():
    assert simulation.epsilon_greedy(seen([100, 100], [3, 6]))[0] == pytest.approx([0.05, 0.95])


def test_thompson_by_draws_is_thompson():
    history = seen([400, 400], [16, 20], batch=500)
    drawn_shares = np.mean([simulation.thompson_by_draws(history)[0] for _ in range(40)], axis=0)
    exact = simulation.FlatThompson()(history)[0]
    assert drawn_shares == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 20_000))


@pytest.mark.parametrize("policy", [simulation.ucb1, simulation.kl_ucb])
def test_index_policies_try_every_arm_and_then_prefer_the_better(policy):
    first = policy(seen([1, 0], [0, 0]))[0]
    assert first == pytest.approx([0.5, 0.5], abs=0.1)
    # A hundred thousand visitors leave no doubt.
    later = policy(seen([50_000, 50_000], [2_000, 10_000]))[0]
    assert later.tolist() == [0.0, 1.0]


def test_the_bound_of_lai_and_robbins_worked_by_hand():
    divergence = 0.04 * math.log(0.04 / 0.06) + 0.96 * math.log(0.96 / 0.94)
    assert simulation.lai_robbins(TWO) == pytest.approx(0.02 / divergence)


# Outlook


# The study, in seconds: claims with four standard errors to spare


def measured(name, size=proving.TINY):
    cell = next(cell for cell in proving.cells(size) if cell.name == name)
    return {key: np.array(values) for key, values in cell.compute(0).items()}


def test_every_cell_has_a_name_of_its_own():
    names = [cell.name for cell in proving.cells(proving.SHORT)]
    assert len(set(names)) == len(names)


def test_earning_loses_far_less_than_an_equal_split():
    coarse = replace(proving.WORLDS[1], ticks=20, batch=1_000)
    ratio = np.array(proving.regret(coarse, proving.EARN, generator(2), 12)["ratio"])
    # 0.36 with a standard deviation of 0.3 between runs: four standard errors.
    assert ratio.mean() < 0.36 + 4 * 0.3 / math.sqrt(len(ratio))


def test_the_corrected_lift_is_nearer_than_the_pooled_one_when_the_rate_doubles():
    found = measured("lift/doubling half way/earn")
    assert abs(found["error"]).mean() < abs(found["pooled error"]).mean()
    assert found["covered"].mean() >= 0.5  # of eight runs, where 0.95 are expected


def test_equal_arms_name_no_winner():
    found = measured("A/A/2 arms, weekly/learn")
    # The bound is 5 %: three of six would happen once in five hundred.
    assert np.maximum(found["right"], found["wrong"]).sum() <= 2


def test_probability_best_is_calibrated():
    found = proving.calibration(2, 5_000, generator(3), 300)
    said, was = np.array(found["said"]), np.array(found["was"])
    for decile in range(10):
        inside = np.minimum((said * 10).astype(int), 9) == decile
        error = math.sqrt(0.25 / max(inside.sum(), 1))
        assert abs(said[inside].mean() - was[inside].mean()) < 4 * error


def test_a_sound_split_is_seldom_called_broken_and_a_broken_one_always():
    sound = np.array(proving.splits(2, 0.0, generator(4), 30)["alarm"])
    assert sound.mean() < 0.015 + 4 * math.sqrt(0.015 * 0.985 / 30)
    assert np.mean(proving.splits(2, 0.1, generator(5), 4)["alarm"]) == 1.0


def test_a_proof_round_undoes_the_winners_curse():
    draw = drawn(0.04, 0.05, 10)
    small = World(key="p", says="", ticks=6, batch=3_000, draw=draw)
    found = proving.proofs(small, Ours(), 400_000, generator(6), 20)
    error = np.array(found["error"])
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(len(error))


def test_evidence_finds_a_lift_of_ten_percent_in_half_a_million_visitors():
    exposures = np.full((100, 2), 2_500.0)
    conversions = generator(8).binomial(2_500, np.array([0.04, 0.044]), (100, 2)).astype(float)
    first = proving.first_wins(exposures, conversions)
    assert np.isfinite(first[1])
    assert np.isinf(first[0])
    assert inference.evidence_path(1, exposures, conversions)[int(first[1]) - 1, 0] > 40
