"""Lifecycle: who wins when two act at once, what a start needs, what visitors are told."""

import json
from typing import Any

import pytest
from django.utils import timezone

from experiments import deployment, lifecycle
from experiments.models import Arm, Experiment, Goal
from experiments.store import store
from tests.factories import make_brief, make_experiment
from variants.models import Variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url", "eager_tasks")]


def published(experiment: Experiment) -> dict[str, Any]:
    document = store().snapshot(experiment.slug)
    assert document is not None
    return dict(json.loads(document))


def test_a_start_publishes_equal_shares_but_for_the_controls():
    experiment = lifecycle.start(make_experiment(arms=4, control_share=0.4), by=None)
    snapshot = published(experiment)
    assert snapshot["status"] == "running"
    assert snapshot["shares"] == pytest.approx({"control": 0.4, "v2": 0.2, "v3": 0.2, "v4": 0.2})


def test_only_the_first_of_two_starts_wins():
    experiment = make_experiment()
    same = Experiment.objects.get(pk=experiment.pk)
    lifecycle.start(experiment, by=None)
    with pytest.raises(lifecycle.WrongStatus, match="running"):
        lifecycle.start(same, by=None)
    assert experiment.allocations.count() == 1


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        (["pause"], "paused"),
        (["pause", "resume"], "running"),
        (["stop"], "finished"),
        (["pause", "stop"], "finished"),
    ],
)
def test_every_step_is_published_at_once(steps, status):
    experiment = lifecycle.start(make_experiment(), by=None)
    for step in steps:
        getattr(lifecycle, step)(experiment, by=None)
    assert published(experiment)["status"] == status


def test_a_promoted_arm_is_the_winner_of_the_snapshot():
    experiment = lifecycle.start(make_experiment(), by=None)
    lifecycle.stop(experiment, by=None)
    lifecycle.promote(experiment, experiment.arms.get(key="v2"), by=None)
    snapshot = published(experiment)
    assert (snapshot["status"], snapshot["winner"]) == ("promoted", "v2")


@pytest.mark.parametrize(
    ("step", "reached"), [("resume", []), ("pause", ["stop"]), ("stop", ["stop"]), ("start", ["pause"])]
)
def test_no_step_leads_where_the_diagram_has_no_arrow(step, reached):
    experiment = lifecycle.start(make_experiment(), by=None)
    for earlier in reached:
        getattr(lifecycle, earlier)(experiment, by=None)
    with pytest.raises(lifecycle.WrongStatus):
        getattr(lifecycle, step)(experiment, by=None)


def test_without_a_chosen_control_the_oldest_approved_variant_is_it():
    experiment = make_experiment(arms=3)
    experiment.nursery.variants.update(is_control=False)
    experiment.nursery.variants.filter(number=1).update(status=Variant.Status.REJECTED)
    lifecycle.start(experiment, by=None)
    assert experiment.arms.get(key="control").variant.number == 2


def test_a_chosen_control_that_nobody_approved_is_not_quietly_replaced():
    experiment = make_experiment(arms=3)
    experiment.nursery.variants.filter(is_control=True).update(status=Variant.Status.DRAFT)
    with pytest.raises(lifecycle.NotReady, match="chosen as the control"):
        lifecycle.start(experiment, by=None)
    assert experiment.nursery.variants.get(is_control=True).number == 1


def test_only_approved_variants_become_arms():
    experiment = make_experiment(arms=4)
    experiment.nursery.variants.filter(number=4).update(status=Variant.Status.DRAFT)
    lifecycle.start(experiment, by=None)
    assert [arm.key for arm in experiment.arms.all()] == ["control", "v2", "v3"]


def test_the_traffic_decides_how_many_arms_go_live_and_the_rest_wait():
    experiment = make_experiment(arms=8, visitors_per_day=1_000, planned_days=20)
    lifecycle.start(experiment, by=None)
    assert experiment.arms.filter(status=Arm.Status.LIVE).count() == 4
    assert experiment.arms.filter(status=Arm.Status.WAITING).count() == 4
    assert set(published(experiment)["shares"]) == {"control", "v2", "v3", "v4"}


