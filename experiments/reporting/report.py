"""Turn an experiment's counts into the numbers of its report: one value that page, API and export all read.

Rates, shares and lifts are fractions. What is not known is None, never zero.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db.models import Sum
from django.utils import timezone

from experiments import bandit, evidence, inference
from experiments.evidence import Evidence, Floats
from experiments.models import EXPOSURES, Allocation, Arm, EpochCount, Experiment
from experiments.reporting.sentences import sentence
from experiments.reporting.values import ArmReport, Moment, Report, SampleRatioReport, VerdictReport

LEVEL = 0.95  # of every interval
MINIMUM_EXPOSURES = 1_000  # of the leader and of the control, before a report says more than "too early"
MOST_MOMENTS = 400  # a chart a thousand pixels wide shows no more

__all__ = ["ArmReport", "Moment", "Report", "SampleRatioReport", "VerdictReport", "as_json", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """What an arm's visitors did, by goal."""

    counts: dict[str, int]
    values: dict[str, float]


def build(experiment: Experiment) -> Report:
    """Compute the report from what is counted now."""
    entered = (Arm.Status.LIVE, Arm.Status.RETIRED)
    arms = list(experiment.arms.filter(status__in=entered).select_related("variant"))
    allocation = experiment.allocations.last()
    known = evidence.gather(experiment, arms)
    arm_reports = _arms(known, allocation, _reached(arms)) if arms else []
    ratio = _sample_ratio(known)
    judged = _judged(known, arm_reports, ratio) if ratio else None
    return Report(
        experiment_id=experiment.pk,
        name=experiment.name,
        slug=experiment.slug,
        status=experiment.status,
        policy=experiment.policy,
        goal=evidence.primary_key(experiment),
        epoch=allocation.epoch if allocation else 0,
        generated_at=timezone.now(),
        started_at=experiment.started_at,
        finished_at=experiment.finished_at,
        arms=arm_reports,
        waiting=experiment.arms.filter(status=Arm.Status.WAITING).count(),
        sample_ratio=SampleRatioReport(p_value=ratio.p_value if ratio else None, ok=ratio.ok if ratio else True),
        verdict=sentence(experiment, arm_reports, judged),
        history=_history(experiment),
        not_counted=_not_counted(experiment),
        leads=experiment.leads.count(),
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON data; the API, the export and the page's charts all use this one form."""
    data = asdict(report)
    for name in ("generated_at", "started_at", "finished_at"):
        data[name] = data[name].isoformat() if data[name] else None
    for moment in data["history"]:
        moment["at"] = moment["at"].isoformat()
    return data


def _sample_ratio(known: Evidence) -> inference.SampleRatio | None:
    # An epoch whose allocation is not there (a restored backup may lack the newest) says nothing about the split.
    is_known = np.isclose(known.shares.sum(axis=1), 1)
    exposures, shares = known.exposures[is_known], known.shares[is_known]
    return inference.sample_ratio(exposures, shares) if exposures.any() else None


def _judged(known: Evidence, arms: Sequence[ArmReport], ratio: inference.SampleRatio) -> inference.Verdict:
    return inference.verdict(
        known.exposures,
        known.conversions,
        control=known.control,
        probability_best=np.array([arm.probability_best for arm in arms], dtype=np.float64),
        expected_loss=np.array([arm.expected_loss for arm in arms], dtype=np.float64),
        sample_ratio=ratio,
        minimum_exposures=MINIMUM_EXPOSURES,
    )


def _arms(known: Evidence, allocation: Allocation | None, reached: dict[int, _Reached]) -> list[ArmReport]:
    exposures, conversions = known.total_exposures, known.total_conversions
    rate_low, rate_high = bandit.credible_interval(*bandit.posterior(exposures, conversions), level=LEVEL)
    # Pooled counts would compare one arm's Sundays with another's Mondays, and let arms that retired after a few
    # visitors take most of the probability between them.
    standing = bandit.standing(*inference.stratified_posterior(known.exposures, known.conversions))
    lift, lift_low, lift_high = inference.stratified_lift(
        known.exposures, known.conversions, control=known.control, level=LEVEL
    )
    raw = _raw_lifts(exposures, conversions, known.control)
    shares = allocation.shares if allocation else {}
    values = known.values.sum(axis=0)
    return [
        ArmReport(
            key=arm.key,
            name=arm.variant.name,
            is_control=arm.is_control,
            status=arm.status,
            share=shares.get(arm.key, 0.0),
            exposures=int(exposures[i]),
            conversions=int(conversions[i]),
            value=float(values[i]),
            rate=_known(conversions[i] / exposures[i]) if exposures[i] else None,
            rate_interval=_interval(rate_low[i], rate_high[i]),
            probability_best=_known(standing.probability_best[i]),
            expected_loss=_known(standing.expected_loss[i]),
            lift=_known(lift[i]),
            lift_interval=_interval(lift_low[i], lift_high[i]),
            lift_raw=_known(raw[i]),
            goals=reached[arm.pk].counts,
            goal_values=reached[arm.pk].values,
            genes=_genes(arm),
        )
        for i, arm in enumerate(known.arms)
    ]


def _genes(arm: Arm) -> dict[str, str]:
    content = arm.variant.content
    return {"angle": content["angle"], **content["theme"]}


def _raw_lifts(exposures: Floats, conversions: Floats, control: int) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = conversions / exposures
        lifts = rates / rates[control] - 1
    lifts[control] = np.nan
    return np.asarray(lifts, dtype=np.float64)


def _known(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _interval(low: float, high: float) -> tuple[float, float] | None:
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return float(low), float(high)


def _reached(arms: Sequence[Arm]) -> dict[int, _Reached]:
    rows = (
        EpochCount.objects.filter(arm__in=[arm.pk for arm in arms])
        .exclude(measure=EXPOSURES)
        .values_list("arm_id", "measure")
        .annotate(Sum("count"), Sum("value"))
    )
    reached = {arm.pk: _Reached(counts={}, values={}) for arm in arms}
    for arm_id, goal, number, value in rows:
        reached[arm_id].counts[goal] = number
        if value:
            reached[arm_id].values[goal] = value
    return reached


def _history(experiment: Experiment) -> list[Moment]:
    rows = list(experiment.allocations.order_by("epoch"))
    step = math.ceil(len(rows) / MOST_MOMENTS) or 1
    kept = [row for place, row in enumerate(rows) if place % step == 0 or place == len(rows) - 1]
    return [
        Moment(at=row.created_at, epoch=row.epoch, shares=row.shares, counts=row.counts, reason=row.reason)
        for row in kept
    ]


def _not_counted(experiment: Experiment) -> dict[str, int]:
    return dict(experiment.tallies.values_list("kind").annotate(Sum("count")).order_by("kind"))
