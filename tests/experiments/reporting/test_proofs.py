"""Proof rounds, as a report tells them: while they run, after their end, and when their numbers count for nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments import allocation
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment, ProofRound
from experiments.reporting.page import page_of
from experiments.reporting.report import as_json, build
from experiments.reporting.values import ProofReport
from tests.experiments.reporting.made import make_counted
from tests.factories import make_running

pytestmark = pytest.mark.django_db

CLEAR = {"control": (50_000, 2000), "v2": (50_000, 2500)}
UNCLEAR = {"control": (5000, 200), "v2": (5000, 220)}


def changed(experiment: Experiment, **values: Any) -> Experiment:
    Experiment.objects.filter(pk=experiment.pk).update(**values)
    experiment.refresh_from_db()
    return experiment


def proving(counts: dict[str, tuple[int, int]]) -> Experiment:
    """Return an experiment whose proof round has these counts, after a flattering first epoch."""
    experiment = make_counted([(1000, 20), (1000, 60), (1000, 20)], control_share=0.0)
    arm = experiment.arms.get(key="v2")
    epoch = allocation.open_proof(experiment, arm, timezone.now() - timedelta(days=2)).epoch
    ProofRound.objects.create(experiment=experiment, arm=arm, epoch=epoch)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for key, (exposures, conversions) in counts.items():
        common = {"arm": experiment.arms.get(key=key), "epoch": epoch, "hour": hour}
        EpochCount.objects.create(measure=EXPOSURES, count=exposures, **common)
        EpochCount.objects.create(measure="signup", count=conversions, **common)
    return changed(experiment, proof_arm=arm, proof_epoch=epoch)


def ended(experiment: Experiment) -> Experiment:
    """End the round, and let visitors come who are no part of it."""
    epoch = allocation.open_afresh(experiment, "ended", timezone.now()).epoch
    later = {"arm": experiment.arms.get(key="v2"), "epoch": epoch, "hour": timezone.now()}
    EpochCount.objects.create(measure=EXPOSURES, count=900, **later)
    return changed(experiment, proof_arm=None, proof_epoch=None)


def promoted(experiment: Experiment, key: str) -> Experiment:
    winner = experiment.arms.get(key=key)
    return changed(experiment, status="promoted", winner=winner, finished_at=timezone.now())


def proof_of(experiment: Experiment) -> ProofReport:
    proof = build(experiment).proof
    assert proof is not None
    return proof


def test_a_proof_round_counts_from_zero():
    proof = proof_of(proving(UNCLEAR))
    assert (proof.arm, proof.exposures, proof.conversions) == ("v2", (5000, 5000), (200, 220))
    assert proof.lift == pytest.approx(0.1, abs=0.01)
    assert (proof.state, proof.is_proved) == ("running", False)
    assert "Not proved yet" in proof.text


def test_a_proof_round_with_strong_evidence_proves():
    proof = proof_of(proving(CLEAR))
    assert proof.is_proved
    assert "this is the lift to report" in proof.text


def test_a_proof_round_without_visitors_says_so():
    proof = proof_of(proving({}))
    assert (proof.lift, proof.lift_interval) == (None, None)
    assert "Nobody has been counted yet" in proof.text


def test_without_a_proof_round_there_is_none():
    report = build(make_running())
    assert (report.proof, report.proofs) == (None, [])


def test_a_round_that_is_over_stays_with_its_lift_its_visitors_and_its_time():
    proof = proof_of(ended(proving(CLEAR)))
    assert (proof.state, proof.exposures) == ("ended", (50_000, 50_000))
    assert proof.ended_at is not None
    assert proof.is_proved
    began, end = (f"{at.day} {at:%b %Y}" for at in (proof.started_at, proof.ended_at))
    assert proof.text.startswith(f"From {began} to {end} “Variant 2” ran against today's page from zero, 100,000 visit")
    assert proof.text.endswith("It was ended without choosing a page.")


def test_after_promotion_the_lift_of_the_round_is_the_one_that_is_told():
    report = build(promoted(ended(proving(UNCLEAR)), "v2"))
    assert report.proof is not None
    assert report.proof.is_reported
    assert report.verdict.text.startswith("Everybody sees “Variant 2” now. In its proof round, 10,000 visitors")
    assert "+10% (−9% to +33%)" in report.verdict.text
    assert "likely but not proved" in report.verdict.text
    assert page_of(report).headline == "A page is chosen"


def test_the_lift_of_a_round_is_not_told_of_another_page():
    report = build(promoted(ended(proving(CLEAR)), "v3"))
    assert report.proof is not None
    assert not report.proof.is_reported
    assert report.proof.text.endswith("Everybody now sees “Variant 3”.")
    assert "proof round" not in report.verdict.text


def test_a_page_that_a_guardrail_stopped_says_why_its_round_is_over():
    experiment = ended(proving(UNCLEAR))
    experiment.arms.filter(key="v2").update(status=Arm.Status.PAUSED, reason="its visitors complain more often")
    assert proof_of(experiment).text.endswith("The page was stopped: its visitors complain more often.")


def test_nothing_is_said_of_a_round_whose_visitors_were_not_split_as_planned():
    proof = proof_of(changed(proving(CLEAR), frozen_at=timezone.now()))
    assert (proof.state, proof.lift, proof.is_proved) == ("frozen", None, False)
    assert "nothing can be said" in proof.text
    assert "report" not in proof.text


def test_a_round_that_was_set_aside_is_named_without_a_lift():
    experiment = ended(proving(CLEAR))
    proof = proof_of(changed(experiment, trusted_from_epoch=3))
    assert (proof.state, proof.lift, proof.is_proved, proof.exposures) == ("set_aside", None, False, (0, 0))
    assert "set aside: visitors were not split as planned" in proof.text


def test_the_newest_round_stands_first_and_each_is_told():
    experiment = ended(proving(UNCLEAR))
    epoch = allocation.open_proof(experiment, experiment.arms.get(key="v3"), timezone.now()).epoch
    ProofRound.objects.create(experiment=experiment, arm=experiment.arms.get(key="v3"), epoch=epoch)
    told = as_json(build(changed(experiment, proof_arm=experiment.arms.get(key="v3"), proof_epoch=epoch)))
    assert [proof["arm"] for proof in told["proofs"]] == ["v3", "v2"]
    assert told["proof"] == told["proofs"][0]
    assert told["proofs"][1]["ended_at"] is not None


# What else is on the page meanwhile


def test_during_a_round_two_pages_share_the_visitors_and_the_others_are_said_to_wait():
    page = page_of(build(proving(UNCLEAR)))
    assert [row.arm.key for row in page.live] == ["control", "v2"]
    assert [row.arm.key for row in page.held] == ["v3"]
    assert page.caption == "The two pages of the proof round"
    assert "half of them" in page.policy
    assert "A proof round is running" in page.report.verdict.text


def test_after_a_round_all_pages_get_visitors_again():
    page = page_of(build(ended(proving(UNCLEAR))))
    assert (len(page.live), page.held, page.caption) == (3, [], "Pages that get new visitors")
    assert "proof round" not in page.policy
    assert next(row.lift_proof for row in page.live if row.arm.key == "v2") == "+10%"


def test_a_paused_round_says_that_new_visitors_see_today_s_page():
    page = page_of(build(changed(proving(UNCLEAR), status="paused")))
    assert (page.held, page.caption) == ([], "The pages")
    assert "they see today's page" in page.policy
    assert "waits while the experiment is paused" in (page.report.proof.text if page.report.proof else "")
