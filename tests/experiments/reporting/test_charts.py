import re
from datetime import timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.reporting import arm_charts
from experiments.reporting.arm_charts import lifts
from experiments.reporting.axes import spread, ticks, time_ticks
from experiments.reporting.bars import rate_bar, rate_scale
from experiments.reporting.charts import all_charts
from experiments.reporting.paper import MOST_ROWS, NARROW, TOP, WIDE
from experiments.reporting.values import Moment
from tests.experiments.reporting.made import START, make_arm, make_report

HOSTILE = ["<script>alert(1)</script>", "\"' onload='x", "]]>&amp;&", "a\x00b\x1f", "\ud800", "\u202eevil", "x" * 500]
SVG = "{http://www.w3.org/2000/svg}"


def drawings(report) -> list[ET.Element]:
    return [ET.fromstring(svg) for chart in all_charts(report) for svg in (chart.wide, chart.narrow)]  # noqa: S314 - our own


def make_many(count: int):
    return [
        make_arm("control"),
        *(make_arm(f"v{number}", probability_best=0.5 / number) for number in range(2, count + 1)),
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name):
    found = drawings(make_report([make_arm("control"), make_arm(name=name)]))
    assert len(found) == 8
    assert not any(element.tag == f"{SVG}script" for svg in found for element in svg.iter())


@pytest.mark.parametrize("count", [1, 2, 13, 100])
def test_every_drawing_is_titled_and_described(count):
    for svg in drawings(make_report(make_many(count))):
        named = svg.get("aria-labelledby", "").split()
        assert svg.get("role") == "img"
        assert [bool(svg.findtext(f"*[@id='{name}']")) for name in named] == [True, True]


def test_nothing_is_styled_inline_because_the_policy_refuses_it():
    for chart in all_charts(make_report(make_many(13))):
        assert not re.search(r"\sstyle=|<style", chart.wide + chart.narrow)


def test_without_visitors_nothing_is_drawn():
    nobody: dict[str, Any] = {"exposures": 0, "conversions": 0, "rate": None}
    assert all_charts(make_report([make_arm("control", **nobody), make_arm(**nobody)])) == []
    assert all_charts(make_report([], history=[])) == []


def test_of_many_arms_the_likeliest_and_the_control_are_drawn():
    chart = all_charts(make_report(make_many(100)))[0]
    assert len(chart.rows) == MOST_ROWS
    assert {"Ours", "v2"} <= {row[0] for row in chart.rows}


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_every_mark_and_word_lies_on_the_paper(size):
    arms = [make_arm("control", name="W" * 60), make_arm(lift_interval=(-0.99, 40.0), name="W" * 60)]
    for chart in all_charts(make_report(arms)):
        svg = ET.fromstring(getattr(chart, size))  # noqa: S314 - our own
        width, height = (float(number) for number in svg.get("viewBox", "").split()[2:])
        for element in svg.iter():
            for name, most in (("x", width), ("cx", width), ("x2", width), ("y", height), ("cy", height)):
                assert 0 <= float(element.get(name, 0)) <= most


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_every_line_of_the_rates_so_far_lies_inside_the_frame(size):
    arms = [make_arm("control"), make_arm()]
    moments = [
        Moment(at=START + timedelta(hours=hour), epoch=hour, shares={}, reason="", counts={"control": c, "v2": v})
        for hour, (c, v) in enumerate([([2, 2], [3, 0]), ([30, 9], [40, 1]), ([400, 40], [300, 20])])
    ]
    chart = next(chart for chart in all_charts(make_report(arms, history=moments)) if chart.key == "history")
    drawn = " ".join(re.findall(r' d="([^"]+)"', getattr(chart, size)))
    heights = [float(y) for y in re.findall(r"[0-9.]+ ([0-9.]+)", drawn)]
    assert min(heights) >= TOP
    assert max(heights) <= TOP + max(WIDE.plot_height, NARROW.plot_height)


def test_the_first_few_visitors_do_not_flatten_the_rates_of_all_the_others():
    moments = [
        Moment(at=START + timedelta(hours=hour), epoch=1, shares={}, reason="", counts={"control": seen, "v2": seen})
        for hour, seen in enumerate(([3, 2], [3000, 100]))
    ]
    chart = all_charts(make_report([make_arm("control"), make_arm()], history=moments))[-1]
    assert chart.key == "history"
    assert all(float(row[-1].removesuffix("%")) < 10 for row in chart.rows)


def test_each_chart_has_the_numbers_behind_it():
    for chart in all_charts(make_report(make_many(3))):
        assert chart.rows
        assert all(len(row) == len(chart.head) for row in chart.rows)


def test_shares_of_the_stack_add_up_at_every_time():
    chart = next(chart for chart in all_charts(make_report(make_many(100))) if chart.key == "shares")
    assert chart.head[-1] == "94 other pages"
    assert {row[-1] for row in chart.rows} == {"94%"}


def test_a_bar_is_drawn_on_the_scale_that_all_bars_share():
    arms = [make_arm(rate=0.02, rate_interval=(0.01, 0.03)), make_arm(rate=0.04, rate_interval=(0.03, 0.06))]
    bars = [ET.fromstring(rate_bar(arm, rate_scale(arms), is_leader=False)) for arm in arms]  # noqa: S314 - our own
    low, high = (float(dot.get("cx", 0)) for bar in bars for dot in bar.iter("circle"))
    assert low < high


@given(st.floats(0, 1), st.floats(1e-6, 10), st.integers(1, 8))
def test_ticks_are_few_even_and_within(low, extent, most):
    found = ticks(low, low + extent, most)
    assert len(found) <= most * 2 + 1
    assert all(low - extent * 1e-6 <= tick <= low + extent * (1 + 1e-6) for tick in found)


@given(st.integers(1, 3 * 365 * 24 * 3600), st.integers(2, 6))
def test_times_are_marked_at_a_readable_number_of_moments(seconds, most):
    end = START + timedelta(seconds=seconds)
    found = time_ticks(START, end, most)
    assert len(found) <= max(most + 1, seconds // 2_592_000 + 1)
    assert all(START <= at <= end for at, _ in found)


@given(st.lists(st.floats(0, 200), max_size=10))
def test_labels_are_moved_apart(places):
    moved = sorted(spread(places, 14, 0, 200))
    assert all(after - before > 14 - 1e-6 for before, after in pairwise(moved))


def test_a_bar_that_goes_on_beyond_the_chart_ends_in_an_arrow_and_the_words_say_so():
    within = make_report([make_arm("control"), make_arm(lift=0.4, lift_interval=(0.1, 0.9))])
    beyond = make_report([make_arm("control"), make_arm(lift=2.4, lift_interval=(0.5, 5.0))])
    assert 'class="arrow' not in lifts(within).wide
    assert arm_charts.BEYOND not in lifts(within).note
    assert lifts(beyond).wide.count('class="arrow') == 1
    assert arm_charts.BEYOND in lifts(beyond).note
    assert "<circle" not in lifts(beyond).wide
    assert lifts(beyond).rows[0][2] == "+50% to +500%"
