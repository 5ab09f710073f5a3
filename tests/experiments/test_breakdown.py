"""Counts by where visitors came from: what is counted, what is compared, and that it stays bounded."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from experiments import breakdown, stratified
from experiments.models import EXPOSURES, Arm, Breakdown, Experiment
from tests.experiments.reporting.made import count, hour_of, make_counted, make_reasoned, make_visitors
from tests.factories import there

pytestmark = pytest.mark.django_db


def parts_of(experiment: Experiment) -> dict[str, dict[str, dict[str, Any]]]:
    parts = Breakdown.objects.get(experiment=experiment).parts
    return {
        dimension["key"]: {segment["value"]: segment for segment in dimension["segments"]}
        for dimension in parts["dimensions"]
    }


def make_shown(numbers: dict[str, tuple[int, int]], attributes: dict[str, str]) -> Experiment:
    """Return an experiment with rows, and counts for them, of these visitors and conversions by arm."""
    experiment = make_counted(list(numbers.values()))
    hour = hour_of(experiment)
    for key, (shown, converted) in numbers.items():
        make_visitors(experiment.arms.get(key=key), experiment.goals.get(), hour, shown, converted, attributes)
    breakdown.renew(experiment, timezone.now())
    return experiment


def test_visitors_and_conversions_are_counted_by_each_dimension():
    found = parts_of(
        make_shown({"control": (40, 4), "v2": (60, 9)}, {"device": "phone", "gclid": "x", "language": "de"})
    )
    for dimension, value in {"device": "phone", "source": "Google ad", "language": "de", "visitor": "new"}.items():
        segment = found[dimension][value]
        assert (segment["exposures"], segment["conversions"]) == (100, 13), dimension
        assert segment["arms"]["v2"][:2] == [60, 9]


def test_of_one_stratum_the_lift_is_the_plain_ratio_of_rates():
    found = parts_of(make_shown({"control": (400, 20), "v2": (400, 30)}, {"device": "phone"}))
    lift, low, high = found["device"]["phone"]["arms"]["v2"][2:]
    assert lift == pytest.approx(0.5)
    assert low < 0 < lift < high


def test_a_change_of_shares_between_two_times_of_different_rates_makes_no_lift():
    # Both pages convert alike, 2% at first and 8% later; v2 was shown mostly later.
    strata = np.array([[1000, 20, 9000, 180], [9000, 720, 1000, 80]], dtype=float)
    pooled = (740 / 10_000) / (260 / 10_000) - 1
    assert pooled > 1.5
    assert stratified.mantel_haenszel(strata)[0] == pytest.approx(0.0)


def test_without_a_conversion_on_either_side_there_is_no_lift():
    assert stratified.mantel_haenszel(np.array([[100.0, 0, 100, 5]])) == (None, None, None)
    assert stratified.mantel_haenszel(np.zeros((0, 4))) == (None, None, None)


def test_the_interval_covers_the_true_lift_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(600):
        shown, today = random.integers(20, 400, 40), random.integers(20, 400, 40)
        base = random.uniform(0.02, 0.08, 40)
        counts = np.column_stack([shown, random.binomial(shown, base * 1.2), today, random.binomial(today, base)])
        _, low, high = stratified.mantel_haenszel(counts.astype(float))
        covered += there(low) < 0.2 < there(high)
    assert 0.92 < covered / 600 < 0.98


def test_a_group_of_a_few_people_is_counted_with_the_others():
    experiment = make_shown({"control": (30, 1), "v2": (30, 2)}, {"device": "phone"})
    hour = hour_of(experiment)
    arm = experiment.arms.get(key="v2")
    make_visitors(arm, experiment.goals.get(), hour, 19, 1, {"device": "tablet", "utm_campaign": "to-anna"})
    count(arm, EXPOSURES, 19)
    breakdown.renew(experiment, timezone.now() + timedelta(hours=1))
    found = parts_of(experiment)
    assert "tablet" not in found["device"]
    assert "to-anna" not in found["campaign"]


def test_an_address_in_a_campaign_is_nobodys_segment():
    found = parts_of(
        make_shown({"control": (30, 1), "v2": (30, 2)}, {"device": "phone", "utm_campaign": "anna@x.example"})
    )
    assert list(found["campaign"]) == [""]


def test_it_is_counted_anew_when_there_is_something_new_and_it_has_rested():
    experiment = make_reasoned()
    kept = Breakdown.objects.get(experiment=experiment)
    assert not breakdown.renew(experiment, kept.made_at + timedelta(hours=1))
    count(Arm.objects.get(experiment=experiment, key="v2"), EXPOSURES, 1)
    Breakdown.objects.update(took_seconds=2.0)
    assert not breakdown.renew(experiment, kept.made_at + timedelta(seconds=99))
    assert breakdown.renew(experiment, kept.made_at + timedelta(seconds=101))


def test_of_a_large_experiment_the_newest_visitors_are_read_an_hour_never_in_part(monkeypatch):
    monkeypatch.setattr(breakdown, "MOST_VISITORS", 250)
    monkeypatch.setattr(breakdown, "ROWS_AT_ONCE", 150)
    start = datetime.fromisoformat("2030-05-01T00:00+00:00")
    hours = [(start + timedelta(hours=10 - place), 100) for place in range(5)]
    stretches = list(breakdown._stretches(hours))
    assert stretches == [(start + timedelta(hours=9), start + timedelta(hours=11))]


def test_rare_values_join_the_others_while_counting(monkeypatch):
    monkeypatch.setattr(breakdown, "MOST_VALUES", 3)
    counted = breakdown._Counted(control=1)
    for number in range(10):
        attributes = f'{{"utm_campaign":"c{number}"}}'
        counted.add([(1, 1, "h", attributes, number + 1)], place=0)
    counted.prune()
    assert set(counted.segments["campaign"]) == {"c7", "c8", "c9"}
    assert counted.others["campaign"] == [sum(range(1, 8)), 0]


def test_what_was_set_aside_is_not_counted():
    experiment = make_reasoned()
    Experiment.objects.filter(pk=experiment.pk).update(trusted_from_epoch=2)
    experiment.refresh_from_db()
    Breakdown.objects.all().delete()
    assert not breakdown.renew(experiment, timezone.now())
