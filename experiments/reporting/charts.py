"""Turn a report into drawings: SVG text, each with the table behind it. Pure; no clock, no database.

Each drawing is made twice, for a wide and for a narrow screen, because a drawing that is scaled down to a phone has
text nobody can read; the stylesheet shows one of the two. Everything is labelled where it lies, so that no colour has
to be told from another: the leader is solid, today's page dashed, the rest thin.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from experiments import bandit
from experiments.reporting import wording
from experiments.reporting.axes import Axis, at_least_a_second, spread, ticks, time_ticks
from experiments.reporting.svg import Point, line, path, picture, tag, words
from experiments.reporting.values import ArmReport, GainReport, Moment, Report

MOST_ROWS = 13  # arms drawn one under the other; all are in the table
MOST_BANDS = 6  # arms with an area of their own
MOST_POINTS = 150  # of a line: a drawing 520 wide shows no more
MOST_TABLE_MOMENTS = 24
LEAST_LABELLED = 0.05  # of all shares: a thinner area has no room for its name
DENSITY_POINTS = 48
DENSITY_REACH = 3.5  # standard deviations to either side: beyond, a mountain is flat
LIFT_LIMITS = (-1.0, 2.0)  # of the axis; little data would stretch it until nothing else is seen
HILL_HEIGHT = 26.0
FEWEST_CONVERSIONS = 10  # of an arm, until its rate is drawn over time; or half of its visitors
BAR_SIZE = (120, 14)

type Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    key: str
    title: str
    note: str  # how to read it, in a sentence
    wide: str
    narrow: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    series: Mapping[str, Any] | None = None  # what a chart over time is drawn from, for whoever looks closer

    @property
    def series_id(self) -> str:
        return f"series-{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The paper: how much room there is."""

    name: str
    width: float
    label_width: float  # left of the rows; 0 puts labels above them
    value_width: float  # right of the rows
    row_height: float
    plot_height: float
    name_length: int  # characters of a name that fit beside a line
    most_ticks: int


WIDE = Sheet(
    name="wide",
    width=540,
    label_width=170,
    value_width=96,
    row_height=38,
    plot_height=250,
    name_length=17,
    most_ticks=5,
)
NARROW = Sheet(
    name="narrow", width=340, label_width=0, value_width=8, row_height=54, plot_height=230, name_length=12, most_ticks=4
)
AXIS_HEIGHT = 26.0
TOP = 10.0
LINE_LEFT = 40.0  # room for the numbers of a vertical axis
LABEL_GAP = 14.0
CHARACTER = 8.0  # width of one at the drawings' text size, in the widest of the usual fonts


def all_charts(report: Report) -> list[Chart]:
    """Draw everything there is something to draw for."""
    if not report.exposures:
        return []
    compares = len(report.arms) > 1
    drawings = [rates, lifts] if compares else [rates]
    if report.history:
        drawings += [shares, rates_over_time] if compares else [rates_over_time]
        drawings += [gains] if len(report.gained) > 1 else []
    return [draw(report) for draw in drawings]


# --- One row per arm ---------------------------------------------------------------------------------------------


