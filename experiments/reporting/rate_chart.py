"""Draw each arm's conversion rate so far, through time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from experiments import bandit
from experiments.reporting import wording
from experiments.reporting.axes import Axis, ticks
from experiments.reporting.paper import (
    AXIS_HEIGHT,
    NARROW,
    TOP,
    WIDE,
    Chart,
    Sheet,
    drawn_arms,
    finished,
    kind_of,
    moment_text,
    percent_tick,
    shown_name,
    thinned,
)
from experiments.reporting.svg import path
from experiments.reporting.timeline import (
    MOST_POINTS,
    MOST_TABLE_MOMENTS,
    end_labels,
    end_of,
    points_at,
    side_grid,
    time_axes,
    time_grid,
)
from experiments.reporting.values import ArmReport, Moment, Report

MOST_LABELLED = 6  # lines; of more, only the two that matter
FEWEST_CONVERSIONS = 10  # of an arm, until its rate is drawn over time; or half of its visitors


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
        head=["Time", *(shown_name(track.arm) for track in tracks)],
        rows=_history_rows(tracks),
        series=_history_series(tracks),
    )


def has_lines(report: Report) -> bool:
    """Tell whether any arm has been seen long enough for a line."""
    return any(len(track.times) > 1 for track in _tracks(report))


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
    moments = thinned(report.history, MOST_POINTS)
    tracks = [_track(report, arm, moments) for arm in drawn_arms(report)]
    return sorted(tracks, key=lambda track: track.kind != "other")


def _track(report: Report, arm: ArmReport, moments: Sequence[Moment]) -> Track:
    counted = [(moment.at, moment.counts[arm.key]) for moment in moments if arm.key in moment.counts]
    known = [(at, shown, converted) for at, (shown, converted) in counted if shown]
    known.append((end_of(report), arm.exposures, arm.conversions))
    # The rates of the first few visitors are anything from 0% to 100%: to show them would flatten all that follows.
    start = next(
        place
        for place, (_, shown, converted) in enumerate(known)
        if converted >= FEWEST_CONVERSIONS or 2 * shown >= arm.exposures
    )
    times, exposures, conversions = zip(*known[start:], strict=True)
    return Track(arm=arm, kind=kind_of(report, arm), times=times, exposures=exposures, conversions=conversions)


def _history_drawing(report: Report, tracks: Sequence[Track], sheet: Sheet, title: str) -> str:
    across, up = time_axes(report, sheet, *_history_scale(tracks))
    bands = [_interval_band(track, across, up) for track in tracks if track.kind != "other"]
    lines = [path(points_at(track.times, track.rates, across, up), f"track {track.kind}") for track in tracks]
    frame = time_grid(report, across, up, sheet) + side_grid(across, up, ticks(up.low, up.high, 4), percent_tick)
    labels = end_labels(
        [
            (up.held(track.rates[-1]), wording.shortened(shown_name(track.arm), sheet.name_length), track.kind)
            for track in _labelled(tracks)
        ],
        across.end + 6,
        up,
    )
    described = ", ".join(f"{track.arm.name} {wording.rate(track.rates[-1])}" for track in reversed(tracks))
    height = TOP + sheet.plot_height + AXIS_HEIGHT
    return finished(f"history-{sheet.name}", sheet, height, title, f"Now: {described}", frame, *bands, *lines, labels)


def _labelled(tracks: Sequence[Track]) -> list[Track]:
    """Label every line while they are few, else the two that matter."""
    return [track for track in tracks if track.kind != "other" or len(tracks) <= MOST_LABELLED]


def _interval_band(track: Track, across: Axis, up: Axis) -> str:
    ends = track.interval()
    top = points_at(track.times, [high for _, high in ends], across, up)
    bottom = points_at(track.times, [low for low, _ in ends], across, up)
    return path([*top, *reversed(bottom)], f"interval-band {track.kind}", closed=True)


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
                "label": shown_name(track.arm),
                "kind": track.kind,
                "values": [told and told[0] for told in at_times],
                "low": [told and told[1][0] for told in at_times],
                "high": [told and told[1][1] for told in at_times],
            }
        )
    return {"form": "lines", "unit": "%", "times": [at.timestamp() for at in times], "lines": lines}


def _history_rows(tracks: Sequence[Track]) -> list[list[str]]:
    """Return the tracks' rates at a few common moments; an arm that had nobody yet has none."""
    moments = sorted({at for track in tracks for at in track.times})
    rate_at = [dict(zip(track.times, track.rates, strict=True)) for track in tracks]
    return [
        [moment_text(at), *(wording.rate(rates_of.get(at)) for rates_of in rate_at)]
        for at in thinned(moments, MOST_TABLE_MOMENTS)
    ]