def test_a_form_goal_needs_a_brief_with_a_form():
    brief = make_brief(call_to_action_kind="link", call_to_action_url="https://example.org/")
    with pytest.raises(lifecycle.NotReady, match="Choose click"):
        lifecycle.start(make_experiment(brief=brief), by=None)


def test_a_start_without_goal_or_variant_names_both():
    experiment = make_experiment(arms=0)
    experiment.goals.all().delete()
    with pytest.raises(lifecycle.NotReady) as raised:
        lifecycle.start(experiment, by=None)
    assert {fault.field for fault in raised.value.faults} == {"goals", "variants"}


def test_a_goal_for_the_second_link_needs_one():
    experiment = make_experiment()
    Goal.objects.create(experiment=experiment, key="source", kind=Goal.Kind.CLICK, link="more")
    with pytest.raises(lifecycle.NotReady, match="second link"):
        lifecycle.start(experiment, by=None)


def test_with_redis_away_a_stop_is_kept_and_the_timetable_repeats_it(settings, redis_url, tmp_path):
    experiment = lifecycle.start(make_experiment(), by=None)
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    store.cache_clear()
    lifecycle.stop(experiment, by=None)
    assert experiment.status == "finished"
    settings.REDIS_URL = redis_url
    store.cache_clear()
    assert published(experiment)["status"] == "running"
    assert deployment.republish_missing() == [experiment.slug]
    assert published(experiment)["status"] == "finished"


# The proof round, and numbers that cannot be trusted


def running(**changes: Any) -> Experiment:
    return lifecycle.start(make_experiment(arms=3, **changes), by=None)


def test_a_proof_round_shows_new_visitors_the_page_and_the_control():
    experiment = running()
    lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
    assert published(experiment)["shares"] == {"control": 0.5, "v2": 0.5}
    assert published(experiment)["epoch"] == experiment.proof_epoch == 2


def test_the_end_of_a_proof_round_brings_the_others_back():
    experiment = running(control_share=0.0)
    lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
    lifecycle.end_proof(experiment, by=None)
    assert experiment.proof_arm is None
    assert published(experiment)["shares"].keys() == {"control", "v2", "v3"}
    with pytest.raises(lifecycle.WrongStatus, match="No proof round"):
        lifecycle.end_proof(experiment, by=None)


def test_only_a_live_page_of_a_running_experiment_can_be_proved_and_one_at_a_time():
    experiment = running()
    control, page, other = experiment.arms.order_by("variant__number")
    with pytest.raises(lifecycle.WrongStatus, match="other than today's"):
        lifecycle.start_proof(experiment, control, by=None)
    lifecycle.start_proof(experiment, page, by=None)
    with pytest.raises(lifecycle.WrongStatus, match="End it first"):
        lifecycle.start_proof(experiment, other, by=None)
    lifecycle.stop(experiment, by=None)
    with pytest.raises(lifecycle.WrongStatus, match="finished"):
        lifecycle.start_proof(experiment, other, by=None)


def test_a_proof_round_outlives_the_stop_so_that_its_lift_can_be_reported():
    experiment = running()
    lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
    lifecycle.stop(experiment, by=None)
    assert experiment.proof_arm is not None
    assert experiment.proof_arm.key == "v2"


def test_numbers_are_set_aside_only_where_the_split_failed():
    experiment = running(control_share=0.0)
    with pytest.raises(lifecycle.WrongStatus, match="nothing to set aside"):
        lifecycle.set_aside(experiment, by=None)
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=timezone.now())
    lifecycle.set_aside(experiment, by=None)
    assert (experiment.frozen_at, experiment.trusted_from_epoch) == (None, 2)
    assert list(published(experiment)["shares"].values()) == pytest.approx([1 / 3] * 3)


def test_nothing_is_proved_while_shares_stand_still():
    experiment = running()
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=timezone.now())
    experiment.refresh_from_db()
    with pytest.raises(lifecycle.WrongStatus, match="Set the numbers aside first"):
        lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
