"""Draw intervals small enough for a table's cell, all of a table on one scale. Pure."""

from collections.abc import Sequence

from experiments.reporting.axes import Axis
from experiments.reporting.svg import line, path, tag
from experiments.reporting.values import ArmReport

BAR_SIZE = (120, 14)


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


def effect_bar(
    effect: float | None, interval: tuple[float, float] | None, scale: float, *, is_more_better: bool = True
) -> str:
    """Draw an effect and its interval about 0, small enough for a table's cell; an arrow goes on beyond the scale."""
    if effect is None or interval is None:
        return ""
    width, height = BAR_SIZE
    axis = Axis(low=-scale, high=scale, start=4, end=width - 4)
    good, bad = ("leader", "control") if is_more_better else ("control", "leader")
    kind = "other" if interval[0] <= 0 <= interval[1] else bad if effect < 0 else good
    middle = height / 2
    dot = tag("circle", cx=axis.held(effect), cy=middle, r=4, class_=f"dot {kind}") if abs(effect) <= scale else ""
    return tag(
        "svg",
        line((4, middle), (width - 4, middle), "grid"),
        line((axis.place(0.0), 1), (axis.place(0.0), height - 1), "mark"),
        line((axis.held(interval[0]), middle), (axis.held(interval[1]), middle), f"interval {kind}"),
        *(_arrow(axis.held(end), middle, 1 if end > 0 else -1, kind) for end in interval if abs(end) > scale),
        dot,
        viewBox=f"0 0 {width} {height}",
        class_="bar",
        aria_hidden="true",
    )


def _arrow(tip: float, middle: float, way: int, kind: str) -> str:
    return path([(tip - 4 * way, middle - 4), (tip, middle), (tip - 4 * way, middle + 4)], f"beyond {kind}")
