"""Turn what is known of pages into why: what their genes bring, and with which visitors the page in front does better.

Genes: the very model that the shares follow (`pooling`), asked for its other half. There log lifts are
lambda = mu + Z beta + eps; here follows the posterior of beta, exactly, from that of lambda.

Segments: as last counted by `breakdown`. They decide nothing; looked at together, some differ by chance.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special, stats

from experiments import bandit
from experiments.belief import Belief
from experiments.evidence import Floats
from experiments.models import Breakdown, Experiment
from experiments.reporting import wording
from experiments.reporting.values import (
    LEFT,
    ArmReport,
    BreakdownReport,
    DimensionReport,
    OptionReport,
    SegmentReport,
    SlotReport,
)
from variants.content import SLOT_WORDS

LEVEL = 0.95
FEWEST_PAGES = 3  # with one option, before what it brings says more than what its pages are
FEWEST_VISITORS_OF_OPTION = 1_000
MOST_OPTIONS = 12
# Of each of the two pages, among visitors of one kind, before they are compared.
FEWEST_VISITORS, FEWEST_CONVERSIONS = 100, 10
DIFFERS_P_VALUE = 0.001  # six dimensions, looked at again and again
SLOTS = ("angle", "layout", "palette", "typography", "order", "call_to_action", "headline", "offer")  # as reported
KINDS = {
    "source": "Where they came from",
    "campaign": "Campaign",
    "device": "Device",
    "country": "Country",
    "language": "Language",
    "visitor": "New or returning",
}
MISSING = "not known"


# --- Genes -------------------------------------------------------------------------------------------------------


def slots(believed: Belief) -> list[SlotReport]:
    """Report what each option of the genes that pages share brings; nothing while no gene returns."""
    held = believed.genes
    names = [name for name in SLOTS if 1 < len({genes[name] for genes in held}) < len(held)]
    if not names or not believed.known.conversions.any():
        return []
    columns = [(name, option) for name in names for option in sorted({genes[name] for genes in held})]
    held_by = np.array([[genes[name] == option for name, option in columns] for genes in held], dtype=np.float64)
    pages, exposures = held_by.sum(axis=0), believed.known.total_exposures @ held_by
    is_thin = (pages < FEWEST_PAGES) | (exposures < FEWEST_VISITORS_OF_OPTION)
    of_slot = {name: [place for place, (slot, _) in enumerate(columns) if slot == name] for name in names}
    # Where no option stands on several pages, its effect would be a page's own under another name.
    told = {name: _most_seen(places, exposures) for name, places in of_slot.items() if not is_thin[places].all()}
    asked = [place for places in told.values() for place in places]
    options: dict[str, list[OptionReport]] = {name: [] for name in told}
    for place, mean, spread in zip(asked, *_effects(believed, columns, held_by, asked), strict=True):
        margin = -special.ndtri((1 - LEVEL) / 2) * spread
        name, option = columns[place]
        options[name].append(
            OptionReport(
                option=option,
                pages=int(pages[place]),
                exposures=int(exposures[place]),
                effect=float(np.expm1(mean)),
                interval=(float(np.expm1(mean - margin)), float(np.expm1(mean + margin))),
                is_thin=bool(is_thin[place]),
            )
        )
    return [
        SlotReport(slot=name, title=SLOT_WORDS[name].capitalize(), options=sorted(rows, key=lambda row: -row.effect))
        for name, rows in options.items()
    ]


def _most_seen(places: Sequence[int], exposures: Floats) -> list[int]:
    return sorted(places, key=lambda place: -int(exposures[place]))[:MOST_OPTIONS]


def _effects(
    believed: Belief, columns: Sequence[tuple[str, str]], held_by: Floats, asked: Sequence[int]
) -> tuple[Floats, Floats]:
    """Give mean and standard deviation of the log effects of some columns' options.

    Each is beside the average page's option of that slot.

    With K = own^2 I + between^2 Z Z', and P = K^-1 less what the level takes up, beta given lambda has the mean
    between^2 Z' P lambda and the variance between^2 I - between^4 Z' P Z.
    """
    found, arms = believed.posterior, len(held_by)
    used = held_by.mean(axis=0)
    scale = 1 / np.sqrt(_disagreement(columns, used))
    features, between = held_by * scale, found.learnt.between**2
    inverse = np.linalg.inv(found.learnt.own**2 * np.eye(arms) + between * features @ features.T)
    level = inverse.sum(axis=0)
    without_level = inverse - np.outer(level, level) / level.sum()
    onto = between * features.T @ without_level
    covariance = onto @ found.covariance @ onto.T + between * np.eye(len(columns)) - onto @ features * between
    slots_of = np.array([name for name, _ in columns])
    contrasts = scale * (np.eye(len(columns)) - (slots_of[:, None] == slots_of) * used)
    # Optimization: of the few options that are reported, out of hundreds.
    variances = np.einsum("ij,jk,ik->i", contrasts[asked], covariance, contrasts[asked])
    return (contrasts @ onto @ found.mean)[asked], np.sqrt(np.maximum(variances, 0.0))


def _disagreement(columns: Sequence[tuple[str, str]], used: Floats) -> float:
    """Return the sum over slots of the chance that two pages drawn at random differ there: pooling's own scale."""
    agreements: dict[str, float] = defaultdict(float)
    for (name, _), part in zip(columns, used.tolist(), strict=True):
        agreements[name] += part**2
    return float(sum(1 - agreement for agreement in agreements.values()))


