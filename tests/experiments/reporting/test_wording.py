from datetime import timedelta

import pytest

from experiments.reporting import wording


@pytest.mark.parametrize(
    ("fraction", "interval", "text"),
    [
        (0.0412, (0.035, 0.05), "4.1%"),
        (0.0412, (0.040, 0.042), "4.12%"),
        (0.0071, (0.002, 0.025), "0.7%"),
        (0.0071, (0.006, 0.008), "0.71%"),
        (0.0, None, "0.0%"),
        (None, None, "–"),
    ],
)
def test_a_rate_has_the_digits_its_interval_supports(fraction, interval, text):
    assert wording.rate(fraction, interval) == text


def test_a_lift_says_its_direction_and_no_false_digits():
    assert wording.lift(0.2249, (0.1, 0.4)) == "+22%"
    assert wording.lift(-0.031, (-0.06, 0.0)) == "−3.1%"
    assert wording.lift(12.5, (1.0, 30.0)) == "+1,250%"


def test_a_lift_that_rounds_to_nothing_has_no_sign():
    assert wording.lift(-0.0004, (-0.3, 0.3)) == "0%"


def test_no_chance_is_called_certain():
    assert [wording.chance(p) for p in (0.0, 0.97, 0.9999, 1.0)] == ["<1%", "97%", ">99%", ">99%"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "just started"), (61, "1 minute"), (7200, "2 hours"), (86_400 * 3 + 5, "3 days")]
)
def test_a_duration_is_told_in_its_largest_unit(seconds, text):
    assert wording.duration(timedelta(seconds=seconds)) == text


def test_a_name_that_is_cut_keeps_the_number_that_tells_it_from_its_parent():
    name = "What if, from now on, your papers stay on your own server? (7)"
    assert wording.shortened(name, 17) == "What if, fro… (7)"
    assert wording.in_lines(name, 21, 2) == ["What if, from now on,", "your papers stay… (7)"]
    assert wording.shortened("A page (that says a lot in brackets)", 12) == "A page (tha…"
