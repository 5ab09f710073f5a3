"""The proof round, the replay, numbers set aside and the outlook, as a report tells them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments import allocation, outlook
from experiments.models import EXPOSURES, EpochCount, Experiment
from experiments.reporting.report import as_json, build
from tests.experiments.reporting.made import make_counted
from tests.factories import make_running

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]


def proving(counts: dict[str, tuple[int, int]]) -> Experiment:
    """Return an experiment whose proof round has these counts, after a flattering first epoch."""
    experiment = make_counted([(1000, 20), (1000, 60), (1000, 20)], control_share=0.0)
    arm = experiment.arms.get(key="v2")
    epoch = allocation.open_proof(experiment, arm, timezone.now()).epoch
    Experiment.objects.filter(pk=experiment.pk).update(proof_arm=arm, proof_epoch=epoch)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for key, (exposures, conversions) in counts.items():
        common = {"arm": experiment.arms.get(key=key), "epoch": epoch, "hour": hour}
        EpochCount.objects.create(measure=EXPOSURES, count=exposures, **common)
        EpochCount.objects.create(measure="signup", count=conversions, **common)
    experiment.refresh_from_db()
    return experiment


def test_a_proof_round_counts_from_zero():
    proof = build(proving({"control": (5000, 200), "v2": (5000, 220)})).proof
    assert proof is not None
    assert (proof.arm, proof.exposures, proof.conversions) == ("v2", (5000, 5000), (200, 220))
    assert proof.lift == pytest.approx(0.1, abs=0.01)
    assert not proof.is_proved
    assert "Not proved yet" in proof.text


def test_a_proof_round_with_strong_evidence_proves():
    proof = build(proving({"control": (50_000, 2000), "v2": (50_000, 2500)})).proof
    assert proof is not None
    assert proof.is_proved
    assert "this is the lift to report" in proof.text


def test_a_proof_round_without_visitors_says_so():
    proof = build(proving({})).proof
    assert proof is not None
    assert (proof.lift, proof.lift_interval) == (None, None)
    assert "Nobody has been counted yet" in proof.text


def test_without_a_proof_round_there_is_none():
    assert build(make_running()).proof is None


def test_an_equal_split_is_replayed():
    replay = build(make_counted([(1000, 40), (1000, 60)])).replay
    assert replay is not None
    assert replay.earned == 100
    assert replay.equal_split == pytest.approx(100)
    assert "100 conversions were earned" in replay.text


def test_too_few_conversions_are_not_replayed():
    assert build(make_counted([(100, 4), (100, 6)])).replay is None


def test_numbers_set_aside_are_told_and_nothing_is_computed_from_them():
    experiment = make_counted([(1000, 40), (500, 60)])
    Experiment.objects.filter(pk=experiment.pk).update(trusted_from_epoch=2)
    experiment.refresh_from_db()
    report = build(experiment)
    assert (report.set_aside, report.exposures, report.conversions) == (1500, 0, 0)


def test_a_frozen_experiment_is_not_trusted_even_if_the_split_looks_right_again():
    experiment = make_counted([(5000, 200), (5000, 260)])
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=timezone.now())
    experiment.refresh_from_db()
    report = build(experiment)
    assert report.verdict.state == "cannot_be_trusted"
    assert "Shares stand still" in report.verdict.text
    assert as_json(report)["frozen_at"]


# How long still


def looked_ahead(counts: list[tuple[int, int]], *, days: float) -> Experiment:
    experiment = make_counted(counts, policy="equal", control_share=0.0)
    now = timezone.now()
    Experiment.objects.filter(pk=experiment.pk).update(started_at=now - timedelta(days=days))
    experiment.refresh_from_db()
    outlook.renew(experiment, now)
    experiment.refresh_from_db()
    return experiment


def test_a_clear_lead_will_soon_be_decided():
    told = build(looked_ahead([(5000, 150), (5000, 230)], days=2)).outlook
    assert told is not None
    assert told.days == 2
    assert "within 2 days" in told.text


def test_a_trickle_of_visitors_will_not_decide():
    told = build(looked_ahead([(30, 1), (30, 2)], days=20)).outlook
    assert told is not None
    assert told.days is None
    assert "not be decided within 28 days" in told.text


def test_there_is_no_outlook_before_there_is_a_pace():
    assert looked_ahead([(30, 1), (30, 2)], days=0.01).outlook is None


def test_far_too_many_pages_for_the_traffic_are_told():
    experiment = make_counted([(1000, 40), (1000, 40)])
    told = {"days": 3.0, "days_at_most": None, "horizon_days": 28, "live": 20, "arms_afforded": 4}
    Experiment.objects.filter(pk=experiment.pk).update(outlook=told)
    experiment.refresh_from_db()
    found = build(experiment).outlook
    assert found is not None
    assert found.text.endswith("20 pages are live; this traffic earns most with about 4.")
