"""How long an experiment will probably still take: the product's own engine, run on into simulated futures."""

from datetime import datetime, timedelta
from functools import cache

import numpy as np

from experiments import allocation, evidence, simulation
from experiments.evidence import Evidence
from experiments.models import Arm, Experiment
from experiments.reporting.report import MINIMUM_EXPOSURES

MOST_ARMS = 30  # of those most likely to be best: a future with hundreds would take minutes
LEAST_AGE = timedelta(hours=1)  # before there is a pace to speak of
SEED = 1  # the same counts give the same answer


def renew(experiment: Experiment, now: datetime) -> None:
    """Simulate what is to come and keep the answer with the experiment; nothing while there is too little to go by."""
    if experiment.status != Experiment.Status.RUNNING or experiment.started_at is None:
        return
    if experiment.frozen_at or experiment.proof_arm_id:
        return  # shares stand still
    arms = [arm for arm in evidence.entered_arms(experiment) if arm.status == Arm.Status.LIVE]
    known = evidence.gather(experiment, arms)
    age = now - experiment.started_at
    if age < LEAST_AGE or not 1 < len(arms) <= MOST_ARMS or not known.conversions.any():
        return
    plan = simulation.Plan(
        policy=_policy(experiment, known.control),
        control=known.control,
        visitors_per_day=float(known.exposures.sum()) / (age / timedelta(days=1)),
        minimum_exposures=MINIMUM_EXPOSURES,
    )
    days = simulation.days_until_over(known.exposures, known.conversions, plan, np.random.default_rng(SEED))
    half, most = (float(np.quantile(days, part, method="higher")) for part in (0.5, 0.9))
    told = {
        "days": half if np.isfinite(half) else None,
        "days_at_most": most if np.isfinite(most) else None,
        "horizon_days": plan.horizon_days,
        "live": len(arms),
        "arms_afforded": _afforded(plan.visitors_per_day * experiment.planned_days, known),
    }
    Experiment.objects.filter(pk=experiment.pk).update(outlook=told)


def _afforded(visitors: float, known: Evidence) -> int:
    rate = float(known.conversions.sum() / known.exposures.sum())
    # Rounded, so that the answer of an hour ago serves again: a third more visitors afford no other number of pages.
    return _afforded_by(2 ** round(np.log2(max(visitors, 1.0))), float(f"{rate:.1g}"))


@cache
def _afforded_by(visitors: int, rate: float) -> int:
    return simulation.arms_afforded(visitors, rate, np.random.default_rng(SEED))


def _policy(experiment: Experiment, control: int) -> simulation.Policy:
    if experiment.policy == Experiment.Policy.EQUAL:
        return simulation.equal_split
    top_two = allocation.TOP_TWO.get(experiment.policy)
    return simulation.Ours(top_two=top_two, control=control, control_share=experiment.control_share)
