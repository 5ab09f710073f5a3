"""What stands on a report's page beside its numbers."""

from experiments.reporting.page import page_of
from tests.experiments.reporting.made import make_arm, make_report


def test_conversions_still_to_come_are_named_with_their_part():
    page = page_of(make_report([make_arm("control", is_control=True)], still_maturing=0.12))
    assert "about 12% of the conversions" in page.maturing


def test_a_hundredth_still_to_come_is_not_worth_a_word():
    assert not page_of(make_report([make_arm("control", is_control=True)], still_maturing=0.01)).maturing


def test_a_paused_arm_stands_with_those_that_left():
    page = page_of(make_report([make_arm("control", is_control=True), make_arm("v2", status="paused")]))
    assert [row.arm.key for row in page.retired] == ["v2"]
