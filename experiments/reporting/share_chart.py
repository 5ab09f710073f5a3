"""Draw which part of new visitors each arm got through time, as a stack of areas. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.reporting import wording
from experiments.reporting.axes import Axis, at_least_a_second, ticks
from experiments.reporting.paper import (
    AXIS_HEIGHT,
    NARROW,
    TOP,
    WIDE,
    Chart,
    Sheet,
    finished,
    kind_of,
    moment_text,
    percent_tick,
    shown_name,
    thinned,
)
from experiments.reporting.svg import Point, path
from experiments.reporting.timeline import (
    MOST_POINTS,
    MOST_TABLE_MOMENTS,
    end_labels,
    end_of,
    side_grid,
    time_axes,
    time_grid,
)
from experiments.reporting.values import ArmReport, Moment, Report

MOST_BANDS = 6  # arms with an area of their own
LEAST_LABELLED = 0.05  # of all shares: a thinner area has no room for its name


def shares(report: Report) -> Chart:
    moments = thinned(report.history, MOST_POINTS)
    bands = _bands(report)
    title = "Who new visitors were shown"
    tabled = thinned(report.history, MOST_TABLE_MOMENTS)
    return Chart(
        key="shares",
        title=title,
        note="The height of an area is a page's share of new visitors at that time. Times are in UTC.",
        wide=_shares_drawing(report, moments, bands, WIDE, title),
        narrow=_shares_drawing(report, moments, bands, NARROW, title),
        head=["Time", *(band.label for band in bands)],
        rows=[
            [moment_text(moment.at), *(wording.share(band.share(moment.shares)) for band in bands)] for moment in tabled
        ],
        series={
            "form": "stack",
            "unit": "%",
            "times": [
                *(moment.at.timestamp() for moment in moments),
                at_least_a_second(moments[-1].at, end_of(report)).timestamp(),
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
    is_rest: bool = False  # of all arms but these

    def share(self, shares_of: dict[str, float]) -> float:
        own = sum(shares_of.get(key, 0.0) for key in self.keys)
        return max(sum(shares_of.values()) - own, 0.0) if self.is_rest else own


def _bands(report: Report) -> list[Band]:
    """Give the control, the leader and the arms most shown so far an area each, and all others one together."""
    names = {arm.key: arm for arm in report.arms}
    totals: Counter[str] = Counter()
    for moment in thinned(report.history, MOST_POINTS):
        totals.update(moment.shares)
    latest = report.history[-1].shares
    leader = report.leader.key if report.leader else ""
    ranked = sorted(
        names, key=lambda key: (names[key].is_control, key == leader, latest.get(key, 0.0), totals[key]), reverse=True
    )
    own, rest = (ranked, []) if len(ranked) <= MOST_BANDS + 1 else (ranked[:MOST_BANDS], ranked[MOST_BANDS:])
    bands = [
        Band(label=shown_name(names[key]), kind=_band_kind(report, names[key], place), keys=frozenset([key]))
        for place, key in enumerate(own)
    ]
    if rest:
        label = f"{len(rest)} other pages"
        bands.append(Band(label=label, kind="band-rest", keys=frozenset(own), is_rest=True))
    return bands


def _band_kind(report: Report, arm: ArmReport, place: int) -> str:
    kind = kind_of(report, arm)
    return f"band-{place}" if kind == "other" else kind


def _shares_drawing(report: Report, moments: Sequence[Moment], bands: Sequence[Band], sheet: Sheet, title: str) -> str:
    across, up = time_axes(report, sheet, 0.0, 1.0)
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
    labels = end_labels([label for label, size in middles if size >= LEAST_LABELLED], across.end + 6, up)
    frame = time_grid(report, across, up, sheet) + side_grid(across, up, ticks(0, 1, 2), percent_tick)
    described = ", ".join(f"{band.label} {wording.share(band.share(moments[-1].shares))}" for band in bands)
    height = TOP + sheet.plot_height + AXIS_HEIGHT
    return finished(f"shares-{sheet.name}", sheet, height, title, f"Now: {described}", *areas, frame, labels)


def _steps(times: Sequence[float], levels: Sequence[float], across: Axis, up: Axis) -> list[Point]:
    """Shares hold until the next allocation, so the edge of an area is a flight of steps."""
    return [
        (across.place(at), up.place(level))
        for level, start, end in zip(levels, times[:-1], times[1:], strict=True)
        for at in (start, end)
    ]
