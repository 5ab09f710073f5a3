"""Turn an experiment's counts into the numbers of its report: one value that page, API and export all read.

Rates, shares and lifts are fractions. What is not known is None, never zero.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from django.db.models import Q, Sum, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from pydantic_core import from_json

from experiments import bandit, belief, evidence, inference, lag
from experiments.belief import Belief
from experiments.evidence import Evidence, Floats
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment
from experiments.reporting import further, lineage, next_steps, why
from experiments.reporting.controls import controls
from experiments.reporting.gained import gained
from experiments.reporting.goals import goals
from experiments.reporting.health import health
from experiments.reporting.money import money
from experiments.reporting.proofs import proofs
from experiments.reporting.sentences import sentence
from experiments.reporting.values import ArmReport, Moment, Report, SampleRatioReport, VerdictReport
from experiments.splitter import tallies as kinds

LEVEL = 0.95  # of every interval
MINIMUM_EXPOSURES = 1_000  # of the leader and of the control, before a report says more than "too early"
FAR_AHEAD = 0.8  # probability best: nobody is told to try bolder pages beside such a leader
FORGOTTEN = "forgotten"  # the tally of people who asked to be forgotten
DAY = timedelta(days=1)
MOST_MOMENTS = 400  # a chart a thousand pixels wide shows no more
MOST_CELLS = 60_000  # moments times arms: what is sent to a browser, or to whoever asks for the JSON
FEW_MOMENTS = 50  # decisions: between fewer, hours are marked as well
HOUR = timedelta(hours=1)

MOMENT_FIELDS = [field.name for field in fields(Moment)]

__all__ = ["ArmReport", "Moment", "Report", "SampleRatioReport", "VerdictReport", "as_json", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """What an arm's visitors did, by goal."""

    counts: dict[str, int]
    values: dict[str, float]


def build(experiment: Experiment) -> Report:
    """Compute the report from what is counted now."""
    arms = evidence.entered_arms(experiment)
    allocations = _allocations(experiment, len(arms))
    allocation = allocations[-1] if allocations else None
    known, now = evidence.gather(experiment, arms), timezone.now()
    believed = belief.of(experiment, known, now)
    ratio = _ratio(experiment, known)
    judged = _judged(believed, ratio) if ratio else None
    reached = _reached(arms, experiment.trusted_from_epoch)
    control_since = evidence.control_since(experiment)
    arm_reports = _arms(believed, allocation, reached, judged, control_since) if arms else []
    rounds = proofs(experiment)
    said = sentence(experiment, arm_reports, judged, rounds)
    behind, tallies = lag.measure(), _tallies(experiment, now)
    outlook = further.outlook(experiment, said, _ahead(arm_reports, judged))
    parts = next_steps.Known(
        experiment=experiment,
        arms=arm_reports,
        judged=judged,
        verdict=said,
        proofs=rounds,
        outlook=outlook,
        visitors_per_day=next_steps.visitors_per_day(experiment, known, now),
    )
    found = Report(
        experiment_id=experiment.pk,
        name=experiment.name,
        slug=experiment.slug,
        status=experiment.status,
        policy=experiment.policy,
        goal=evidence.primary_key(experiment),
        epoch=allocation.epoch if allocation else 0,
        generated_at=now,
        counted_until=behind.counted_until(now),
        delays=behind.sentences(),
        started_at=experiment.started_at,
        finished_at=experiment.finished_at,
        arms=arm_reports,
        waiting=experiment.arms.filter(status=Arm.Status.WAITING).count(),
        sample_ratio=SampleRatioReport(p_value=ratio.p_value if ratio else None, ok=ratio.ok if ratio else True),
        verdict=next_steps.with_parts(parts),
        history=_history(allocations, known, now),
        not_counted=_not_counted(tallies),
        forgotten=tallies.get(FORGOTTEN, (0, 0))[0],
        leads=experiment.leads.count(),
        frozen_at=experiment.frozen_at,
        set_aside=further.set_aside(experiment),
        proofs=rounds,
        replay=further.replay(known),
        outlook=outlook,
        still_maturing=believed.still_maturing,
        controls=controls(experiment),
    )
    return _with_reasons(found, experiment, believed, tallies)


