"""Who is live: pages enter while there is room, leave when they cannot win, and are stopped by guardrails."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.utils import timezone

from experiments import allocation, evidence, roster
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment, Goal
from tests.factories import make_experiment, make_running, page
from variants.models import Variant

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def keys(experiment: Experiment, status: str) -> list[str]:
    return [arm.key for arm in experiment.arms.filter(status=status)]


def approve_another(experiment: Experiment, number: int) -> Variant:
    return Variant.objects.create(
        nursery=experiment.nursery,
        number=number,
        name=f"Variant {number}",
        content=page(f"Headline v{number}"),
        status=Variant.Status.APPROVED,
    )


def count(experiment: Experiment, goal: str, counts: dict[str, tuple[int, int]]) -> None:
    for arm in experiment.arms.filter(key__in=counts):
        for measure, number in zip((EXPOSURES, goal), counts[arm.key], strict=True):
            EpochCount.objects.update_or_create(arm=arm, epoch=1, hour=NOW, measure=measure, defaults={"count": number})


def retire(experiment: Experiment, best: list[float], exposures: list[float]) -> int:
    arms = evidence.entered_arms(experiment)
    return roster.retire(experiment, arms, np.array(best), np.array(exposures), NOW)


def test_a_variant_approved_while_the_experiment_runs_gets_an_arm_and_goes_live():
    experiment = make_running(arms=2)
    approve_another(experiment, 3)
    assert [arm.key for arm in roster.enrol(experiment)] == ["v3"]
    assert roster.enrol(experiment) == []
    assert roster.admit(experiment, NOW) == 1
    assert keys(experiment, Arm.Status.LIVE) == ["control", "v2", "v3"]


def test_an_arm_enters_only_once_its_page_is_made():
    experiment = make_running(arms=2)
    approve_another(experiment, 3)
    roster.enrol(experiment)
    assert roster.admit(experiment, NOW, ready=["control", "v2"]) == 0
    assert roster.admit(experiment, NOW, ready=["control", "v2", "v3"]) == 1


def test_arms_wait_while_the_traffic_affords_no_more():
    experiment = make_running(arms=2, visitors_per_day=1_000, planned_days=15)
    for number in (3, 4, 5):
        approve_another(experiment, number)
    roster.enrol(experiment)
    roster.admit(experiment, NOW)
    assert keys(experiment, Arm.Status.LIVE) == ["control", "v2", "v3"]
    assert keys(experiment, Arm.Status.WAITING) == ["v4", "v5"]


def test_many_pages_share_what_their_genes_teach_and_need_fewer_visitors_each():
    experiment = make_experiment(visitors_per_day=10_000, planned_days=10)
    assert roster.affordable_arms(experiment) == 40
    experiment.visitors_per_day = 2_000
    assert roster.affordable_arms(experiment) == 4


def test_a_hopeless_arm_makes_room_for_one_that_waits():
    experiment = make_running(arms=3, visitors_per_day=1_000, planned_days=15)
    approve_another(experiment, 4)
    roster.enrol(experiment)
    assert retire(experiment, [0.3, 0.699, 0.001], [5000, 5000, 800]) == 1
    assert roster.admit(experiment, NOW) == 1
    assert keys(experiment, Arm.Status.LIVE) == ["control", "v2", "v4"]
    assert "others wait" in experiment.arms.get(key="v3").reason


@pytest.mark.parametrize(
    ("best", "exposures"), [([0.3, 0.69, 0.001], [900, 900, 499]), ([0.001, 0.5, 0.499], [900, 900, 900])]
)
def test_neither_an_arm_seen_by_few_nor_the_control_retires(best, exposures):
    experiment = make_running(arms=3, visitors_per_day=1_000, planned_days=15)
    approve_another(experiment, 4)
    roster.enrol(experiment)
    assert retire(experiment, best, exposures) == 0


def test_nobody_retires_while_nobody_waits():
    experiment = make_running(arms=3, visitors_per_day=1_000, planned_days=15)
    assert retire(experiment, [0.3, 0.699, 0.001], [5000, 5000, 5000]) == 0


@pytest.mark.parametrize(
    ("guard", "counts"),
    [
        (Goal.Guard.RISE, {"control": (9000, 90), "v2": (9000, 300), "v3": (9000, 95)}),
        (Goal.Guard.FALL, {"control": (9000, 900), "v2": (9000, 500), "v3": (9000, 890)}),
    ],
)
def test_a_guardrail_pauses_the_arm_that_turned_for_the_worse(guard, counts):
    experiment = make_running(arms=3)
    Goal.objects.create(experiment=experiment, key="complaint", kind=Goal.Kind.EVENT, guard=guard)
    count(experiment, "complaint", counts)
    assert roster.guard(experiment, evidence.entered_arms(experiment), NOW) == 1
    assert keys(experiment, Arm.Status.PAUSED) == ["v2"]
    assert "complaint" in experiment.arms.get(key="v2").reason


def test_a_goal_that_is_no_guardrail_pauses_nothing():
    experiment = make_running(arms=2)
    count(experiment, "signup", {"control": (9000, 900), "v2": (9000, 100)})
    assert roster.guard(experiment, evidence.entered_arms(experiment), NOW) == 0


def test_a_paused_arm_gets_no_share_and_the_others_keep_what_is_known_of_them():
    experiment = make_running(arms=3, control_share=0.0)
    Goal.objects.create(experiment=experiment, key="complaint", kind=Goal.Kind.EVENT, guard=Goal.Guard.RISE)
    count(experiment, "signup", {"control": (9000, 300), "v2": (9000, 900), "v3": (9000, 400)})
    count(experiment, "complaint", {"control": (9000, 90), "v2": (9000, 300), "v3": (9000, 95)})
    made = allocation.reallocate(experiment, now=timezone.now() + timedelta(hours=1))
    assert set(made.shares) == {"control", "v3"}
    assert made.shares["v3"] > 0.9
