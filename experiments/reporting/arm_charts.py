"""Draw arms one under the other: where each one's rate probably lies, and how far it is from today's page. Pure."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from experiments.reporting import wording
from experiments.reporting.axes import Axis, ticks
from experiments.reporting.bars import rate_scale
from experiments.reporting.paper import (
    AXIS_HEIGHT,
    CHARACTER,
    NARROW,
    TOP,
    WIDE,
    Chart,
    Sheet,
    drawn_arms,
    finished,
    kind_of,
    left_out,
    lift_tick,
    percent_tick,
    shown_name,
)
from experiments.reporting.svg import line, path, tag, words
from experiments.reporting.values import ArmReport, Report

DENSITY_POINTS = 48
DENSITY_REACH = 3.5  # standard deviations to either side: beyond, a mountain is flat
LIFT_LIMITS = (-1.0, 2.0)  # of the axis; little data would stretch it until nothing else is seen
HILL_HEIGHT = 26.0
LIFT_NOTE = "The dot is the best guess, the bar the 95% interval. A bar that crosses 0 may be no difference at all."
LIFT_NOTE_EARLY = "Each bar is the 95% interval. It is too early for a best guess: more visitors make the bars shorter."
BEYOND = " An arrow at the edge says that a bar goes on beyond it; the table has its ends."
LINE_HEIGHT = 15.0  # of a name in two lines


def rates(report: Report) -> Chart:
    arms = sorted(drawn_arms(report), key=lambda arm: arm.rate or 0.0, reverse=True)
    title = "How well each page converts"
    return Chart(
        key="rates",
        title=title,
        note="Each hill is where a page's true rate probably lies. A narrow hill is well known, a wide one is not."
        + left_out(report, arms),
        wide=_rates_drawing(report, arms, WIDE, title),
        narrow=_rates_drawing(report, arms, NARROW, title),
        head=["Page", "Visitors", "Conversions", "Rate", "95% interval"],
        rows=[
            [
                arm.name,
                wording.whole(arm.exposures),
                wording.whole(arm.conversions),
                wording.rate(arm.rate, arm.rate_interval),
                wording.rate_interval(arm.rate_interval),
            ]
            for arm in arms
        ],
    )


def lifts(report: Report) -> Chart:
    arms = [arm for arm in drawn_arms(report) if arm.lift is not None]
    arms.sort(key=lambda arm: arm.lift or 0.0, reverse=True)
    title = "Better or worse than today's page"
    note = LIFT_NOTE_EARLY if report.is_early else LIFT_NOTE
    return Chart(
        key="lifts",
        title=title,
        note=note + (BEYOND if _goes_beyond(arms) else "") + left_out(report, arms),
        wide=_lifts_drawing(report, arms, WIDE, title),
        narrow=_lifts_drawing(report, arms, NARROW, title),
        head=["Page", "Lift", "95% interval", "Plain lift"],
        rows=[
            [
                arm.name,
                wording.UNKNOWN if report.is_early else wording.lift(arm.lift, arm.lift_interval),
                wording.lift_interval(arm.lift_interval),
                wording.UNKNOWN if report.is_early else wording.lift(arm.lift_raw, arm.lift_interval),
            ]
            for arm in arms
        ],
    )


def _rates_drawing(report: Report, arms: Sequence[ArmReport], sheet: Sheet, title: str) -> str:
    low, high = rate_scale(arms)
    axis = _row_axis(sheet, low, high)
    bottom = TOP + sheet.row_height * len(arms)
    rows = [
        _row_label(report, arm, sheet, TOP + sheet.row_height * place, wording.rate(arm.rate, arm.rate_interval))
        + _hill(arm, axis, TOP + sheet.row_height * (place + 1), kind_of(report, arm))
        for place, arm in enumerate(arms)
    ]
    grid = _grid(axis, ticks(low, high, sheet.most_ticks), bottom, percent_tick)
    described = ", ".join(f"{arm.name} {wording.rate(arm.rate, arm.rate_interval)}" for arm in arms)
    return finished(f"rates-{sheet.name}", sheet, bottom + AXIS_HEIGHT, title, described, grid, *rows)


def _hill(arm: ArmReport, axis: Axis, base: float, kind: str) -> str:
    alpha, beta = arm.conversions + 1.0, max(arm.exposures - arm.conversions, 0) + 1.0
    mean = alpha / (alpha + beta)
    deviation = math.sqrt(mean * (1 - mean) / (alpha + beta + 1))
    low = max(mean - DENSITY_REACH * deviation, axis.low, 1e-9)
    high = min(mean + DENSITY_REACH * deviation, axis.high, 1 - 1e-9)
    grid = np.linspace(low, high, DENSITY_POINTS)
    logs = (alpha - 1) * np.log(grid) + (beta - 1) * np.log1p(-grid)
    heights = np.exp(logs - logs.max()) * HILL_HEIGHT
    outline = [(axis.place(rate), base - 5 - size) for rate, size in zip(grid.tolist(), heights.tolist(), strict=True)]
    points = [(outline[0][0], base - 5), *outline, (outline[-1][0], base - 5)]
    parts = [path(points, f"hill {kind}", closed=True)]
    if arm.rate_interval is not None:
        start, end = (axis.held(edge) for edge in arm.rate_interval)
        parts.append(line((start, base - 5), (end, base - 5), f"interval {kind}"))
    if arm.rate is not None:
        parts.append(tag("circle", cx=axis.held(arm.rate), cy=base - 5, r=3.5, class_=f"dot {kind}"))
    return "".join(parts)


def _lifts_drawing(report: Report, arms: Sequence[ArmReport], sheet: Sheet, title: str) -> str:
    low, high = _lift_scale(arms)
    axis = _row_axis(sheet, low, high)
    bottom = TOP + sheet.row_height * len(arms)
    zero = axis.place(0.0)
    rows = [
        _row_label(report, arm, sheet, TOP + sheet.row_height * place, _lift_words(report, arm))
        + _whisker(report, arm, axis, TOP + sheet.row_height * (place + 1) - 13)
        for place, arm in enumerate(arms)
    ]
    grid = _grid(axis, ticks(low, high, sheet.most_ticks), bottom, lift_tick)
    zero_line = line((zero, TOP), (zero, bottom), "zero")
    described = ", ".join(f"{arm.name} {wording.lift_interval(arm.lift_interval)}" for arm in arms)
    return finished(f"lifts-{sheet.name}", sheet, bottom + AXIS_HEIGHT, title, described, grid, zero_line, *rows)


def _lift_words(report: Report, arm: ArmReport) -> str:
    return "" if report.is_early else wording.lift(arm.lift, arm.lift_interval)


def _whisker(report: Report, arm: ArmReport, axis: Axis, y: float) -> str:
    """Draw the interval and its middle; an arrowhead says that it goes on beyond the axis."""
    kind = kind_of(report, arm)
    low, high = arm.lift_interval or (arm.lift or 0.0, arm.lift or 0.0)
    start, end = axis.held(low), axis.held(high)
    parts = [line((start, y), (end, y), f"interval {kind}")]
    if low < axis.low:
        parts.append(path([(start - 4, y), (start + 6, y - 7), (start + 6, y + 7)], f"arrow {kind}", closed=True))
    if high > axis.high:
        parts.append(path([(end + 4, y), (end - 6, y - 7), (end - 6, y + 7)], f"arrow {kind}", closed=True))
    if not report.is_early and axis.low <= (arm.lift or 0.0) <= axis.high:
        parts.append(tag("circle", cx=axis.place(arm.lift or 0.0), cy=y, r=4.5, class_=f"dot {kind}"))
    return "".join(parts)


def _lift_scale(arms: Sequence[ArmReport]) -> tuple[float, float]:
    ends = [end for arm in arms if arm.lift_interval is not None for end in arm.lift_interval]
    low, high = min([*ends, -0.05]), max([*ends, 0.05])
    room = (high - low) * 0.05
    return max(low - room, LIFT_LIMITS[0]), min(high + room, LIFT_LIMITS[1])


def _goes_beyond(arms: Sequence[ArmReport]) -> bool:
    low, high = _lift_scale(arms)
    return any(arm.lift_interval[0] < low or arm.lift_interval[1] > high for arm in arms if arm.lift_interval)


def _row_axis(sheet: Sheet, low: float, high: float) -> Axis:
    return Axis(low=low, high=high, start=sheet.label_width + 8, end=sheet.width - sheet.value_width - 8)


def _row_label(report: Report, arm: ArmReport, sheet: Sheet, top: float, value: str) -> str:
    """Write the arm's name and number beside its row, or above it where the sheet is narrow."""
    kind = f"name {kind_of(report, arm)}"
    if sheet.label_width:
        y = top + sheet.row_height - 9
        lines = wording.in_lines(shown_name(arm), int(sheet.label_width / CHARACTER), 2)
        first = y - LINE_HEIGHT * (len(lines) - 1) / 2
        return "".join(
            words(text, sheet.label_width, first + LINE_HEIGHT * place, kind, "end") for place, text in enumerate(lines)
        ) + words(value, sheet.width - sheet.value_width + 4, y, "value")
    most = int((sheet.width - 70) / CHARACTER)
    return words(wording.shortened(shown_name(arm), most), 4, top + 17, kind) + words(
        value, sheet.width - 4, top + 17, "value", "end"
    )


def _grid(axis: Axis, at: Sequence[float], bottom: float, label: Callable[[float], str]) -> str:
    return "".join(
        line((axis.place(number), TOP), (axis.place(number), bottom), "grid")
        + words(label(number), axis.place(number), bottom + 17, "tick", "middle")
        for number in at
    )
