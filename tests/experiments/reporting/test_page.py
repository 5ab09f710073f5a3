"""What stands on a report's page beside its numbers."""

from experiments.reporting.page import page_of
from experiments.reporting.values import VerdictReport
from tests.experiments.reporting.made import START, make_arm, make_report


def test_conversions_still_to_come_are_named_with_their_part():
    page = page_of(make_report([make_arm("control", is_control=True)], still_maturing=0.12))
    assert "about 12% of the conversions" in page.maturing


def test_a_hundredth_still_to_come_is_not_worth_a_word():
    assert not page_of(make_report([make_arm("control", is_control=True)], still_maturing=0.01)).maturing


def test_today_s_page_comes_first_then_the_likeliest_to_be_best():
    arms = [make_arm("v2", probability_best=0.1), make_arm("v3", probability_best=0.8), make_arm("control")]
    assert [row.arm.key for row in page_of(make_report(arms)).live] == ["control", "v3", "v2"]


def test_a_page_that_is_surely_better_has_the_headline_before_the_best_is_known():
    verdict = VerdictReport(state="leaning", text="", better_than_control=True)
    page = page_of(make_report([make_arm("control"), make_arm(is_better=True)], verdict=verdict))
    assert (page.headline, page.state) == ("Better than today's page", "better")


def test_who_asked_to_be_forgotten_is_not_among_what_was_not_counted():
    page = page_of(make_report([make_arm("control")], forgotten=3, not_counted={"bot": 4}))
    assert [number.key for number in page.not_counted] == ["bot"]
    assert page.forgotten.startswith("3 people asked to be forgotten")
    assert not page_of(make_report([make_arm("control")])).forgotten


def test_shares_that_stand_still_are_not_said_to_follow_what_converts():
    assert "stand still" in page_of(make_report([make_arm("control")], frozen_at=START)).policy


def test_a_paused_arm_stands_with_those_that_left():
    page = page_of(make_report([make_arm("control", is_control=True), make_arm("v2", status="paused")]))
    assert [row.arm.key for row in page.retired] == ["v2"]
