"""The verdict in parts: what to do, how sure, what is unknown, how long."""

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments import evidence
from experiments.inference import VerdictState
from experiments.models import EXPOSURES, EpochCount
from experiments.reporting.next_steps import Known, visitors_per_day, with_parts
from experiments.reporting.sentences import sentence
from experiments.reporting.values import VerdictReport
from tests.experiments.reporting.made import make_arm, make_counted
from tests.experiments.reporting.test_sentences import ARMS, CALLS_A_WINNER, make_verdict, make_with
from tests.factories import there

pytestmark = pytest.mark.django_db

STATUSES = ["running", "paused", "finished", "promoted"]


def parts_of(state: VerdictState, status: str = "running", arms=ARMS, leader: int = 1, **changes) -> VerdictReport:
    experiment, judged = make_with(status), make_verdict(state, leader, changes.pop("missing", 0.0))
    values = {"proofs": [], "outlook": None, "visitors_per_day": None, **changes}
    said = sentence(experiment, arms, judged)
    return with_parts(Known(experiment=experiment, arms=arms, judged=judged, verdict=said, **values))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("state", list(VerdictState))
@pytest.mark.parametrize("leader", [0, 1])
def test_every_state_says_what_to_do_how_sure_and_what_is_unknown(state, status, leader):
    found = parts_of(state, status, leader=leader)
    assert all((found.action, found.sure, found.unknown))


@pytest.mark.parametrize("state", [state for state in VerdictState if state != VerdictState.DECIDED])
def test_nothing_is_promoted_before_it_is_decided(state):
    found = parts_of(state)
    assert "Promote “" not in found.action
    assert not CALLS_A_WINNER.search(f"{found.action} {found.sure} {found.unknown} {found.when}")


def test_a_winner_is_promoted_and_what_stays_unknown_is_how_large_the_gain_is():
    found = parts_of(VerdictState.DECIDED)
    assert found.action == "Promote “Promise of speed”."
    assert found.unknown == "How large the gain is: +22% to +51%."


def test_what_cannot_be_trusted_says_so_and_why():
    found = parts_of(VerdictState.CANNOT_BE_TRUSTED)
    assert found.action.startswith("Promote nothing.")
    assert "did not arrive as they were sent" in found.sure


def test_how_long_until_pages_can_be_compared_follows_from_todays_traffic():
    arms = [make_arm("control", exposures=400, share=0.1), make_arm("v2", exposures=2000, share=0.9)]
    found = parts_of(VerdictState.COLLECTING, arms=arms, missing=600.0, visitors_per_day=2000.0)
    assert found.when == "About 3 days until pages can be compared. Today's traffic is 2,000 visitors a day."


def test_what_is_to_be_shown_now_is_not_said_to_be_too_early():
    better = make_arm("v2", probability_best=0.7, lift_interval=(0.08, 0.31), is_better=True)
    found = parts_of(VerdictState.LEANING, arms=[make_arm("control"), better])
    assert found.action.startswith("Show “")
    assert found.when == "That it is better is known now; when it is surely the best, cannot be said yet."


def test_what_is_paused_is_resumed_and_what_is_over_is_not_waited_for():
    assert parts_of(VerdictState.LEANING, "paused").action == "Resume it to learn more."
    over = parts_of(VerdictState.LEANING, "finished")
    assert over.action.startswith("Start a new one")
    assert over.when == "It has ended: nothing more will be known."


def test_todays_traffic_is_that_of_the_last_day():
    experiment = make_counted([(0, 0), (0, 0)])
    now = timezone.now()
    experiment.started_at = now - timedelta(days=4)
    EpochCount.objects.all().delete()
    arm = there(experiment.arms.first())
    for hours, number in ((2, 600), (10, 400), (60, 9000)):
        hour = (now - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
        EpochCount.objects.create(arm=arm, epoch=1, hour=hour, measure=EXPOSURES, count=number)
    known = evidence.gather(experiment, evidence.entered_arms(experiment))
    assert visitors_per_day(experiment, known, now) == pytest.approx(1000, rel=0.05)
