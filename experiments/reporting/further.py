"""What a report says beside its arms: the proof round, what an equal split would have earned, how long still."""

from typing import Any

import numpy as np
from django.db.models import Sum

from experiments import bandit, evidence, inference
from experiments.evidence import Evidence
from experiments.models import EXPOSURES, EpochCount, Experiment
from experiments.reporting import wording
from experiments.reporting.values import OutlookReport, ProofReport, ReplayReport

LEVEL = 0.95
FEWEST_ARMS = 2
FAR_TOO_MANY = 2  # times the pages that the traffic affords
FEWEST_CONVERSIONS = 20  # of all arms together, before another split is worth imagining


def proof(experiment: Experiment) -> ProofReport | None:
    """Report the proof round, if there is or was one. A fixed split needs no correction: plain counts do."""
    arm, epoch = experiment.proof_arm, experiment.proof_epoch
    if arm is None or epoch is None:
        return None
    control = next(entered for entered in evidence.entered_arms(experiment) if entered.is_control)
    known = evidence.gather(experiment, [control, arm], from_epoch=epoch)
    shown, converted = known.total_exposures, known.total_conversions
    lift, low, high = bandit.lift_interval(*bandit.posterior(shown, converted), control=0, level=LEVEL)
    interval = (float(low[1]), float(high[1])) if shown.all() else None
    is_proved = float(inference.evidence_for(1, known.exposures, known.conversions)[0]) > inference.winner_threshold(2)
    return ProofReport(
        arm=arm.key,
        name=arm.variant.name,
        since_epoch=epoch,
        exposures=(int(shown[0]), int(shown[1])),
        conversions=(int(converted[0]), int(converted[1])),
        lift=float(lift[1]) if interval else None,
        lift_interval=interval,
        is_proved=is_proved,
        text=_proof_text(arm.variant.name, int(shown.sum()), float(lift[1]), interval, is_proved=is_proved),
    )


def _proof_text(name: str, visitors: int, lift: float, interval: tuple[float, float] | None, *, is_proved: bool) -> str:
    if interval is None:
        return f"“{name}” runs against today's page from zero. Nobody has been counted yet."
    found = f"{wording.lift(lift, interval)} ({wording.lift_interval(interval)})"
    start = f"“{name}” against today's page from zero, {wording.count_of(visitors, 'visitor')}: {found}."
    if is_proved:
        return f"{start} Proved: this is the lift to report."
    return f"{start} Not proved yet. Once it is, report this lift: the one above was chosen for looking best."


def replay(known: Evidence) -> ReplayReport | None:
    """Report what an equal split of the same visitors would have earned."""
    is_known = np.isclose(known.shares.sum(axis=1), 1)
    exposures, conversions = known.exposures[is_known], known.conversions[is_known]
    if len(known.arms) < FEWEST_ARMS or conversions.sum() < FEWEST_CONVERSIONS:
        return None
    found = inference.replay(exposures, conversions, known.shares[is_known], level=LEVEL)
    interval = (found.low, found.high)
    earned, equal = round(found.earned), round(found.equal)
    reach = f"{round(found.low):,} to {round(found.high):,}"
    return ReplayReport(
        earned=earned,
        equal_split=found.equal,
        equal_split_interval=interval,
        text=(
            f"{wording.count_of(earned, 'conversion')} were earned. Showing every page equally often would have "
            f"brought about {equal:,} ({reach})."
        ),
    )


def set_aside(experiment: Experiment) -> int:
    """Return how many visitors were set aside because they were not split as planned."""
    counts = EpochCount.objects.filter(
        arm__experiment=experiment, measure=EXPOSURES, epoch__lt=experiment.trusted_from_epoch
    )
    return int(counts.aggregate(visitors=Sum("count"))["visitors"] or 0)


def outlook(experiment: Experiment) -> OutlookReport | None:
    """Report how long it will probably still take, as last simulated."""
    told: dict[str, Any] | None = experiment.outlook
    stands_still = experiment.frozen_at is not None or experiment.proof_arm_id is not None
    if told is None or experiment.status != Experiment.Status.RUNNING or stands_still:
        return None
    days, at_most, afforded = told["days"], told["days_at_most"], told["arms_afforded"]
    text = _outlook_text(days, at_most, told["horizon_days"])
    if told["live"] >= FAR_TOO_MANY * afforded:
        text += f" {told['live']} pages are live; this traffic earns most with about {afforded}."
    return OutlookReport(days=days, days_at_most=at_most, arms_afforded=afforded, text=text)


def _outlook_text(days: float | None, at_most: float | None, horizon_days: int) -> str:
    if days is None:
        return f"At this pace it will probably not be decided within {horizon_days} days. Try fewer or bolder pages."
    likely = f"It will probably be decided within {wording.count_of(max(round(days), 1), 'day')}"
    if at_most is None:
        return f"{likely}, but it may take more than {horizon_days}."
    return f"{likely}, and very probably within {max(round(at_most), 1):,}."
