"""Goals that do not decide: what the page in front does to them, and whether that is for the worse."""

import pytest
from django.test import Client

from experiments.models import EXPOSURES, EpochCount, Experiment, Goal
from experiments.reporting.report import build
from experiments.reporting.share import share_url
from experiments.reporting.values import GoalReport
from tests.experiments.reporting.made import count, make_counted
from tests.factories import there

pytestmark = pytest.mark.django_db


def make(paid: tuple[int, int], *, guard: str = "", shown: int = 4000) -> Experiment:
    """Return an experiment whose control and page are paid for this often, and the page clearly leads in signing up."""
    experiment = make_counted([(shown, shown // 33), (shown, shown // 20)])
    Goal.objects.create(experiment=experiment, key="paid", kind=Goal.Kind.REVENUE, guard=guard)
    for arm, number in zip(experiment.arms.order_by("variant__number"), paid, strict=True):
        count(arm, "paid", number)
    return experiment


def only(experiment: Experiment) -> GoalReport:
    [goal] = build(experiment).other_goals
    return goal


def shown_to_anyone(experiment: Experiment) -> str:
    return Client().get("/" + share_url(experiment, by=None).split("/", 3)[3]).content.decode()


def test_a_page_that_wins_one_goal_and_loses_another_says_so_first():
    experiment = make((200, 120))
    goal = only(experiment)
    assert (goal.today.reached, goal.page.reached, goal.does) == (200, 120, "buys something, with its value")
    # Of one stratum, Mantel and Haenszel's ratio is the plain one.
    assert there(goal.lift) == pytest.approx(120 / 200 - 1)
    low, high = there(goal.lift_interval)
    assert low < -0.4 < high < 0
    assert goal.is_worse
    assert 'data-key="worse"' in shown_to_anyone(experiment)


def test_what_should_not_rise_is_worse_when_it_rises():
    assert only(make((120, 200), guard=Goal.Guard.RISE)).is_worse
    assert not only(make((120, 200))).is_worse
    assert not only(make((200, 120), guard=Goal.Guard.RISE)).is_worse


def test_a_difference_within_chance_is_none():
    experiment = make((160, 150))
    goal = only(experiment)
    assert not goal.is_worse
    assert goal.text == "No sure difference between the two pages yet."
    assert 'data-key="worse"' not in shown_to_anyone(experiment)


def test_a_goal_that_has_a_weight_decides_and_is_not_said_to_stand_beside():
    experiment = make((200, 120))
    experiment.goals.filter(key="paid").update(weight=50)
    assert build(Experiment.objects.get(pk=experiment.pk)).other_goals == []


def test_a_page_that_has_left_is_not_compared_and_where_todays_leads_nobody_is_warned():
    experiment = make_counted([(6000, 400), (6000, 100), (6000, 300)])
    Goal.objects.create(experiment=experiment, key="paid", kind=Goal.Kind.REVENUE)
    for arm, number in zip(experiment.arms.order_by("variant__number"), (200, 50, 100), strict=True):
        count(arm, "paid", number)
    assert build(experiment).leader.is_control  # type: ignore[union-attr]
    assert only(experiment).is_worse
    assert 'data-key="worse"' not in shown_to_anyone(experiment)
    experiment.arms.exclude(key="control").update(status="retired")
    assert build(Experiment.objects.get(pk=experiment.pk)).other_goals == []


def test_few_are_few_where_both_pages_were_shown():
    experiment = make((400, 0), shown=20_000)
    control, other = experiment.arms.order_by("variant__number")
    EpochCount.objects.filter(arm=other).update(epoch=2)
    experiment.allocations.update(shares={"control": 1.0})
    experiment.allocations.create(epoch=2, shares={"control": 0.01, "v2": 0.99}, counts={}, reason="both")
    for measure, number in ((EXPOSURES, 202), ("signup", 6), ("paid", 3)):
        count(control, measure, number, epoch=2)
    count(other, "paid", 200, epoch=2)
    goal = only(Experiment.objects.get(pk=experiment.pk))
    assert (goal.today.reached, goal.page.reached, goal.lift) == (403, 200, None)


def test_fewer_buyers_who_leave_more_are_no_warning():
    experiment = make((200, 120))
    EpochCount.objects.filter(measure="paid", arm__key="control").update(value=200.0)
    EpochCount.objects.filter(measure="paid").exclude(arm__key="control").update(value=900.0)
    goal = only(experiment)
    assert not goal.is_worse
    assert "less often" in goal.text
    assert goal.text.endswith("Money is not compared here.")


def test_few_are_not_compared():
    goal = only(make((9, 80)))
    assert goal.lift is None
    assert not goal.is_worse
    assert goal.text.startswith("Too few")


def test_while_it_is_too_early_and_with_one_goal_nothing_is_compared():
    assert build(make((20, 11), shown=400)).other_goals == []
    assert build(make_counted([(4000, 120), (4000, 200)])).other_goals == []


def test_epochs_that_were_set_aside_are_not_counted():
    experiment = make((200, 120))
    first, second = experiment.arms.order_by("variant__number")
    for arm in (first, second):
        count(arm, EXPOSURES, 3000, epoch=2)
        count(arm, "signup", 120, epoch=2)
        count(arm, "paid", 90, epoch=2)
    kept = experiment.allocations.get()
    experiment.allocations.create(epoch=2, shares=kept.shares, counts={}, reason="set aside")
    experiment.trusted_from_epoch = 2
    experiment.save()
    assert [(one.page.reached, one.today.reached) for one in build(experiment).other_goals] == [(90, 90)]