def rates(report: Report) -> Chart:
    arms = sorted(_drawn_arms(report), key=lambda arm: arm.rate or 0.0, reverse=True)
    title = "How well each page converts"
    return Chart(
        key="rates",
        title=title,
        note="Each hill is where a page's true rate probably lies. A narrow hill is well known, a wide one is not."
        + _left_out(report, arms),
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
    arms = [arm for arm in _drawn_arms(report) if arm.lift is not None]
    arms.sort(key=lambda arm: arm.lift or 0.0, reverse=True)
    title = "Better or worse than today's page"
    return Chart(
        key="lifts",
        title=title,
        note="The dot is the best guess, the bar the 95% interval. A bar that crosses 0 may be no difference at all."
        + _left_out(report, arms),
        wide=_lifts_drawing(report, arms, WIDE, title),
        narrow=_lifts_drawing(report, arms, NARROW, title),
        head=["Page", "Lift", "95% interval", "Plain lift"],
        rows=[
            [
                arm.name,
                wording.lift(arm.lift, arm.lift_interval),
                wording.lift_interval(arm.lift_interval),
                wording.lift(arm.lift_raw, arm.lift_interval),
            ]
            for arm in arms
        ],
    )


def _drawn_arms(report: Report) -> list[ArmReport]:
    """Return the control and the likeliest winners among the arms that were seen."""
    seen = [arm for arm in report.arms if arm.exposures]
    seen.sort(key=lambda arm: (arm.is_control, arm.status == "live", arm.probability_best or 0.0), reverse=True)
    return seen[:MOST_ROWS]


def _left_out(report: Report, arms: Sequence[ArmReport]) -> str:
    candidates = sum(1 for arm in report.arms if arm.exposures)
    return f" The {len(arms)} likeliest to be best are drawn; all are in the table." if candidates > MOST_ROWS else ""


def _rates_drawing(report: Report, arms: Sequence[ArmReport], sheet: Sheet, title: str) -> str:
    low, high = rate_scale(arms)
    axis = _row_axis(sheet, low, high)
    bottom = TOP + sheet.row_height * len(arms)
    rows = [
        _row_label(report, arm, sheet, TOP + sheet.row_height * place, wording.rate(arm.rate, arm.rate_interval))
        + _hill(arm, axis, TOP + sheet.row_height * (place + 1), _kind(report, arm))
        for place, arm in enumerate(arms)
    ]
    grid = _grid(axis, ticks(low, high, sheet.most_ticks), bottom, _percent_tick)
    described = ", ".join(f"{arm.name} {wording.rate(arm.rate, arm.rate_interval)}" for arm in arms)
    return _finished(f"rates-{sheet.name}", sheet, bottom + AXIS_HEIGHT, title, described, grid, *rows)


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
        _row_label(report, arm, sheet, TOP + sheet.row_height * place, wording.lift(arm.lift, arm.lift_interval))
        + _whisker(arm, axis, TOP + sheet.row_height * (place + 1) - 13, _kind(report, arm))
        for place, arm in enumerate(arms)
    ]
    grid = _grid(axis, ticks(low, high, sheet.most_ticks), bottom, _lift_tick)
    zero_line = line((zero, TOP), (zero, bottom), "zero")
    described = ", ".join(f"{arm.name} {wording.lift_interval(arm.lift_interval)}" for arm in arms)
    return _finished(f"lifts-{sheet.name}", sheet, bottom + AXIS_HEIGHT, title, described, grid, zero_line, *rows)


def _whisker(arm: ArmReport, axis: Axis, y: float, kind: str) -> str:
    """Draw the interval and its middle; an arrowhead says that it goes on beyond the axis."""
    low, high = arm.lift_interval or (arm.lift or 0.0, arm.lift or 0.0)
    start, end = axis.held(low), axis.held(high)
    parts = [line((start, y), (end, y), f"interval {kind}")]
    if low < axis.low:
        parts.append(path([(start - 1, y), (start + 6, y - 4), (start + 6, y + 4)], f"arrow {kind}", closed=True))
    if high > axis.high:
        parts.append(path([(end + 1, y), (end - 6, y - 4), (end - 6, y + 4)], f"arrow {kind}", closed=True))
    parts.append(tag("circle", cx=axis.held(arm.lift or 0.0), cy=y, r=4.5, class_=f"dot {kind}"))
    return "".join(parts)


def _lift_scale(arms: Sequence[ArmReport]) -> tuple[float, float]:
    ends = [end for arm in arms if arm.lift_interval is not None for end in arm.lift_interval]
    low, high = min([*ends, -0.05]), max([*ends, 0.05])
    room = (high - low) * 0.05
    return max(low - room, LIFT_LIMITS[0]), min(high + room, LIFT_LIMITS[1])


def _row_axis(sheet: Sheet, low: float, high: float) -> Axis:
    return Axis(low=low, high=high, start=sheet.label_width + 8, end=sheet.width - sheet.value_width - 8)


def _row_label(report: Report, arm: ArmReport, sheet: Sheet, top: float, value: str) -> str:
    """Write the arm's name and number beside its row, or above it where the sheet is narrow."""
    kind = f"name {_kind(report, arm)}"
    if sheet.label_width:
        y = top + sheet.row_height - 9
        most = int(sheet.label_width / CHARACTER)
        return words(wording.shortened(_shown_name(arm), most), sheet.label_width, y, kind, "end") + words(
            value, sheet.width - sheet.value_width + 4, y, "value"
        )
    most = int((sheet.width - 70) / CHARACTER)
    return words(wording.shortened(_shown_name(arm), most), 4, top + 17, kind) + words(
        value, sheet.width - 4, top + 17, "value", "end"
    )


