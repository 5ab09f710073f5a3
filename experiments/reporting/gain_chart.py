"""Draw the conversions gained over an equal split, through time. Pure."""

from experiments.reporting.axes import ticks
from experiments.reporting.paper import (
    AXIS_HEIGHT,
    NARROW,
    TOP,
    WIDE,
    Chart,
    Sheet,
    count_tick,
    finished,
    moment_text,
    thinned,
)
from experiments.reporting.svg import line, path
from experiments.reporting.timeline import MOST_TABLE_MOMENTS, end_labels, points_at, side_grid, time_axes, time_grid
from experiments.reporting.values import GainReport, Report


def gains(report: Report) -> Chart:
    title = "Conversions gained over an equal split"
    tabled = thinned(report.gained, MOST_TABLE_MOMENTS)
    return Chart(
        key="gained",
        title=title,
        note="How many more there were than if every page had been shown equally often. The shaded band is the 95% "
        "interval. Times are in UTC.",
        wide=_gains_drawing(report, WIDE, title),
        narrow=_gains_drawing(report, NARROW, title),
        head=["Time", "Gained", "95% interval"],
        rows=[[moment_text(gain.at), count_tick(gain.gained), _reach(gain)] for gain in tabled],
        series={
            "form": "lines",
            "unit": "",
            "times": [gain.at.timestamp() for gain in report.gained],
            "lines": [
                {
                    "label": "Gained",
                    "kind": "leader",
                    "values": [gain.gained for gain in report.gained],
                    "low": [gain.interval[0] for gain in report.gained],
                    "high": [gain.interval[1] for gain in report.gained],
                }
            ],
        },
    )


def _gains_drawing(report: Report, sheet: Sheet, title: str) -> str:
    ends = [end for gain in report.gained for end in gain.interval]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    room = (high - low) * 0.05 or 1.0
    across, up = time_axes(report, sheet, low - room, high + room)
    times = [gain.at for gain in report.gained]
    top = points_at(times, [gain.interval[1] for gain in report.gained], across, up)
    bottom = points_at(times, [gain.interval[0] for gain in report.gained], across, up)
    band = path([*top, *reversed(bottom)], "interval-band leader", closed=True)
    track = path(points_at(times, [gain.gained for gain in report.gained], across, up), "track leader")
    zero = line((across.start, up.place(0.0)), (across.end, up.place(0.0)), "zero")
    frame = time_grid(report, across, up, sheet) + side_grid(across, up, ticks(up.low, up.high, 4), count_tick)
    last = report.gained[-1]
    label = end_labels([(up.place(last.gained), count_tick(last.gained), "leader")], across.end + 6, up)
    height = TOP + sheet.plot_height + AXIS_HEIGHT
    described = f"Now: {count_tick(last.gained)}, between {_reach(last)}"
    return finished(f"gained-{sheet.name}", sheet, height, title, described, frame, zero, band, track, label)


def _reach(gain: GainReport) -> str:
    return " to ".join(count_tick(end) for end in gain.interval)
