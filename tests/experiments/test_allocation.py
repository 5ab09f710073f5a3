"""Allocation: shares follow the counts, keep their floors, and change no more often than they may."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from experiments import allocation, bandit, evidence
from experiments.models import EXPOSURES, Allocation, Arm, EpochCount, Experiment
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
    assert min(made.shares.values()) >= bandit.TOTAL_FLOOR / 4 * 0.89
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


# What cannot be trusted


def lost_visitors() -> Experiment:
    """Return an experiment of which one arm lost a tenth of its visitors on the way."""
    experiment = make_running(arms=3, control_share=0.0)
    add_counts(experiment, {"control": (5000, 200), "v2": (4500, 250), "v3": (5000, 200)})
    return experiment


def test_shares_stand_still_once_visitors_are_not_split_as_planned():
    experiment = lost_visitors()
    assert review(experiment, at_once=True).epoch == 1
    experiment.refresh_from_db()
    assert experiment.frozen_at is not None


def test_frozen_shares_stay_even_if_later_visitors_hide_the_fault():
    experiment = lost_visitors()
    review(experiment)
    EpochCount.objects.filter(arm__key="v2", measure=EXPOSURES).update(count=5000)
    assert review(experiment, at_once=True).epoch == 1


def test_numbers_set_aside_are_kept_and_count_no_more():
    experiment = lost_visitors()
    review(experiment)
    experiment.refresh_from_db()
    afresh = allocation.open_afresh(experiment, "set aside", timezone.now())
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=None, trusted_from_epoch=afresh.epoch)
    experiment.refresh_from_db()
    assert afresh.shares == pytest.approx({"control": 1 / 3, "v2": 1 / 3, "v3": 1 / 3})
    assert evidence.gather(experiment, evidence.entered_arms(experiment)).exposures.sum() == 0
    assert EpochCount.objects.filter(arm__experiment=experiment).count() == 6


# The proof round


def test_a_proof_round_is_half_and_half_and_keeps_its_shares():
    experiment = make_running(arms=3)
    winner = experiment.arms.get(key="v2")
    epoch = allocation.open_proof(experiment, winner, timezone.now()).epoch
    Experiment.objects.filter(pk=experiment.pk).update(proof_arm=winner, proof_epoch=epoch)
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90), "v3": (1000, 30)})
    assert review(experiment, at_once=True).shares == {"control": 0.5, "v2": 0.5}


def test_a_guardrail_that_stops_the_page_ends_its_proof_round():
    experiment = make_running(arms=3, control_share=0.0)
    add_counts(experiment, {"control": (5000, 200), "v2": (5000, 200), "v3": (5000, 200)})
    winner = experiment.arms.get(key="v2")
    epoch = allocation.open_proof(experiment, winner, timezone.now()).epoch
    Experiment.objects.filter(pk=experiment.pk).update(proof_arm=winner, proof_epoch=epoch)
    winner.status = Arm.Status.PAUSED
    winner.save()
    assert review(experiment, at_once=True).shares.keys() == {"control", "v3"}
    experiment.refresh_from_db()
    assert experiment.proof_arm is None
