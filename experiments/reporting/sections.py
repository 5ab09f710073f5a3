"""Turn what a report says of reasons, visitors, health and money into what its page shows: words and small drawings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf.locale import LANG_INFO

from experiments.reporting import wording
from experiments.reporting.bars import effect_bar
from experiments.reporting.values import (
    DimensionReport,
    GoalReport,
    HealthReport,
    MoneyReport,
    OptionReport,
    ReachReport,
    Report,
    SegmentReport,
    SlotReport,
)

THIN = "too few to say"
SMALL_SCALE = 0.05  # the least that an axis of effects reaches to either side
LARGE_SCALE = 1.0  # and the most: what is known badly would press all others together
# What the page calls the segments that have no name of their own.
NAMES = {"new": "New, as far as known", "returning": "Had been here before", "phone": "Phone", "tablet": "Tablet",
         "desktop": "Desktop", "not known": "Not known", "direct or unknown": "Direct, or not known",
         "no campaign": "No campaign"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """A line of a table of effects: an option of a gene, or visitors of one kind."""

    label: str
    detail: str
    visitors: str
    rate: str
    rate_interval: str
    effect: str
    interval: str
    exact: str  # of the effect, as the JSON has it; empty where it is not known
    bar: str
    is_thin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectTable:
    key: str
    title: str
    rows: Sequence[EffectRow]
    text: str
    is_telling: bool  # whether it shows more than that nothing is known yet


def slot_tables(report: Report) -> list[EffectTable]:
    """Arrange the genes' effects, a table for each slot."""
    scale = _scale(option.interval for slot in report.slots for option in slot.options if not option.is_thin)
    return [
        EffectTable(
            key=slot.slot,
            title=slot.title,
            rows=[_option_row(slot.slot, option, scale) for option in slot.options if not option.is_thin],
            text=_what_options_say(slot),
            is_telling=_differs(slot),
        )
        for slot in report.slots
    ]


def _what_options_say(slot: SlotReport) -> str:
    """Say whether any option differs from the others, and how many are not listed."""
    told = [option for option in slot.options if not option.is_thin]
    no_sign = (
        "" if _differs(slot) else "No sign yet that it makes a difference by itself: every bar crosses the middle."
    )
    thin = len(slot.options) - len(told)
    rest = f"{wording.count_of(thin, 'more option')} {'has' if thin == 1 else 'have'} too few pages or visitors to say."
    return " ".join(filter(None, [no_sign, rest if thin else ""]))


def _differs(slot: SlotReport) -> bool:
    return any(option.interval[0] > 0 or option.interval[1] < 0 for option in slot.options if not option.is_thin)


def _option_row(slot: str, option: OptionReport, scale: float) -> EffectRow:
    return EffectRow(
        label=wording.option_words(slot, option.option) or "(none)",
        detail=wording.count_of(option.pages, "page"),
        visitors=wording.whole(option.exposures),
        rate="",
        rate_interval="",
        effect=wording.lift(option.effect, option.interval),
        interval=wording.lift_interval(option.interval),
        exact=repr(option.effect),
        bar="" if option.is_thin else effect_bar(option.effect, option.interval, scale),
        is_thin=option.is_thin,
    )


def segment_tables(report: Report) -> list[EffectTable]:
    """Arrange the visitors' segments, a table for each dimension."""
    dimensions = report.breakdown.dimensions if report.breakdown else ()
    scale = _scale(
        segment.lift_interval for dimension in dimensions for segment in dimension.segments if segment.lift_interval
    )
    return [
        EffectTable(
            key=dimension.key,
            title=dimension.title,
            rows=[_segment_row(dimension, segment, scale) for segment in dimension.segments],
            text=" ".join(filter(None, [dimension.text, _others(dimension)])),
            is_telling=any(not segment.is_thin for segment in dimension.segments),
        )
        for dimension in dimensions
    ]


def _segment_row(dimension: DimensionReport, segment: SegmentReport, scale: float) -> EffectRow:
    is_known = segment.lift is not None and segment.lift_interval is not None
    return EffectRow(
        label=_named(dimension.key, segment.value),
        detail="",
        visitors=wording.whole(segment.exposures),
        rate=wording.rate(segment.rate, segment.rate_interval),
        rate_interval=wording.rate_interval(segment.rate_interval),
        effect=wording.lift(segment.lift, segment.lift_interval) if is_known else "",
        interval=wording.lift_interval(segment.lift_interval) if is_known else "",
        exact="" if segment.lift is None else repr(segment.lift),
        bar=effect_bar(segment.lift, segment.lift_interval, scale) if is_known else "",
        is_thin=segment.is_thin,
    )


