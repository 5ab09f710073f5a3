"""What is counted, as arrays: each row in its place, to the last digit, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from experiments import evidence
from experiments.models import EXPOSURES, Allocation, Arm, EpochCount, Experiment
from tests.factories import make_running

pytestmark = pytest.mark.django_db

HOUR = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECONDS = int(HOUR.timestamp())
LATER = HOUR + timedelta(hours=1)
THIRD = 1 / 3  # which no text of 15 digits holds


def count(arm: Arm, measure: str, number: int, *, epoch: int = 1, hour: datetime = HOUR, value: float = 0.0) -> None:
    EpochCount.objects.create(
        arm=arm, epoch=epoch, hour=hour, measure=measure, count=number, value=value, value_squares=value**2
    )


def gathered(experiment: Experiment) -> evidence.Evidence:
    return evidence.gather(experiment, evidence.entered_arms(experiment))


def test_each_count_stands_in_its_stratum_and_under_its_arm():
    experiment = make_running(arms=3)
    first, second, third = experiment.arms.order_by("variant__number")
    count(third, EXPOSURES, 9, epoch=2, hour=LATER)
    count(first, EXPOSURES, 5)
    count(second, EXPOSURES, 2**53 - 1, epoch=2, hour=LATER)
    count(third, "signup", 4, epoch=2, hour=LATER)
    found = evidence.gather(experiment, [third, first, second])
    assert found.strata == [(1, SECONDS), (2, SECONDS + 3600)]
    assert found.exposures.tolist() == [[0, 5, 0], [9, 0, 2**53 - 1]]
    assert found.conversions.tolist() == [[0, 0, 0], [4, 0, 0]]


def test_values_are_kept_to_the_last_digit():
    experiment = make_running()
    control, page = experiment.arms.order_by("variant__number")
    for arm in (control, page):
        count(arm, EXPOSURES, 5)
    count(page, "signup", 2, value=THIRD)
    found = gathered(experiment)
    assert found.values.tolist() == [[0.0, THIRD]]
    assert found.value_squares.tolist() == [[0.0, THIRD**2]]


def test_another_goal_is_read_into_the_strata_there_were():
    experiment = make_running()
    control = experiment.arms.get(key="control")
    count(control, EXPOSURES, 5)
    known = gathered(experiment)
    for hour in (HOUR, LATER):
        count(control, "order", 2, hour=hour, value=THIRD)
    found = evidence.gather(experiment, known.arms, goal="order", like=known)
    assert found.conversions.sum(axis=1).tolist() == [2]
    assert found.values.sum(axis=1).tolist() == [THIRD]


def test_shares_are_those_of_the_stratums_epoch_and_nothing_where_these_are_not_known():
    experiment = make_running()
    control = experiment.arms.get(key="control")
    Allocation.objects.create(experiment=experiment, epoch=3, shares={"control": 0.2, "v9": 0.8}, reason="")
    for epoch in (1, 2, 3):
        count(control, EXPOSURES, 5, epoch=epoch)
    assert gathered(experiment).shares.tolist() == [[0.5, 0.5], [0.0, 0.0], [0.2, 0.0]]


def test_without_arms_there_is_no_evidence():
    assert evidence.gather(make_running(), []).exposures.shape == (0, 0)
