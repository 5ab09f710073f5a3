import re
from dataclasses import replace

import pytest

from experiments.inference import Verdict, VerdictState
from experiments.models import Experiment, Goal
from experiments.reporting.sentences import sentence
from tests.experiments.reporting.made import make_arm
from tests.factories import make_experiment, there

pytestmark = pytest.mark.django_db

CONTROL = make_arm("control", rate=0.03, rate_interval=(0.026, 0.035))
FAST = make_arm("v2", name="Promise of speed", rate=0.041, probability_best=0.97, lift_interval=(0.22, 0.51))
ARMS = [CONTROL, FAST]
CALLS_A_WINNER = re.compile(r"very likely best|winner|safe to promote|keep it", re.IGNORECASE)


def make_verdict(state: VerdictState, leader: int | None = 1, missing: float = 0.0) -> Verdict:
    told = state not in {VerdictState.COLLECTING, VerdictState.CANNOT_BE_TRUSTED}
    return Verdict(
        state=state,
        leader=leader if told else None,
        probability_best=0.97 if told else None,
        evidence=100.0 if told else None,
        evidence_needed=40.0,
        control_relative_loss=0.1 if told else None,
        exposures_missing=missing,
        sample_ratio_p_value=0.5,
    )


def make_with(status: str = "running", **changes) -> Experiment:
    experiment = make_experiment(**changes)
    experiment.status = status
    return experiment


def text_of(state: VerdictState, status: str = "running", arms=ARMS, leader: int = 1) -> str:
    return sentence(make_with(status), arms, make_verdict(state, leader)).text


def test_a_decided_verdict_says_who_by_how_much_and_what_to_do():
    assert text_of(VerdictState.DECIDED) == (
        "“Promise of speed” is very likely best (97%): it turns 4.1% of visitors into leads, today's page 3.0%. "
        "Expect +22% to +51%. Safe to promote."
    )


def test_the_state_is_the_one_that_was_judged():
    for state in VerdictState:
        assert sentence(make_with(), ARMS, make_verdict(state)).state == state.value


@pytest.mark.parametrize("status", ["running", "paused", "finished", "promoted"])
@pytest.mark.parametrize("state", [state for state in VerdictState if state != VerdictState.DECIDED])
@pytest.mark.parametrize("leader", [0, 1])
def test_nobody_is_called_a_winner_unless_it_is_decided(state, status, leader):
    certain = [make_arm(arm.key, probability_best=0.999, lift_interval=(0.9, 1.1)) for arm in ARMS]
    assert not CALLS_A_WINNER.search(text_of(state, status, certain, leader))


@pytest.mark.parametrize("state", list(VerdictState))
def test_no_sentence_needs_a_statistician(state):
    assert not re.search(r"p-value|posterior|bayes|credible|significan|e-value|null", text_of(state), re.IGNORECASE)


def test_a_control_that_won_is_to_be_kept():
    text = text_of(VerdictState.DECIDED, leader=0)
    assert text.startswith("Today's page is very likely best")
    assert text.endswith("Keep it.")


def test_a_strong_lead_without_proof_says_that_the_proof_is_missing():
    assert "not yet strong enough" in text_of(VerdictState.LEANING)


def test_better_than_today_s_page_and_best_of_all_are_two_claims():
    sure = make_arm("v2", name="Calm", probability_best=0.7, lift_interval=(0.08, 0.31), is_better=True)
    said = sentence(make_with(), [CONTROL, sure], make_verdict(VerdictState.LEANING))
    assert (said.state, said.better_than_control, said.best_of_all) == ("leaning", True, False)
    assert "“Calm” is surely better than today's page" in said.text
    assert "Whether it is the best of all pages is not sure yet (70%)." in said.text
    assert "hint" not in sentence(make_with("finished"), [CONTROL, sure], make_verdict(VerdictState.LEANING)).text


def test_a_winner_is_best_of_all():
    best = make_arm("v2", is_better=True)
    said = sentence(make_with(), [CONTROL, best], make_verdict(VerdictState.DECIDED))
    assert (said.better_than_control, said.best_of_all) == (True, True)


def test_without_evidence_nothing_is_claimed():
    said = sentence(make_with(), ARMS, make_verdict(VerdictState.CANNOT_BE_TRUSTED))
    assert (said.better_than_control, said.best_of_all) == (False, False)