# --- Segments ----------------------------------------------------------------------------------------------------


def segments(experiment: Experiment, arms: Sequence[ArmReport], *, is_trusted: bool) -> BreakdownReport | None:
    """Report the counts by segment; None until they are counted for the first time."""
    kept = Breakdown.objects.filter(experiment=experiment).first()
    if kept is None or not kept.parts["visitors"]:
        return None
    compared = compared_page(arms) if is_trusted else None
    found = [
        _dimension(dimension, arms, compared)
        for dimension in kept.parts["dimensions"]
        if any(segment["value"] for segment in dimension["segments"])
    ]
    return BreakdownReport(
        made_at=kept.made_at,
        visitors=kept.parts["visitors"],
        compared=compared.key if compared else "",
        name=compared.name if compared else "",
        dimensions=found,
        text=_how_to_read(kept, found),
    )


def compared_page(arms: Sequence[ArmReport]) -> ArmReport | None:
    """Return the page that is likeliest to be best, but for today's; None where there is no other, or all have left."""
    seen = [arm for arm in arms if arm.exposures and not arm.is_control and arm.status not in LEFT]
    return max(seen, key=lambda arm: arm.probability_best or 0.0, default=None)


def _dimension(counted: Mapping[str, Any], arms: Sequence[ArmReport], compared: ArmReport | None) -> DimensionReport:
    control = next((arm.key for arm in arms if arm.is_control), "")
    found = [_segment(segment, control, compared.key if compared else "") for segment in counted["segments"]]
    return DimensionReport(
        key=counted["key"],
        title=KINDS[counted["key"]],
        segments=found,
        other_exposures=counted["others"]["exposures"],
        other_conversions=counted["others"]["conversions"],
        text=_what_it_says(found) if compared else "",
    )


def _segment(counted: Mapping[str, Any], control: str, compared: str) -> SegmentReport:
    shown, converted = counted["exposures"], counted["conversions"]
    low, high = bandit.credible_interval(*bandit.posterior(np.array([shown]), np.array([converted])), level=LEVEL)
    pages = [counted["arms"].get(key) for key in (control, compared)]
    is_thin = any(page is None or page[0] < FEWEST_VISITORS or page[1] < FEWEST_CONVERSIONS for page in pages)
    compared_page = pages[1]
    told = None if is_thin or compared_page is None or compared_page[2] is None else compared_page[2:]
    return SegmentReport(
        value=counted["value"] or MISSING,
        exposures=shown,
        conversions=converted,
        rate=converted / shown if shown else None,
        rate_interval=(float(low[0]), float(high[0])) if shown else None,
        lift=told[0] if told else None,
        lift_interval=(told[1], told[2]) if told else None,
        is_thin=is_thin,
    )


def _what_it_says(found: Sequence[SegmentReport]) -> str:
    told = [(segment.lift, *segment.lift_interval) for segment in found if segment.lift_interval is not None]
    if not told:
        return "Too few visitors so far to compare pages among them."
    if len(told) == 1:
        return "" if len(found) == 1 else "Only one of these groups has visitors enough to compare pages."
    both = np.log1p(np.array(told, dtype=np.float64))
    logs, ends = both[:, 0], both[:, 1:]
    precisions = (2 * special.ndtri((1 + LEVEL) / 2) / (ends[:, 1] - ends[:, 0])) ** 2
    away = logs - (precisions @ logs) / precisions.sum()
    # Cochran's Q: how far the lifts lie apart, measured by how well each is known.
    if stats.chi2.sf(float(precisions @ away**2), len(told) - 1) < DIFFERS_P_VALUE:
        return "The page does better with some of these visitors than with others: worth an experiment of its own."
    return "No sign that it makes a difference here: what differs is within chance."


def _how_to_read(kept: Breakdown, found: Sequence[DimensionReport]) -> str:
    which = "" if kept.parts["is_whole"] else "the newest "
    compared = sum(segment.lift is not None for dimension in found for segment in dimension.segments)
    looks = (
        f" {wording.count_of(compared, 'comparison')} on one page: about one in twenty looks different by chance alone."
        if compared > 1
        else ""
    )
    return (
        f"Counted from {which}{wording.count_of(kept.parts['visitors'], 'visitor')}, up to {kept.made_at:%H:%M} UTC on "
        f"{wording.day(kept.made_at)}; the numbers above may be newer. Take it as a source of ideas, not "
        f"as a result: nobody chose these groups before looking.{looks}"
    )
