"""Axes and grids of charts over time: when an experiment began and ended, and names at the ends of lines. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime

from experiments.reporting.axes import Axis, at_least_a_second, spread, time_ticks
from experiments.reporting.paper import CHARACTER, TOP, Sheet
from experiments.reporting.svg import Point, line, words
from experiments.reporting.values import Report

MOST_POINTS = 150  # of a line: a drawing 520 wide shows no more
MOST_TABLE_MOMENTS = 24
LEFT = 40.0  # room for the numbers of the vertical axis
LABEL_GAP = 14.0


def time_axes(report: Report, sheet: Sheet, low: float, high: float) -> tuple[Axis, Axis]:
    start = report.history[0].at
    end = at_least_a_second(start, end_of(report))
    right = sheet.width - sheet.name_length * CHARACTER - 10
    across = Axis(low=start.timestamp(), high=end.timestamp(), start=LEFT, end=right)
    return across, Axis(low=low, high=high, start=TOP + sheet.plot_height, end=TOP)


def end_of(report: Report) -> datetime:
    return report.finished_at or report.generated_at


def time_grid(report: Report, across: Axis, up: Axis, sheet: Sheet) -> str:
    start = report.history[0].at
    marks = time_ticks(start, at_least_a_second(start, end_of(report)), sheet.most_ticks)
    return "".join(
        line((across.place(at.timestamp()), up.start), (across.place(at.timestamp()), up.start + 4), "mark")
        + words(text, across.place(at.timestamp()), up.start + 18, "tick", "middle")
        for at, text in marks
    )


def side_grid(across: Axis, up: Axis, at: Sequence[float], label: Callable[[float], str]) -> str:
    return "".join(
        line((across.start, up.place(number)), (across.end, up.place(number)), "grid")
        + words(label(number), across.start - 6, up.place(number) + 4, "tick", "end")
        for number in at
    )


def points_at(times: Sequence[datetime], levels: Sequence[float], across: Axis, up: Axis) -> list[Point]:
    return [(across.held(at.timestamp()), up.place(level)) for at, level in zip(times, levels, strict=True)]


def end_labels(labels: Sequence[tuple[float, str, str]], x: float, up: Axis) -> str:
    """Write names at the ends of their lines, moved apart where lines meet."""
    places = spread([y for y, *_ in labels], LABEL_GAP, up.end + 4, up.start)
    return "".join(
        words(text, x, place + 4, f"name {kind}") for place, (_, text, kind) in zip(places, labels, strict=True)
    )
