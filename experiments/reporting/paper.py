"""What every chart is drawn on: how much room there is, what is drawn of an arm, and how numbers are marked. Pure.

Each drawing is made twice, for a wide and for a narrow screen, because a drawing that is scaled down to a phone has
text nobody can read; the stylesheet shows one of the two. Everything is labelled where it lies, so that no colour has
to be told from another: the leader is solid, today's page dashed, the rest thin.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.reporting import wording
from experiments.reporting.svg import picture
from experiments.reporting.values import ArmReport, Report

MOST_ROWS = 13  # arms drawn one under the other; all are in the table
TOP = 10.0
AXIS_HEIGHT = 26.0
CHARACTER = 8.0  # width of one at the drawings' text size, in the widest of the usual fonts


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


def drawn_arms(report: Report) -> list[ArmReport]:
    """Return the control and the likeliest winners among the arms that were seen."""
    seen = [arm for arm in report.arms if arm.exposures]
    seen.sort(key=lambda arm: (arm.is_control, arm.status == "live", arm.probability_best or 0.0), reverse=True)
    return seen[:MOST_ROWS]


def left_out(report: Report, arms: Sequence[ArmReport]) -> str:
    candidates = sum(1 for arm in report.arms if arm.exposures)
    return f" The {len(arms)} likeliest to be best are drawn; all are in the table." if candidates > MOST_ROWS else ""


def kind_of(report: Report, arm: ArmReport) -> str:
    if arm.is_control:
        return "control"
    leader = report.leader
    return "leader" if leader is not None and leader.key == arm.key else "other"


def shown_name(arm: ArmReport) -> str:
    return f"{arm.name} (today's)" if arm.is_control and "today" not in arm.name.lower() else arm.name


def thinned[T](items: Sequence[T], most: int) -> list[T]:
    """Keep about every n-th item and always the last."""
    step = math.ceil(len(items) / most) or 1
    return [item for place, item in enumerate(items) if place % step == 0 or place == len(items) - 1]


def percent_tick(number: float) -> str:
    return f"{round(number * 100, 2):g}%"


def lift_tick(number: float) -> str:
    percent = round(number * 100, 1)
    return f"{'+' if percent > 0 else wording.MINUS if percent < 0 else ''}{abs(percent):g}%"


def count_tick(number: float) -> str:
    whole = round(number)
    return f"{'+' if whole > 0 else wording.MINUS if whole < 0 else ''}{abs(whole):,}"


def moment_text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def finished(name: str, sheet: Sheet, height: float, title: str, description: str, *parts: str) -> str:
    return picture(
        *parts,
        name=name,
        size=(sheet.width, height),
        title=title,
        description=description,
        class_=f"drawing {sheet.name}",
    )