def _named(key: str, value: str) -> str:
    if key == "language" and "name" in LANG_INFO.get(value, {}):
        return str(LANG_INFO[value]["name"])
    return NAMES.get(value, value)


def _others(dimension: DimensionReport) -> str:
    if not dimension.other_exposures:
        return ""
    visitors = wording.count_of(dimension.other_exposures, "visitor")
    return f"{visitors} of smaller groups are not listed."


def _scale(intervals: Iterable[tuple[float, float]]) -> float:
    furthest = max((abs(end) for interval in intervals for end in interval), default=0.0)
    return min(max(furthest, SMALL_SCALE), LARGE_SCALE)


# --- Other goals -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalRow:
    """A goal beside the one that decides, on two pages."""

    goal: str
    does: str
    page: str
    page_interval: str
    today: str
    today_interval: str
    lift: str  # empty while there are too few
    interval: str
    bar: str
    exact: str
    is_worse: bool
    text: str


def goal_rows(report: Report) -> list[GoalRow]:
    """Arrange the goals that do not decide."""
    scale = _scale(goal.lift_interval for goal in report.other_goals if goal.lift_interval)
    return [_goal_row(goal, scale) for goal in report.other_goals]


def _goal_row(goal: GoalReport, scale: float) -> GoalRow:
    lift, interval = goal.lift, goal.lift_interval
    is_told = lift is not None and interval is not None
    return GoalRow(
        goal=goal.goal,
        does=goal.does,
        page=wording.rate(goal.page.rate, goal.page.rate_interval),
        page_interval=_of(goal.page),
        today=wording.rate(goal.today.rate, goal.today.rate_interval),
        today_interval=_of(goal.today),
        lift=wording.lift(lift, interval) if is_told else "",
        interval=wording.lift_interval(interval) if is_told else "",
        bar=effect_bar(lift, interval, scale, is_more_better=not goal.should_not_rise) if is_told else "",
        exact="" if lift is None else repr(lift),
        is_worse=goal.is_worse,
        text=goal.text,
    )


def _of(reach: ReachReport) -> str:
    return f"{reach.reached:,} of {reach.exposures:,}"


# --- Health ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRow:
    day: str
    visitors: str
    page: str
    got: str
    expected: str
    is_ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    splits: Sequence[SplitRow]
    facts: Sequence[tuple[str, str, str]]  # key, what, how much


def health_of(health: HealthReport, visitors: int) -> Health:
    """Arrange the split by day, and what stands beside it."""
    return Health(
        splits=[
            SplitRow(
                day=wording.day(split.day),
                visitors=wording.whole(split.exposures),
                page=split.name,
                got=wording.whole(split.got),
                expected=wording.whole(round(split.expected)),
                is_ok=split.ok,
            )
            for split in health.splits
        ],
        facts=list(_facts(health, visitors)),
    )


def _facts(health: HealthReport, visitors: int) -> Iterable[tuple[str, str, str]]:
    seen = health.bots + visitors
    part = f", {wording.share(health.bots / seen)} of what came" if seen else ""
    yield "bots", "Robots and crawlers left out", f"{health.bots:,}{part}; {health.bots_today:,} in the last 24 hours"
    yield "late", "Conversions that came too late", f"{health.late:,}; {health.late_today:,} in the last 24 hours"
    consent = f"{health.no_consent:,} visits without it" if health.consent_required else "not asked for on this page"
    yield "consent", "Consent to be counted", consent
    refused = f"{health.refused:,}, kept for somebody to read" if health.refused else "none"
    yield "refused", "Events that could not be counted", refused


# --- Money -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRow:
    key: str
    name: str
    is_control: bool
    is_leader: bool
    per_visitor: str
    interval: str
    per_order: str
    total: str
    exact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    values: Sequence[ValueRow]
    cost: str  # empty where nothing was spent
    text: str


def money_of(money: MoneyReport, *, control: str, leader: str) -> Money:
    """Arrange what visitors are worth and what pages cost."""
    most_first = sorted(money.values, key=lambda value: -value.per_visitor)
    return Money(
        values=[
            ValueRow(
                key=value.arm,
                name=value.name,
                is_control=value.arm == control,
                is_leader=value.arm == leader,
                per_visitor=wording.money(value.per_visitor, money.currency),
                interval=(
                    f"{wording.money(value.interval[0], money.currency)} to "
                    f"{wording.money(value.interval[1], money.currency)}"
                    if value.interval
                    else THIN
                ),
                per_order=wording.UNKNOWN
                if value.per_order is None
                else wording.money(value.per_order, money.currency),
                total=wording.money(value.value, money.currency),
                exact=repr(value.per_visitor),
            )
            for value in most_first
        ],
        cost=wording.usd(money.model_usd) if money.model_usd else "",
        text=money.text,
    )