def _grid(axis: Axis, at: Sequence[float], bottom: float, label: Callable[[float], str]) -> str:
    return "".join(
        line((axis.place(number), TOP), (axis.place(number), bottom), "grid")
        + words(label(number), axis.place(number), bottom + 17, "tick", "middle")
        for number in at
    )


# --- Over time ---------------------------------------------------------------------------------------------------


def shares(report: Report) -> Chart:
    moments = _thinned(report.history, MOST_POINTS)
    bands = _bands(report)
    title = "Who new visitors were shown"
    tabled = _thinned(report.history, MOST_TABLE_MOMENTS)
    return Chart(
        key="shares",
        title=title,
        note="The height of an area is a page's share of new visitors at that time. Times are in UTC.",
        wide=_shares_drawing(report, moments, bands, WIDE, title),
        narrow=_shares_drawing(report, moments, bands, NARROW, title),
        head=["Time", *(band.label for band in bands)],
        rows=[[_moment(moment.at), *(wording.share(band.share(moment.shares)) for band in bands)] for moment in tabled],
        series={
            "form": "stack",
            "unit": "%",
            "times": [
                *(moment.at.timestamp() for moment in moments),
                at_least_a_second(moments[-1].at, _end(report)).timestamp(),
            ],
            "lines": [
                {
                    "label": band.label,
                    "kind": band.kind,
                    "values": _held_on([band.share(moment.shares) for moment in moments]),
                }
                for band in bands
            ],
        },
    )