def _with_reasons(
    found: Report, experiment: Experiment, believed: Belief, tallies: Mapping[str, tuple[int, int]]
) -> Report:
    """Add what stands behind the numbers; of numbers that cannot be trusted, nothing that compares pages."""
    known, now, arms = believed.known, found.generated_at, found.arms
    is_trusted = found.verdict.state != "cannot_be_trusted"
    compares = bool(arms) and is_trusted
    return replace(
        found,
        replay=found.replay if is_trusted else None,
        gained=gained(known, _closed_at(experiment), now) if compares else [],
        slots=why.slots(believed) if compares else [],
        breakdown=why.segments(experiment, arms, is_trusted=is_trusted),
        health=health(experiment, known, tallies),
        money=money(experiment, known, is_trusted=is_trusted) if arms else None,
        other_goals=goals(experiment, known, arms) if compares and not found.is_early else [],
        lineage=lineage.if_bred(experiment, believed) if compares else None,
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON data; the API, the export and the page's charts all use this one form."""
    # What is many is plain already; `asdict` would copy each number of it.
    data = asdict(replace(report, history=[], lineage=None))
    data["history"] = [{name: getattr(moment, name) for name in MOMENT_FIELDS} for moment in report.history]
    _write_times(data, "generated_at", "counted_until", "started_at", "finished_at", "frozen_at")
    for moment in data["history"]:
        _write_times(moment, "at")
    for proof in data["proofs"]:
        _write_times(proof, "started_at", "ended_at")
    for gain in data["gained"]:
        _write_times(gain, "at")
    for split in data["health"]["splits"] if data["health"] else ():
        _write_times(split, "day")
    if data["breakdown"]:
        _write_times(data["breakdown"], "made_at")
    for change in data["controls"]:
        _write_times(change, "made_at")
    del data["lineage"]  # a hundred pages' worth; GET …/lineage has it
    place = next((place for place, proof in enumerate(report.proofs) if proof is report.proof), None)
    return {**data, "proof": None if place is None else data["proofs"][place]}


def _write_times(data: dict[str, Any], *names: str) -> None:
    for name in names:
        data[name] = data[name].isoformat() if data[name] else None


def _judged(believed: Belief, ratio: inference.SampleRatio) -> inference.Verdict:
    return inference.verdict(
        believed.known.exposures,
        believed.known.conversions,
        control=believed.known.control,
        probability_best=believed.standing.probability_best,
        expected_loss=believed.loss_in_conversions,
        sample_ratio=ratio,
        minimum_exposures=MINIMUM_EXPOSURES,
    )


def _ahead(arms: Sequence[ArmReport], judged: inference.Verdict | None) -> str | None:
    """Return the name of a page that is far ahead of all others and of today's."""
    if judged is None or judged.leader is None or (judged.probability_best or 0.0) < FAR_AHEAD:
        return None
    leader = arms[judged.leader]
    return None if leader.is_control else leader.name


def _better(known: Evidence, judged: inference.Verdict | None, *, since: int) -> list[bool]:
    """Tell which arms are better than the control, by evidence alone.

    The threshold is that of a winner: arm k exceeds c falsely with a chance of at most 1 / c, however often one looks,
    so that of all arms any does with at most 5%. If all arms are equal, that covers the claim of a winner as well: who
    beats everybody beats the control.

    Of a control that took its place while the experiment ran, only what was counted `since` then says anything: it was
    chosen for looking good in the epochs before.
    """
    if judged is None or judged.leader is None:
        return [False] * len(known.arms)
    counted = np.array([epoch >= since for epoch, _ in known.strata], dtype=bool)
    found = inference.evidence_against(known.control, known.exposures[counted], known.conversions[counted])
    return [bool(better) for better in found > inference.winner_threshold(len(known.arms))]


def _arms(
    believed: Belief,
    allocation: Moment | None,
    reached: dict[int, _Reached],
    judged: inference.Verdict | None,
    control_since: int,
) -> list[ArmReport]:
    known, standing = believed.known, believed.standing
    exposures, conversions = known.total_exposures, known.total_conversions
    rate_low, rate_high = bandit.credible_interval(*bandit.posterior(exposures, conversions), level=LEVEL)
    # Equal tails leave out the end that was seen: a page on which nobody converted would lie outside its interval.
    rate_low, rate_high = np.where(conversions > 0, rate_low, 0.0), np.where(conversions < exposures, rate_high, 1.0)
    # The same posterior that the shares follow: pooled counts would compare one arm's Sundays with another's Mondays.
    lift, lift_low, lift_high = believed.posterior.lift(control=known.control, level=LEVEL)
    # Of what the lift is of: money or weighted goals, where these decide.
    raw = _raw_lifts(exposures, believed.effective.conversions.sum(axis=0), known.control)
    shares = allocation.shares if allocation else {}
    values, better = known.values.sum(axis=0), _better(known, judged, since=control_since)
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
            is_better=better[i],
            goals=reached[arm.pk].counts,
            goal_values=reached[arm.pk].values,
            genes=_genes(arm),
        )
        for i, arm in enumerate(known.arms)
    ]


