"""What an experiment's counts say: one posterior, whatever the reward and however late conversions come."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from experiments import belief, evidence, roster
from experiments.models import EXPOSURES, Conversion, EpochCount, Experiment, Goal
from tests.factories import make_running

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def count(
    experiment: Experiment, measure: str, counts: dict[str, int], *, hours_ago: int = 240, value: float = 0
) -> None:
    for key, number in counts.items():
        EpochCount.objects.create(
            arm=experiment.arms.get(key=key),
            epoch=1,
            hour=NOW - hours_ago * HOUR,
            measure=measure,
            count=number,
            value=number * value,
            value_squares=number * value**2,
        )


def convert(experiment: Experiment, goal: Goal, *, number: int, delay_hours: float, age_hours: float) -> None:
    arm = experiment.arms.get(key="v2")
    exposed_at = NOW - age_hours * HOUR
    Conversion.objects.bulk_create(
        Conversion(
            experiment=experiment,
            goal=goal,
            arm=arm,
            epoch=1,
            visitor=f"{place:06x}{int(age_hours * 10):026x}",
            exposed_at=exposed_at,
            converted_at=exposed_at + delay_hours * HOUR,
        )
        for place in range(number)
    )


def believed(experiment: Experiment) -> belief.Belief:
    return belief.of(experiment, evidence.gather(experiment, evidence.entered_arms(experiment)), NOW)


def test_equal_counts_leave_both_arms_equally_likely():
    experiment = make_running()
    count(experiment, EXPOSURES, {"control": 1000, "v2": 1000})
    count(experiment, "signup", {"control": 40, "v2": 40})
    assert believed(experiment).standing.probability_best == pytest.approx([0.5, 0.5])


def test_young_exposures_count_as_the_part_whose_conversions_have_come():
    experiment = make_running()
    goal = experiment.goals.get()
    count(experiment, EXPOSURES, {"control": 1000, "v2": 1000})
    count(experiment, EXPOSURES, {"control": 1000, "v2": 1000}, hours_ago=10)
    # Half of all conversions take an hour, half take twenty: exposures ten hours old have brought half of theirs.
    convert(experiment, goal, number=100, delay_hours=1, age_hours=200)
    convert(experiment, goal, number=100, delay_hours=20, age_hours=201)
    found = believed(experiment)
    assert found.matured[0] == pytest.approx([1000, 1000])
    assert found.matured[1] == pytest.approx([500, 500], abs=10)
    assert found.still_maturing == pytest.approx(0.25, abs=0.01)


def test_conversions_older_than_two_windows_teach_no_delay():
    experiment = make_running()
    goal = experiment.goals.get()
    count(experiment, EXPOSURES, {"control": 1000, "v2": 1000}, hours_ago=10)
    convert(experiment, goal, number=100, delay_hours=100, age_hours=3 * goal.window_hours)
    assert believed(experiment).still_maturing == 0


def test_revenue_prefers_the_page_that_earns_more_from_fewer_buyers():
    experiment = make_running(goal_kind=Goal.Kind.REVENUE)
    count(experiment, EXPOSURES, {"control": 10_000, "v2": 10_000})
    count(experiment, "signup", {"control": 600}, value=10.0)
    count(experiment, "signup", {"v2": 500}, value=30.0)
    found = believed(experiment)
    assert found.standing.probability_best[1] > 0.99
    # Keeping the control costs about 1.5 - 0.6 per visitor, in the experiment's own currency.
    assert found.standing.expected_loss[0] == pytest.approx(0.9, abs=0.15)
    assert found.effective.unit == pytest.approx((600 * 100 + 500 * 900) / (6000 + 15_000))


def test_one_huge_order_is_counted_at_the_edge_of_the_others():
    experiment = make_running(goal_kind=Goal.Kind.REVENUE)
    goal = experiment.goals.get()
    count(experiment, EXPOSURES, {"control": 10_000, "v2": 10_000})
    count(experiment, "signup", {"control": 300, "v2": 299}, value=20.0)
    EpochCount.objects.filter(arm__key="v2", measure="signup").update(
        value=299 * 20 + 1e6, value_squares=299 * 400 + 1e12
    )
    convert(experiment, goal, number=300, delay_hours=0.5, age_hours=239.5)
    Conversion.objects.update(value=20.0)
    Conversion.objects.filter(visitor__startswith="000000").update(value=1e6)
    found = believed(experiment)
    assert found.effective.unit == pytest.approx(20)
    assert found.standing.probability_best == pytest.approx([0.5, 0.5], abs=0.05)


def test_weighted_goals_decide_together():
    experiment = make_running()
    Goal.objects.create(experiment=experiment, key="call", kind=Goal.Kind.EVENT, weight=10)
    experiment.goals.filter(key="signup").update(weight=1)
    count(experiment, EXPOSURES, {"control": 10_000, "v2": 10_000})
    count(experiment, "signup", {"control": 500, "v2": 400})
    count(experiment, "call", {"control": 100, "v2": 300})
    assert believed(experiment).standing.probability_best[1] > 0.99


def test_an_arm_without_visitors_to_come_cannot_be_best_and_has_its_loss():
    experiment = make_running(arms=3)
    count(experiment, EXPOSURES, {"control": 5000, "v2": 5000, "v3": 5000})
    count(experiment, "signup", {"control": 200, "v2": 250, "v3": 300})
    experiment.arms.filter(key="v3").update(status="retired")
    found = believed(experiment)
    assert found.standing.probability_best[2] == 0
    assert found.standing.probability_best.sum() == pytest.approx(1)
    assert found.standing.expected_loss[2] < 0 < found.standing.expected_loss[0]


def test_an_experiment_nobody_has_seen_says_nothing():
    experiment = make_running(arms=3)
    roster.enrol(experiment)
    found = believed(experiment)
    assert found.standing.probability_best == pytest.approx(np.full(3, 1 / 3))
    assert found.still_maturing == 0
