"""Allocation: shares follow the counts, keep their floors, and change no more often than they may."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from experiments import allocation
from experiments.models import EXPOSURES, Allocation, EpochCount, Experiment
from tests.factories import make_running

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)


def add_counts(experiment: Experiment, counts: dict[str, tuple[int, int]]) -> None:
    hour = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for arm in experiment.arms.all():
        exposures, conversions = counts[arm.key]
        common = {"arm": arm, "epoch": 1, "hour": hour}
        EpochCount.objects.create(measure=EXPOSURES, count=exposures, **common)
        EpochCount.objects.create(measure="signup", count=conversions, **common)


def review(experiment: Experiment, *, at_once: bool = False, after: timedelta = LATER) -> Allocation:
    return allocation.reallocate(experiment, now=timezone.now() + after, at_once=at_once)


def test_the_best_arm_gets_the_most_and_every_arm_keeps_its_floor():
    experiment = make_running(arms=4, control_share=0.1)
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90), "v3": (1000, 30), "v4": (1000, 20)})
    made = review(experiment)
    assert sum(made.shares.values()) == pytest.approx(1)
    assert made.shares["v2"] > 0.85
    assert made.shares["control"] == pytest.approx(0.1)
    assert min(made.shares.values()) >= allocation.TOTAL_FLOOR / 4 * 0.89
    assert made.counts["v2"] == [1000, 90]
    assert made.epoch == 2


def test_equal_shares_stay_equal_whatever_was_counted():
    experiment = make_running(arms=4, policy="equal", control_share=0.0)
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90), "v3": (1000, 30), "v4": (1000, 20)})
    assert set(review(experiment).shares.values()) == {0.25}


def test_learning_leaves_more_visitors_to_the_runner_up_than_earning():
    counts = {"control": (3000, 60), "v2": (3000, 150), "v3": (3000, 130), "v4": (3000, 60)}
    shares = {}
    for policy in ("earn", "learn"):
        experiment = make_running(arms=4, policy=policy, control_share=0.0)
        add_counts(experiment, counts)
        shares[policy] = review(experiment).shares
    assert shares["learn"]["v3"] > shares["earn"]["v3"]


def test_shares_change_no_more_often_than_they_may():
    experiment = make_running()
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90)})
    assert review(experiment, after=timedelta(seconds=30)).epoch == 1
    assert review(experiment, after=timedelta(seconds=30), at_once=True).epoch == 2
    assert review(experiment).epoch == 2


def test_a_clock_set_back_does_not_hold_the_shares_for_ever():
    experiment = make_running()
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90)})
    assert review(experiment, after=timedelta(hours=-1)).epoch == 2


def test_a_paused_experiment_keeps_its_shares():
    experiment = make_running()
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90)})
    Experiment.objects.filter(pk=experiment.pk).update(status="paused")
    assert review(experiment, at_once=True).epoch == 1


def test_the_control_alone_has_everything():
    experiment = make_running(arms=1)
    add_counts(experiment, {"control": (100, 3)})
    assert review(experiment).shares == {"control": 1.0}