def _genes(arm: Arm) -> dict[str, str]:
    content = arm.variant.content
    return {"angle": content["angle"], **content.get("theme", {})}


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


def _ratio(experiment: Experiment, known: Evidence) -> inference.SampleRatio | None:
    ratio = evidence.split(known)
    if ratio is None or experiment.frozen_at is None:
        return ratio
    # Once broken it stays broken until a person has looked: more visitors could only hide it.
    return inference.SampleRatio(p_value=ratio.p_value, ok=False)


def _reached(arms: Sequence[Arm], from_epoch: int) -> dict[int, _Reached]:
    rows = (
        EpochCount.objects.filter(arm__in=[arm.pk for arm in arms], epoch__gte=from_epoch)
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


def _allocations(experiment: Experiment, arms: int) -> list[Moment]:
    """Return evenly chosen allocations, the first and the last among them: as many as a reader can tell apart."""
    epochs = list(experiment.allocations.order_by("epoch").values_list("epoch", flat=True))
    most = min(MOST_MOMENTS, max(MOST_CELLS // max(arms, 1), FEW_MOMENTS))
    step = math.ceil(len(epochs) / most) or 1
    kept = experiment.allocations.filter(epoch__in={*epochs[::step], *epochs[-1:]}).order_by("epoch")
    # Optimization: read as text for the quicker of two parsers.
    texts = kept.annotate(of_shares=Cast("shares", TextField()), of_counts=Cast("counts", TextField()))
    return [
        Moment(at=at, epoch=epoch, shares=from_json(shares), counts=from_json(counts), reason=reason)
        for at, epoch, shares, counts, reason in texts.values_list(
            "created_at", "epoch", "of_shares", "of_counts", "reason"
        )
    ]


def _closed_at(experiment: Experiment) -> dict[int, datetime]:
    """Return when each epoch was over: when the next one began."""
    begun = list(experiment.allocations.order_by("epoch").values_list("epoch", "created_at"))
    return {epoch: next_at for (epoch, _), (_, next_at) in pairwise(begun)}


def _history(decided: Sequence[Moment], known: Evidence, now: datetime) -> list[Moment]:
    if not decided or len(decided) >= FEW_MOMENTS:
        return list(decided)
    return sorted([*decided, *_between(decided, known, now)], key=lambda moment: moment.at)


def _between(decided: Sequence[Moment], known: Evidence, now: datetime) -> list[Moment]:
    """Return what was known at the ends of some hours: where shares stand still, decisions alone draw no line."""
    ends = [datetime.fromtimestamp(hour, UTC) + HOUR for _, hour in known.strata]
    shown, converted = known.exposures.cumsum(axis=0), known.conversions.cumsum(axis=0)
    # An hour that was cut by a decision ends once, with its last stratum.
    last = {end: place for place, end in enumerate(ends) if decided[0].at < end < now}
    step = math.ceil(len(last) / (FEW_MOMENTS - len(decided))) or 1
    in_force = {moment.epoch: moment for moment in decided}
    return [
        Moment(
            at=end,
            epoch=known.strata[place][0],
            shares=in_force[known.strata[place][0]].shares,
            counts={
                arm.key: [int(shown[place, k]), int(converted[place, k])]
                for k, arm in enumerate(known.arms)
                if shown[place, k]
            },
            reason="",
        )
        for end, place in list(last.items())[::step]
        if known.strata[place][0] in in_force
    ]


def _tallies(experiment: Experiment, now: datetime) -> dict[str, tuple[int, int]]:
    """Return by kind what was tallied ever, and in the last 24 hours."""
    lately = Sum("count", filter=Q(hour__gt=now - DAY), default=0)
    rows = experiment.tallies.values("kind").annotate(ever=Sum("count"), lately=lately)
    return {kind: (ever, new) for kind, ever, new in rows.values_list("kind", "ever", "lately")}


def _not_counted(tallies: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Return the tallies of what was not counted, less the pages that waited to be seen and then were."""
    numbers = Counter({kind: ever for kind, (ever, _) in tallies.items()})
    numbers[kinds.UNCONFIRMED] -= numbers.pop(kinds.CONFIRMED, 0)
    numbers[kinds.PREFETCH] -= numbers.pop(kinds.SHOWN, 0)
    numbers.pop(FORGOTTEN, None)  # was counted
    # A tally is written each second, so the one of a page may come after the one of its being seen.
    return {kind: number for kind, number in sorted(numbers.items()) if number > 0}
