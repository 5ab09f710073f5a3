"""What a report says beside its arms: what an equal split would have earned, what was set aside, how long still."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from django.db.models import Sum

from experiments import inference
from experiments.evidence import Evidence
from experiments.models import EXPOSURES, EpochCount, Experiment
from experiments.reporting import wording
from experiments.reporting.gained import FEWEST_ARMS, FEWEST_CONVERSIONS
from experiments.reporting.values import OutlookReport, ReplayReport, VerdictReport

LEVEL = 0.95
KNOWN = frozenset({"decided", "no_difference", "cannot_be_trusted"})  # verdicts that no wait will change
FAR_TOO_MANY = 2  # times the pages that the traffic affords


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
    if not experiment.trusted_from_epoch:
        return 0
    counts = EpochCount.objects.filter(
        arm__experiment=experiment, measure=EXPOSURES, epoch__lt=experiment.trusted_from_epoch
    )
    return int(counts.aggregate(visitors=Sum("count"))["visitors"] or 0)


def outlook(experiment: Experiment, verdict: VerdictReport, leader: str | None) -> OutlookReport | None:
    """Report how long it will probably still take, as last simulated; nothing once it is over."""
    told: dict[str, Any] | None = experiment.outlook
    stands_still = experiment.frozen_at is not None or experiment.proof_arm_id is not None
    if told is None or experiment.status != Experiment.Status.RUNNING or stands_still or verdict.state in KNOWN:
        return None
    looked = OutlookReport(
        days=told["days"],
        days_at_most=told["days_at_most"],
        better_days=told.get("better_days"),  # outlooks of earlier releases lack these two
        better_days_at_most=told.get("better_days_at_most"),
        arms_afforded=told["arms_afforded"],
        text="",
    )
    too_many = told["live"] >= FAR_TOO_MANY * looked.arms_afforded
    text = _outlook_text(looked, verdict, leader, told)
    followed = told.get("followed", told["live"])  # outlooks of earlier releases lack it
    if followed < told["live"]:
        text += f" Worked out for the {followed} pages likeliest to be best."
    if too_many:
        text += f" {told['live']} pages are live; this traffic earns most with about {looked.arms_afforded}."
    return replace(looked, text=text)


def _outlook_text(looked: OutlookReport, verdict: VerdictReport, leader: str | None, told: Mapping[str, Any]) -> str:
    horizon_days = told["horizon_days"]
    if looked.days is not None:
        when = _within(looked.days, looked.days_at_most, horizon_days)
        return f"Which page is best will probably be known {when}."
    late = f"Which of all pages is best will probably not be known within {horizon_days} days"
    if verdict.better_than_control:
        return f"{late}: the weaker ones get too few visitors for that. There is no need to wait for it."
    if looked.better_days is not None:
        when = _within(looked.better_days, looked.better_days_at_most, horizon_days)
        return f"That a page is better than today's will probably be sure {when}. {late}."
    if leader is not None:
        return f"{late}, nor whether “{leader}” beats today's page for sure: that takes more visitors."
    return f"{late}. {'Try fewer or bolder pages' if told['live'] > FEWEST_ARMS else 'Try a bolder page'}."


def _within(likely: float, at_most: float | None, horizon_days: int) -> str:
    within = f"within {wording.count_of(max(round(likely), 1), 'day')}"
    if at_most is None:
        if round(likely) >= horizon_days:
            return f"{within}, or take longer"
        return f"{within}, but it may take more than {horizon_days}"
    return within if round(at_most) == round(likely) else f"{within}, very probably within {round(at_most):,}"
