"""Credit goes where it belongs, and nothing is claimed that is not so."""

import numpy as np
import pytest

from experiments import credit, pooling
from experiments.credit import Birth
from variants.breeding import Operator

SLOTS = ("headline", "layout", "palette")


def fitted(exposures, conversions, held):
    posterior = pooling.fit(exposures, conversions, genes=[list(genes.values()) for genes in held])
    return posterior, credit.likelihood(posterior, exposures, conversions)


def pages(arms: int, seed: int = 3) -> list[dict[str, str]]:
    drawn = np.random.default_rng(seed).integers(0, 3, (arms, len(SLOTS)))
    return [dict(zip(SLOTS, map(str, row), strict=True)) for row in drawn]


def counts(log_lifts, visitors=4_000.0, epochs=3, rate=0.05):
    exposures = np.full((epochs, len(log_lifts)), visitors)
    return exposures, exposures * rate * np.exp(log_lifts)


def test_the_likelihood_is_highest_where_the_rates_are():
    truth = np.array([0.0, 0.1, -0.2, 0.3])
    exposures, conversions = counts(truth)
    posterior = pooling.fit(exposures, conversions)
    seen = credit.likelihood(posterior, exposures, conversions)
    found = np.linalg.lstsq(seen.information, seen.score, rcond=None)[0]
    assert found - found.mean() == pytest.approx(truth - truth.mean(), abs=0.01)


def test_a_planted_gene_ranks_first_and_its_lift_is_found():
    held = pages(24)
    exposures, conversions = counts([0.2 * (page["layout"] == "1") for page in held])
    posterior, seen = fitted(exposures, conversions, held)
    first = credit.genes(posterior, seen, held)[0]
    assert (first.slot, first.option) == ("layout", "1")
    assert first.credit.low < np.expm1(0.2) < first.credit.high


def test_a_gene_that_travels_with_a_good_one_gets_less_credit():
    held = pages(24)
    for page in held[:16]:
        page["palette"] = page["layout"]
    exposures, conversions = counts([0.2 * (page["layout"] == "1") for page in held])
    posterior, seen = fitted(exposures, conversions, held)
    found = {(gene.slot, gene.option): gene.credit for gene in credit.genes(posterior, seen, held)}
    assert found["layout", "1"].low > found["palette", "1"].low


def test_a_slot_in_which_all_pages_agree_has_no_credit():
    held = [{**page, "palette": "same"} for page in pages(12)]
    exposures, conversions = counts(np.zeros(12))
    posterior, seen = fitted(exposures, conversions, held)
    assert {gene.slot for gene in credit.genes(posterior, seen, held)} == {"headline", "layout"}


def test_directions_are_compared_with_all_others():
    exposures, conversions = counts([0.3, 0.3, 0.0, 0.0])
    posterior = pooling.fit(exposures, conversions)
    (first, found), _ = credit.directions(posterior, ["a", "a", "b", "b"])
    assert first == "a"
    assert 0 < found.low < found.lift < found.high


def births(children, operator=Operator.CROSSOVER, epoch=0):
    return [Birth(child=child, against=(0, 1), operator=operator, epoch=epoch) for child in children]


def test_an_operator_is_credited_with_what_its_children_have_over_their_parents():
    exposures, conversions = counts([0.0, 0.2, *[-0.1] * 6, *[0.3] * 6])
    posterior = pooling.fit(exposures, conversions)
    bred = [*births(range(2, 8)), *births(range(8, 14), Operator.MUTATION)]
    found = credit.operators(credit.likelihood(posterior, exposures, conversions), bred)
    # Half of a mean child's lift and more is believed: the rest is what was expected of it before.
    assert -0.2 <= found[Operator.CROSSOVER].mean < -0.1
    assert 0.1 < found[Operator.MUTATION].mean <= 0.2
    assert found[Operator.MUTATION].credit.arms == 6


def test_an_operator_without_children_is_what_was_expected_of_it():
    exposures, conversions = counts(np.zeros(3))
    seen = credit.likelihood(pooling.fit(exposures, conversions), exposures, conversions)
    found = credit.operators(seen, [], wanted=[Operator.CROSSOVER, Operator.FRESH], fresh=-0.2)
    assert found[Operator.CROSSOVER].mean == pytest.approx(0.0)
    assert found[Operator.FRESH].mean == pytest.approx(-0.2)
    assert found[Operator.CROSSOVER].error == pytest.approx(np.hypot(0.1, 0.05))


# Does breeding work?


def drawn_counts(generator, rates, epochs=30, batch=2_000):
    """Shares that chase what looked best, a base rate that doubles, and children that are born as time goes by."""
    shape = (epochs, len(rates))
    shares, conversions = np.zeros(shape), np.zeros(shape)
    seen, won = np.ones(len(rates)), np.full(len(rates), 0.05)
    for epoch in range(epochs):
        weight = np.where(np.arange(len(rates)) < 2 + epoch, (won / seen) ** 4, 0.0)
        shares[epoch] = 0.9 * weight / weight.sum() + 0.1 * (weight > 0) / (weight > 0).sum()
        shown = generator.multinomial(batch, shares[epoch])
        conversions[epoch] = generator.binomial(shown, rates * (1 + epoch / epochs))
        seen, won = seen + shown, won + conversions[epoch]
    return conversions, shares


def bred(arms):
    return [
        Birth(child=child, against=(child - 1, child - 2), operator=Operator.CROSSOVER, epoch=child - 1)
        for child in range(2, arms)
    ]


def test_breeding_that_does_nothing_is_said_to_work_or_to_harm_in_no_more_than_five_percent():
    said = np.zeros(2)
    for seed in range(100):
        conversions, shares = drawn_counts(np.random.default_rng(seed), np.full(12, 0.05))
        said += [(path > credit.NEEDED).any() for path in credit.works_path(conversions, shares, bred(12))]
    # 100 runs at 5% reach 12 in one of two hundred.
    assert said.max() < 12


def test_children_of_lucky_parents_are_not_said_to_harm():
    # Parents chosen after their luck: only what came after the child's birth counts, and there all are alike.
    conversions, shares = drawn_counts(np.random.default_rng(1), np.full(4, 0.05))
    conversions[:5, :2] *= 2
    late = [Birth(child=2, against=(0, 1), operator=Operator.CROSSOVER, epoch=6)]
    before = credit.works(conversions, shares, late)
    conversions[:5] = 0
    assert credit.works(conversions, shares, late) == before


@pytest.mark.parametrize(("lift", "says"), [(0.5, "is_better"), (-0.5, "is_worse")])
def test_what_breeding_does_is_found_out(lift, says):
    rates = 0.05 * np.exp(np.append(np.zeros(2), np.full(3, lift)))
    bred_once = [Birth(child=child, against=(0, 1), operator=Operator.MUTATION, epoch=0) for child in (2, 3, 4)]
    generator = np.random.default_rng(1)
    shares = np.full((20, 5), 0.2)
    conversions = generator.binomial(generator.multinomial(2_000, shares), rates).astype(float)
    found = credit.works(conversions, shares, bred_once)
    assert getattr(found, says)
    assert not (found.is_better and found.is_worse)


def test_no_children_no_evidence():
    found = credit.works(np.ones((3, 2)), np.full((3, 2), 0.5), [])
    assert (found.better, found.worse) == (1.0, 1.0)
