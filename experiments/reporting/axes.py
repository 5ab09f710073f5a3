"""Turn ranges of numbers and times into places on a drawing and ticks a person would choose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
# Seconds between ticks of time: what a clock or a calendar divides into.
_TIME_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
    259_200, 604_800, 1_209_600, 2_592_000,
)  # fmt: skip
_MINUTE, _DAY = 60, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A stretch of numbers laid along a stretch of the drawing."""

    low: float
    high: float
    start: float  # the place of `low`
    end: float

    def place(self, number: float) -> float:
        extent = (self.high - self.low) or 1.0
        return self.start + (number - self.low) / extent * (self.end - self.start)

    def held(self, number: float) -> float:
        """The place of `number`, or the nearer end for one that is off the axis."""
        return self.place(min(max(number, self.low), self.high))


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers within the range, about `most` of them."""
    rough = (high - low) / max(most, 1)
    if rough <= 0 or not math.isfinite(rough):
        return [low]
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in _ROUND if magnitude * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(start: datetime, end: datetime, most: int) -> list[tuple[datetime, str]]:
    """Return round moments (UTC) within the range and what to write at each."""
    length = (end - start).total_seconds()
    step = next((step for step in _TIME_STEPS if length / step <= most), _TIME_STEPS[-1])
    first = math.ceil(start.timestamp() / step) * step
    moments = [datetime.fromtimestamp(at, UTC) for at in range(first, int(end.timestamp()) + 1, step)]
    return [(moment, _time_label(moment, step)) for moment in moments]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart until none is nearer than `gap` to the next, in their order and within the range."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [0.0] * len(places)
    floor = low
    for index in order:
        moved[index] = max(places[index], floor)
        floor = moved[index] + gap
    ceiling = high
    for index in reversed(order):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return moved


def at_least_a_second(start: datetime, end: datetime) -> datetime:
    return max(end, start + timedelta(seconds=1))


def _time_label(moment: datetime, step: int) -> str:
    if step < _MINUTE:
        return f"{moment:%H:%M:%S}"
    if step < _DAY and (moment.hour or moment.minute):
        return f"{moment:%H:%M}"
    return f"{moment.day} {moment:%b}"
