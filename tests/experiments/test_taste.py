"""The hidden taste of an evolving sample's visitors."""

import pytest

from experiments.demo import evolving
from experiments.demo.taste import HIGHEST_RATE, LOWEST_RATE, Taste, rate_of
from experiments.models import Arm, Evolution
from tests.experiments.garden import make_garden
from variants.models import Breeding, Generation, Variant

GENES = {"angle": "a", "headline": "h", "offer": "o", "layout": "split", "palette": "ink"}


def test_a_page_is_worth_what_its_genes_are_worth_whoever_carries_them():
    assert rate_of(GENES, 1) == rate_of(dict(reversed(GENES.items())), 1)
    one, other = rate_of(GENES, 1), rate_of({**GENES, "layout": "ledger"}, 1)
    moved = {**GENES, "palette": "clay"}
    assert rate_of(moved, 1) / rate_of({**moved, "layout": "ledger"}, 1) == pytest.approx(one / other)
    assert all(LOWEST_RATE <= rate_of(GENES, seed) <= HIGHEST_RATE for seed in range(300))


@pytest.mark.django_db
def test_an_arm_that_enters_later_has_a_rate_too_and_todays_page_can_be_beaten():
    experiment = make_garden()
    rates = Taste(experiment)
    assert rates["v2"] == rates.get("v2")
    assert max(rates.values()) > rates["control"]
    variant = Variant.objects.create(
        nursery=experiment.nursery, number=99, name="Late", content=experiment.arms.get(key="v3").variant.content
    )
    Arm.objects.create(experiment=experiment, variant=variant, key="v99")
    assert rates["v99"] == rates["v3"]
    assert rates.get("nobody", 0.0) == 0.0


@pytest.mark.django_db
def test_a_round_that_is_late_is_asked_for_and_breeding_stops_after_the_third(owner):
    experiment = make_garden()
    evolving.keep_going(experiment, part=0.1, by=owner, say=print)
    assert not Evolution.objects.get(experiment=experiment).is_wanted_now
    evolving.keep_going(experiment, part=0.3, by=owner, say=print)
    assert Evolution.objects.get(experiment=experiment).is_wanted_now
    for number in range(1, 4):
        made = Generation.objects.create(nursery=experiment.nursery, requested=1)
        Breeding.objects.create(generation=made, round=number, operator="fresh", reason="")
    experiment.evolution.refresh_from_db()
    evolving.keep_going(experiment, part=0.9, by=owner, say=print)
    assert not Evolution.objects.get(experiment=experiment).is_on
