"""Turn a report into the few lines of a card that stands in somebody else's page."""

from dataclasses import dataclass

from experiments.reporting import wording
from experiments.reporting.bars import rate_bar, rate_scale
from experiments.reporting.values import ArmReport, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    name: str
    is_control: bool
    rate: str
    lift: str
    bar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    name: str
    headline: str
    state: str
    text: str
    visitors: str
    conversions: str
    rows: list[CardRow]
    at: str


def card_of(report: Report, *, headline: str, state: str) -> Card:
    """Arrange the verdict, and today's page beside the one in front."""
    leader = report.leader
    shown = [arm for arm in report.arms if arm.exposures and (arm.is_control or arm is leader)]
    shown.sort(key=lambda arm: not arm.is_control)
    scale = rate_scale(shown)
    return Card(
        name=report.name,
        headline=headline,
        state=state,
        text=report.verdict.text,
        visitors=wording.whole(report.exposures),
        conversions=wording.whole(report.conversions),
        rows=[_row(arm, scale, is_leader=arm is leader) for arm in shown],
        at=f"{report.counted_until:%H:%M} UTC, {wording.day(report.counted_until)}",
    )


def _row(arm: ArmReport, scale: tuple[float, float], *, is_leader: bool) -> CardRow:
    return CardRow(
        name=arm.name,
        is_control=arm.is_control,
        rate=wording.rate(arm.rate, arm.rate_interval),
        lift="" if arm.is_control else wording.lift(arm.lift, arm.lift_interval),
        bar=rate_bar(arm, scale, is_leader=is_leader),
    )
