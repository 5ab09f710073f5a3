"""A proved page takes today's page's place while the experiment goes on."""

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments import allocation, deployment, evidence, lifecycle
from experiments.models import EXPOSURES, EpochCount, Experiment
from experiments.reporting.page import page_of
from experiments.reporting.report import as_json, build
from tests.experiments.garden import make_garden
from tests.experiments.reporting.made import hour_of
from variants.models import Variant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]


def add(experiment, key, epoch, exposures, conversions):
    hour = hour_of(experiment)
    arm = experiment.arms.get(key=key)
    for measure, number in ((EXPOSURES, exposures), ("signup", conversions)):
        EpochCount.objects.create(arm=arm, epoch=epoch, hour=hour, measure=measure, count=number)


def proved(*, better=True):
    """Return an experiment whose page v2 ran a proof round against the control."""
    experiment = make_garden(is_on=False)
    lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
    epoch = allocation.latest(experiment).epoch
    add(experiment, "control", epoch, 5000, 200)
    add(experiment, "v2", epoch, 5000, 330 if better else 205)
    return Experiment.objects.get(pk=experiment.pk)


def crowned():
    experiment = proved()
    lifecycle.change_control(experiment, experiment.arms.get(key="v2"), by=None)
    return Experiment.objects.get(pk=experiment.pk)


def arm(report, key):
    return next(found for found in report.arms if found.key == key)


def test_a_proved_page_takes_todays_pages_place_and_the_experiment_goes_on():
    experiment = crowned()
    assert experiment.status == Experiment.Status.RUNNING
    assert experiment.proof_arm is None
    assert experiment.arms.get(variant__is_control=True).key == "v2"
    change = experiment.control_changes.get()
    assert change.epoch == allocation.latest(experiment).epoch
    assert evidence.control_in(experiment, change.epoch - 1).key == "control"
    assert evidence.control_in(experiment, change.epoch).key == "v2"


def test_a_page_that_was_not_proved_cannot():
    experiment = proved(better=False)
    with pytest.raises(lifecycle.WrongStatus, match="proved better"):
        lifecycle.change_control(experiment, experiment.arms.get(key="v2"), by=None)
    assert experiment.arms.get(variant__is_control=True).key == "control"


def test_a_proof_against_an_earlier_control_is_worth_nothing_against_the_present_one():
    experiment = crowned()
    lifecycle.start_proof(experiment, experiment.arms.get(key="v3"), by=None)
    epoch = allocation.latest(experiment).epoch
    add(experiment, "v2", epoch, 5000, 200)
    add(experiment, "v3", epoch, 5000, 330)
    lifecycle.change_control(Experiment.objects.get(pk=experiment.pk), experiment.arms.get(key="v3"), by=None)
    with pytest.raises(lifecycle.WrongStatus):
        lifecycle.change_control(Experiment.objects.get(pk=experiment.pk), experiment.arms.get(key="v2"), by=None)


def test_returning_visitors_keep_their_page_and_uncounted_ones_get_the_new_control():
    experiment = crowned()
    deployment.deploy(experiment, reason="test")
    document = deployment.snapshot(Experiment.objects.get(pk=experiment.pk))
    assert document["control"] == "v2"
    assert set(document["arms"]) == {"control", "v2", "v3", "v4", "v5", "v6"}
    assert document["shares"]["control"] > 0
    assert document["shares"]["v2"] >= experiment.control_share


def test_lifts_are_over_the_new_control_and_the_old_results_stay_as_they_stood():
    before = build(proved())
    experiment = crowned()
    report = build(experiment)
    assert arm(report, "v2").lift is None
    lift = arm(report, "control").lift
    assert lift is not None
    assert lift < 0
    kept = {row["key"]: row["lift"] for row in experiment.control_changes.get().standing}
    assert kept["v2"] == pytest.approx(arm(before, "v2").lift, rel=0.05)
    assert kept["control"] is None


def test_the_proof_round_goes_on_comparing_with_the_page_of_its_time():
    experiment = crowned()
    proof = build(experiment).proofs[0]
    assert proof.arm == "v2"
    assert proof.is_proved
    assert proof.lift is not None
    assert proof.lift > 0.4
    assert proof.exposures == (5000, 5000)
    assert "It is today's page since then." in proof.text
    assert "the page of that time" in proof.text


def test_a_claim_against_todays_page_needs_visitors_since_it_is_todays_page():
    experiment = make_garden(
        [(5000, 200), (5000, 330), (5000, 600), (5000, 210), (5000, 200), (5000, 190)], is_on=False
    )
    assert arm(build(experiment), "v3").is_better
    lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
    epoch = allocation.latest(experiment).epoch
    add(experiment, "control", epoch, 5000, 200)
    add(experiment, "v2", epoch, 5000, 330)
    lifecycle.change_control(Experiment.objects.get(pk=experiment.pk), experiment.arms.get(key="v2"), by=None)
    experiment = Experiment.objects.get(pk=experiment.pk)
    assert not arm(build(experiment), "v3").is_better
    since = allocation.latest(experiment)
    for key, share in since.shares.items():
        visitors = round(30_000 * share)
        add(experiment, key, since.epoch, visitors, round(visitors * (0.12 if key == "v3" else 0.06)))
    assert arm(build(experiment), "v3").is_better


def test_the_report_says_what_is_compared_with_what():
    experiment = proved()
    Variant.objects.filter(nursery=experiment.nursery, is_control=True).update(name="Today's page")
    lifecycle.change_control(experiment, experiment.arms.get(key="v2"), by=None)
    report = build(Experiment.objects.get(pk=experiment.pk))
    assert "is today's page, in place of “Today's page (until" in report.controls[0].text
    assert len(report.controls[0].rows) == len(report.arms)
    assert as_json(report)["controls"][0]["made_at"]
    tagged = [row.arm.key for row in page_of(report).live if row.is_tagged]
    assert tagged == ["v2"]


def test_a_frozen_split_and_an_end_stand_in_the_way():
    experiment = proved()
    Experiment.objects.update(frozen_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(lifecycle.WrongStatus):
        lifecycle.change_control(Experiment.objects.get(pk=experiment.pk), experiment.arms.get(key="v2"), by=None)
    Experiment.objects.update(frozen_at=None)
    lifecycle.stop(experiment, by=None)
    with pytest.raises(lifecycle.WrongStatus):
        lifecycle.change_control(Experiment.objects.get(pk=experiment.pk), experiment.arms.get(key="v2"), by=None)


def test_history_names_who_changed_it(owner):
    experiment = proved()
    lifecycle.change_control(experiment, experiment.arms.get(key="v2"), by=owner)
    assert experiment.control_changes.get().made_by == owner
