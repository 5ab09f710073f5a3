"""The sample of the demonstration has to pass the gates that everybody's pages pass."""

import random

import pytest

from experiments.demo import sample
from experiments.demo.demonstration import BEST_RATE, CONTROL_RATE, OTHER_RATES, hidden_rates
from variants.gates import examine

ARMS = ["control", *(f"v{number}" for number in range(2, 14))]


def test_the_control_page_passes_review_without_a_finding():
    assert examine(sample.CONTROL, sample.BRIEF, set()) == []


def test_every_fact_names_a_public_page_as_its_source():
    assert {fact.source.startswith("https://") for fact in sample.FACTS} == {True}


@pytest.mark.parametrize("seed", range(5))
def test_one_arm_is_clearly_best_and_the_control_is_as_promised(seed):
    rates = hidden_rates(ARMS, control="control", seed=seed)
    best, *others = sorted(rates.values(), reverse=True)
    low, high = OTHER_RATES
    assert set(rates) == set(ARMS)
    assert rates["control"] == CONTROL_RATE
    assert best == BEST_RATE
    assert all(low <= rate <= high for rate in others)


def test_which_arm_is_best_depends_on_the_seed():
    def best(seed: int) -> str:
        rates = hidden_rates(ARMS, control="control", seed=seed)
        return max(rates, key=lambda arm: rates[arm])

    assert len({best(seed) for seed in random.Random(0).sample(range(1000), 20)}) > 1


def test_two_arms_are_enough():
    assert hidden_rates(["control", "v2"], control="control", seed=1) == {"control": CONTROL_RATE, "v2": BEST_RATE}