def _held_on(shares_of: Sequence[float]) -> list[float]:
    """Return the shares with the last one again: it is still in force at the end of the chart."""
    return [*shares_of, shares_of[-1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    label: str
    kind: str
    keys: frozenset[str]

    def share(self, shares_of: dict[str, float]) -> float:
        return sum(shares_of.get(key, 0.0) for key in self.keys)


def _bands(report: Report) -> list[Band]:
    """Give the control, the leader and the arms most shown so far an area each, and all others one together."""
    names = {arm.key: arm for arm in report.arms}
    totals = {key: sum(moment.shares.get(key, 0.0) for moment in report.history) for key in names}
    latest = report.history[-1].shares
    leader = report.leader.key if report.leader else ""
    ranked = sorted(
        names, key=lambda key: (names[key].is_control, key == leader, latest.get(key, 0.0), totals[key]), reverse=True
    )
    own, rest = (ranked, []) if len(ranked) <= MOST_BANDS + 1 else (ranked[:MOST_BANDS], ranked[MOST_BANDS:])
    bands = [
        Band(label=_shown_name(names[key]), kind=_band_kind(report, names[key], place), keys=frozenset([key]))
        for place, key in enumerate(own)
    ]
    if rest:
        bands.append(Band(label=f"{len(rest)} other pages", kind="band-rest", keys=frozenset(rest)))
    return bands


def _band_kind(report: Report, arm: ArmReport, place: int) -> str:
    kind = _kind(report, arm)
    return f"band-{place}" if kind == "other" else kind


def _shares_drawing(report: Report, moments: Sequence[Moment], bands: Sequence[Band], sheet: Sheet, title: str) -> str:
    across, up = _time_axes(report, sheet, 0.0, 1.0)
    times = [moment.at.timestamp() for moment in moments] + [across.high]
    lower = [0.0] * len(moments)
    areas, middles = [], []
    for band in bands:
        upper = [base + band.share(moment.shares) for base, moment in zip(lower, moments, strict=True)]
        top_edge, bottom_edge = _steps(times, upper, across, up), _steps(times, lower, across, up)
        areas.append(path([*top_edge, *reversed(bottom_edge)], f"band {band.kind}", closed=True))
        label = (up.place((lower[-1] + upper[-1]) / 2), wording.shortened(band.label, sheet.name_length), band.kind)
        middles.append((label, upper[-1] - lower[-1]))
        lower = upper
    labels = _end_labels([label for label, size in middles if size >= LEAST_LABELLED], across.end + 6, up)
    frame = _time_grid(report, across, up, sheet) + _side_grid(across, up, ticks(0, 1, 2), _percent_tick)
    described = ", ".join(f"{band.label} {wording.share(band.share(moments[-1].shares))}" for band in bands)
    height = TOP + sheet.plot_height + AXIS_HEIGHT
    return _finished(f"shares-{sheet.name}", sheet, height, title, f"Now: {described}", *areas, frame, labels)


def _steps(times: Sequence[float], levels: Sequence[float], across: Axis, up: Axis) -> list[Point]:
    """Shares hold until the next allocation, so the edge of an area is a flight of steps."""
    return [
        (across.place(at), up.place(level))
        for level, start, end in zip(levels, times[:-1], times[1:], strict=True)
        for at in (start, end)
    ]


def rates_over_time(report: Report) -> Chart:
    tracks = _tracks(report)
    title = "Conversion rate so far"
    return Chart(
        key="history",
        title=title,
        note="All visitors counted up to each time. The shaded bands are 95% intervals. A line begins once its page "
        "has had visitors enough for a rate to mean something. Times are in UTC.",
        wide=_history_drawing(report, tracks, WIDE, title),
        narrow=_history_drawing(report, tracks, NARROW, title),
        head=["Time", *(_shown_name(track.arm) for track in tracks)],
        rows=_history_rows(tracks),
        series=_history_series(tracks),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One arm's cumulative counts through time."""

    arm: ArmReport
    kind: str
    times: Sequence[datetime]
    exposures: Sequence[int]
    conversions: Sequence[int]

    @property
    def rates(self) -> list[float]:
        return [converted / shown for converted, shown in zip(self.conversions, self.exposures, strict=True)]

    def interval(self) -> list[tuple[float, float]]:
        shown = np.maximum(np.array(self.exposures), np.array(self.conversions))
        low, high = bandit.credible_interval(*bandit.posterior(shown, np.array(self.conversions)))
        return list(zip(low.tolist(), high.tolist(), strict=True))


def _tracks(report: Report) -> list[Track]:
    """Follow the drawn arms through history; the control and the leader last, so that they lie on top."""
    moments = _thinned(report.history, MOST_POINTS)
    tracks = [_track(report, arm, moments) for arm in _drawn_arms(report)]
    return sorted(tracks, key=lambda track: track.kind != "other")


def _track(report: Report, arm: ArmReport, moments: Sequence[Moment]) -> Track:
    counted = [(moment.at, moment.counts[arm.key]) for moment in moments if arm.key in moment.counts]
    known = [(at, shown, converted) for at, (shown, converted) in counted if shown]
    known.append((_end(report), arm.exposures, arm.conversions))
    # The rates of the first few visitors are anything from 0% to 100%: to show them would flatten all that follows.
    start = next(
        place
        for place, (_, shown, converted) in enumerate(known)
        if converted >= FEWEST_CONVERSIONS or 2 * shown >= arm.exposures
    )
    times, exposures, conversions = zip(*known[start:], strict=True)
    return Track(arm=arm, kind=_kind(report, arm), times=times, exposures=exposures, conversions=conversions)


def _history_drawing(report: Report, tracks: Sequence[Track], sheet: Sheet, title: str) -> str:
    across, up = _time_axes(report, sheet, *_history_scale(tracks))
    bands = [_interval_band(track, across, up) for track in tracks if track.kind != "other"]
    lines = [path(_points(track.times, track.rates, across, up), f"track {track.kind}") for track in tracks]
    frame = _time_grid(report, across, up, sheet) + _side_grid(across, up, ticks(up.low, up.high, 4), _percent_tick)
    labels = _end_labels(
        [
            (up.held(track.rates[-1]), wording.shortened(_shown_name(track.arm), sheet.name_length), track.kind)
            for track in _labelled(tracks)
        ],
        across.end + 6,
        up,
    )
    described = ", ".join(f"{track.arm.name} {wording.rate(track.rates[-1])}" for track in reversed(tracks))
    height = TOP + sheet.plot_height + AXIS_HEIGHT
    return _finished(f"history-{sheet.name}", sheet, height, title, f"Now: {described}", frame, *bands, *lines, labels)


def _labelled(tracks: Sequence[Track]) -> list[Track]:
    """Label every line while they are few, else the two that matter."""
    return [track for track in tracks if track.kind != "other" or len(tracks) <= MOST_BANDS]


def _interval_band(track: Track, across: Axis, up: Axis) -> str:
    ends = track.interval()
    top = _points(track.times, [high for _, high in ends], across, up)
    bottom = _points(track.times, [low for low, _ in ends], across, up)
    return path([*top, *reversed(bottom)], f"interval-band {track.kind}", closed=True)


def _points(times: Sequence[datetime], levels: Sequence[float], across: Axis, up: Axis) -> list[Point]:
    return [(across.held(at.timestamp()), up.place(level)) for at, level in zip(times, levels, strict=True)]


def _history_scale(tracks: Sequence[Track]) -> tuple[float, float]:
    """Fit all that is drawn: every rate, and the marked arms' intervals."""
    ends = [end for track in tracks if track.kind != "other" for pair in track.interval() for end in pair]
    drawn = [rate for track in tracks for rate in track.rates]
    low, high = min([*drawn, *ends]), max([*drawn, *ends])
    room = (high - low) * 0.05 or 0.01
    return max(low - room, 0.0), min(high + room, 1.0)


def _history_series(tracks: Sequence[Track]) -> dict[str, Any]:
    times = sorted({at for track in tracks for at in track.times})
    lines = []
    for track in tracks:
        known = dict(zip(track.times, zip(track.rates, track.interval(), strict=True), strict=True))
        at_times = [known.get(at) for at in times]
        lines.append(
            {
                "label": _shown_name(track.arm),
                "kind": track.kind,
                "values": [told and told[0] for told in at_times],
                "low": [told and told[1][0] for told in at_times],
                "high": [told and told[1][1] for told in at_times],
            }
        )
    return {"form": "lines", "unit": "%", "times": [at.timestamp() for at in times], "lines": lines}


def gains(report: Report) -> Chart:
    title = "Conversions gained over an equal split"
    tabled = _thinned(report.gained, MOST_TABLE_MOMENTS)
    return Chart(
        key="gained",
        title=title,
        note="How many more there were than if every page had been shown equally often. The shaded band is the 95% "
        "interval. Times are in UTC.",
        wide=_gains_drawing(report, WIDE, title),
        narrow=_gains_drawing(report, NARROW, title),
        head=["Time", "Gained", "95% interval"],
        rows=[[_moment(gain.at), _count_tick(gain.gained), _reach(gain)] for gain in tabled],
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
    across, up = _time_axes(report, sheet, low - room, high + room)
    times = [gain.at for gain in report.gained]
    top = _points(times, [gain.interval[1] for gain in report.gained], across, up)
    bottom = _points(times, [gain.interval[0] for gain in report.gained], across, up)
    band = path([*top, *reversed(bottom)], "interval-band leader", closed=True)
    track = path(_points(times, [gain.gained for gain in report.gained], across, up), "track leader")
    zero = line((across.start, up.place(0.0)), (across.end, up.place(0.0)), "zero")
    frame = _time_grid(report, across, up, sheet) + _side_grid(across, up, ticks(up.low, up.high, 4), _count_tick)
    last = report.gained[-1]
    label = _end_labels([(up.place(last.gained), _count_tick(last.gained), "leader")], across.end + 6, up)
    height = TOP + sheet.plot_height + AXIS_HEIGHT
    described = f"Now: {_count_tick(last.gained)}, between {_reach(last)}"
    return _finished(f"gained-{sheet.name}", sheet, height, title, described, frame, zero, band, track, label)


def _reach(gain: GainReport) -> str:
    return " to ".join(_count_tick(end) for end in gain.interval)


def _history_rows(tracks: Sequence[Track]) -> list[list[str]]:
    """Return the tracks' rates at a few common moments; an arm that had nobody yet has none."""
    moments = sorted({at for track in tracks for at in track.times})
    rate_at = [dict(zip(track.times, track.rates, strict=True)) for track in tracks]
    return [
        [_moment(at), *(wording.rate(rates_of.get(at)) for rates_of in rate_at)]
        for at in _thinned(moments, MOST_TABLE_MOMENTS)
    ]


def _time_axes(report: Report, sheet: Sheet, low: float, high: float) -> tuple[Axis, Axis]:
    start = report.history[0].at
    end = at_least_a_second(start, _end(report))
    right = sheet.width - sheet.name_length * CHARACTER - 10
    across = Axis(low=start.timestamp(), high=end.timestamp(), start=LINE_LEFT, end=right)
    return across, Axis(low=low, high=high, start=TOP + sheet.plot_height, end=TOP)


def _end(report: Report) -> datetime:
    return report.finished_at or report.generated_at


def _time_grid(report: Report, across: Axis, up: Axis, sheet: Sheet) -> str:
    start = report.history[0].at
    marks = time_ticks(start, at_least_a_second(start, _end(report)), sheet.most_ticks)
    return "".join(
        line((across.place(at.timestamp()), up.start), (across.place(at.timestamp()), up.start + 4), "mark")
        + words(text, across.place(at.timestamp()), up.start + 18, "tick", "middle")
        for at, text in marks
    )


def _side_grid(across: Axis, up: Axis, at: Sequence[float], label: Callable[[float], str]) -> str:
    return "".join(
        line((across.start, up.place(number)), (across.end, up.place(number)), "grid")
        + words(label(number), across.start - 6, up.place(number) + 4, "tick", "end")
        for number in at
    )


def _end_labels(labels: Sequence[tuple[float, str, str]], x: float, up: Axis) -> str:
    """Write names at the ends of their lines, moved apart where lines meet."""
    places = spread([y for y, *_ in labels], LABEL_GAP, up.end + 4, up.start)
    return "".join(
        words(text, x, place + 4, f"name {kind}") for place, (_, text, kind) in zip(places, labels, strict=True)
    )


# --- In the table ------------------------------------------------------------------------------------------------


def rate_scale(arms: Sequence[ArmReport]) -> tuple[float, float]:
    """Return the range of rates that shows every interval, from 0 where that costs little room."""
    seen = [arm for arm in arms if arm.exposures and arm.rate_interval is not None]
    ends = [end for arm in seen for end in arm.rate_interval or ()]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    room = (high - low) * 0.04 or 0.01
    return (0.0 if low < high / 3 else max(low - room, 0.0)), min(high + room, 1.0)


def rate_bar(arm: ArmReport, scale: tuple[float, float], *, is_leader: bool) -> str:
    """Draw an arm's interval and rate small enough for a table's cell, all arms on the same scale."""
    if arm.rate is None or arm.rate_interval is None:
        return ""
    width, height = BAR_SIZE
    axis = Axis(low=scale[0], high=scale[1], start=4, end=width - 4)
    kind = "control" if arm.is_control else "leader" if is_leader else "other"
    middle = height / 2
    start, end = (axis.held(edge) for edge in arm.rate_interval)
    return tag(
        "svg",
        line((4, middle), (width - 4, middle), "grid"),
        line((start, middle), (end, middle), f"interval {kind}"),
        tag("circle", cx=axis.held(arm.rate), cy=middle, r=4, class_=f"dot {kind}"),
        viewBox=f"0 0 {width} {height}",
        class_="bar",
        aria_hidden="true",
    )


def effect_bar(effect: float | None, interval: tuple[float, float] | None, scale: float) -> str:
    """Draw an effect and its interval about 0, small enough for a table's cell."""
    if effect is None or interval is None:
        return ""
    width, height = BAR_SIZE
    axis = Axis(low=-scale, high=scale, start=4, end=width - 4)
    kind = "other" if interval[0] <= 0 <= interval[1] else "control" if effect < 0 else "leader"
    middle = height / 2
    return tag(
        "svg",
        line((4, middle), (width - 4, middle), "grid"),
        line((axis.place(0.0), 1), (axis.place(0.0), height - 1), "mark"),
        line((axis.held(interval[0]), middle), (axis.held(interval[1]), middle), f"interval {kind}"),
        tag("circle", cx=axis.held(effect), cy=middle, r=4, class_=f"dot {kind}"),
        viewBox=f"0 0 {width} {height}",
        class_="bar",
        aria_hidden="true",
    )


# --- Shared ------------------------------------------------------------------------------------------------------


def _kind(report: Report, arm: ArmReport) -> str:
    if arm.is_control:
        return "control"
    leader = report.leader
    return "leader" if leader is not None and leader.key == arm.key else "other"


def _shown_name(arm: ArmReport) -> str:
    return f"{arm.name} (today's)" if arm.is_control and "today" not in arm.name.lower() else arm.name


def _thinned[T](items: Sequence[T], most: int) -> list[T]:
    """Keep about every n-th item and always the last."""
    step = math.ceil(len(items) / most) or 1
    return [item for place, item in enumerate(items) if place % step == 0 or place == len(items) - 1]


def _percent_tick(number: float) -> str:
    return f"{round(number * 100, 2):g}%"


def _lift_tick(number: float) -> str:
    percent = round(number * 100, 1)
    return f"{'+' if percent > 0 else wording.MINUS if percent < 0 else ''}{abs(percent):g}%"


def _count_tick(number: float) -> str:
    whole = round(number)
    return f"{'+' if whole > 0 else wording.MINUS if whole < 0 else ''}{abs(whole):,}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _finished(name: str, sheet: Sheet, height: float, title: str, description: str, *parts: str) -> str:
    return picture(
        *parts,
        name=name,
        size=(sheet.width, height),
        title=title,
        description=description,
        class_=f"drawing {sheet.name}",
    )