def test_a_weak_lead_gives_the_whole_range_it_may_turn_out_to_be():
    weak = make_arm("v2", name="Calm", probability_best=0.7, lift_interval=(-0.08, 0.31))
    text = text_of(VerdictState.LEANING, arms=[CONTROL, weak])
    assert "not sure yet (70%)" in text
    assert "anything from −8% to +31%" in text


def test_a_split_that_went_wrong_is_all_that_is_said():
    text = text_of(VerdictState.CANNOT_BE_TRUSTED)
    assert text.startswith("These numbers cannot be trusted")
    assert "4.1%" not in text


def test_a_draft_is_said_not_to_have_started():
    report = sentence(make_with("draft"), [], None)
    assert (report.state, report.text) == ("collecting", "Not started yet: nobody has seen these pages.")


def test_without_visitors_it_waits():
    assert sentence(make_with(), ARMS, None).text == "Running, and waiting for the first visitors."


def test_one_arm_has_nothing_to_be_compared_with():
    assert "nothing to compare" in sentence(make_with(), [CONTROL], make_verdict(VerdictState.COLLECTING)).text


def test_too_few_visitors_of_the_control_are_named_with_what_is_needed():
    arms = [make_arm("control", exposures=540), make_arm("v2", exposures=5462, probability_best=0.96)]
    text = sentence(make_with(), arms, make_verdict(VerdictState.COLLECTING, missing=460.0)).text
    assert "Today's page has had 540 visitors; 1,000 are needed before this says more. Let it run." in text
    assert "too few" not in text


def test_a_leader_with_fewer_visitors_than_the_control_is_the_one_named():
    arms = [make_arm("control", exposures=540), make_arm("v2", name="Calm", exposures=1, probability_best=0.96)]
    text = sentence(make_with(), arms, make_verdict(VerdictState.COLLECTING, missing=999.0)).text
    assert "“Calm” has had 1 visitor; 1,000 are needed" in text


@pytest.mark.parametrize("status", ["paused", "finished", "promoted"])
@pytest.mark.parametrize("state", list(VerdictState))
@pytest.mark.parametrize("missing", [0.0, 10.0])
def test_what_does_not_run_is_not_told_to_run_on(state, status, missing):
    assert "Let it run" not in sentence(make_with(status), ARMS, make_verdict(state, missing=missing)).text


def test_a_paused_experiment_is_to_be_resumed():
    assert "resume it" in text_of(VerdictState.COLLECTING, "paused")


def test_once_promoted_the_advice_is_what_was_done():
    experiment = make_with("promoted")
    variant = experiment.nursery.variants.get(number=2)
    experiment.winner = experiment.arms.create(variant=variant, key="v2")
    assert sentence(experiment, ARMS, make_verdict(VerdictState.DECIDED)).text.endswith("Everybody sees it now.")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Goal.Kind.CLICK, "of its visitors click"),
        (Goal.Kind.REVENUE, "it brings 2.50 USD per visitor, today's page 2.00 USD"),
        (Goal.Kind.EVENT, "goal signup"),
    ],
)
def test_the_goal_gives_the_conversion_its_word(kind, words):
    arms = [replace(CONTROL, value=10_000.0), replace(FAST, value=12_500.0)]
    assert words in sentence(make_with(goal_kind=kind), arms, make_verdict(VerdictState.DECIDED)).text


@pytest.mark.parametrize("state", [VerdictState.LEANING, VerdictState.DECIDED, VerdictState.NO_DIFFERENCE])
def test_the_number_to_defend_is_the_range_of_the_page_in_front(state):
    figure = there(sentence(make_with(), ARMS, make_verdict(state)).figure)
    assert (figure.arm, figure.lift_interval, figure.what) == ("v2", FAST.lift_interval, "leads per visitor")
    assert sentence(make_with(), ARMS, make_verdict(state, leader=0)).figure is None


@pytest.mark.parametrize("state", [VerdictState.COLLECTING, VerdictState.CANNOT_BE_TRUSTED])
def test_without_a_leader_there_is_no_number_to_defend(state):
    assert sentence(make_with(), ARMS, make_verdict(state)).figure is None


def test_a_page_that_looks_best_is_not_outwaited_for_a_still_better_one():
    sure = make_arm("v2", name="Calm", probability_best=0.99, lift_interval=(0.08, 0.31), is_better=True)
    said = sentence(make_with(), [CONTROL, sure], make_verdict(VerdictState.LEANING)).text
    assert said.endswith("Showing it to everybody would be a gain already.")
