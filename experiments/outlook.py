"""How long an experiment will probably still take: the product's own engine, run on into simulated futures."""

from datetime import datetime, timedelta

import numpy as np

from experiments import allocation, evidence, futures
from experiments.affordable import affordable
from experiments.evidence import Evidence, Floats
from experiments.models import Arm, Experiment
from experiments.reporting.report import MINIMUM_EXPOSURES

FEWEST_ARMS = 2
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
    if age < LEAST_AGE or len(arms) < FEWEST_ARMS or not known.conversions.any():
        return
    visitors_per_day = float(known.exposures.sum()) / (age / timedelta(days=1))
    places, part = _likeliest(experiment, known)
    course = _course(experiment, places.index(known.control), visitors_per_day * part)
    shown, converted = known.exposures[:, places], known.conversions[:, places]
    ahead = futures.look_ahead(shown, converted, course, np.random.default_rng(SEED))
    told = {
        "days": _within(ahead.best, 0.5),
        "days_at_most": _within(ahead.best, 0.9),
        "better_days": _within(ahead.better, 0.5),
        "better_days_at_most": _within(ahead.better, 0.9),
        "horizon_days": futures.LOOK_DAYS[-1],
        "live": len(arms),
        "followed": len(places),
        "arms_afforded": _afforded(visitors_per_day * experiment.planned_days, known),
    }
    Experiment.objects.filter(pk=experiment.pk).update(outlook=told)


def _likeliest(experiment: Experiment, known: Evidence) -> tuple[list[int], float]:
    """Return the places of the control and of the arms likeliest to be best, and the part of visitors they get now."""
    everyone = list(range(len(known.arms)))
    if len(everyone) <= MOST_ARMS:
        return everyone, 1.0
    latest = experiment.allocations.last()
    chances, shares = (latest.probability_best, latest.shares) if latest else ({}, {})
    rates = known.conversions.sum(axis=0) / np.maximum(known.exposures.sum(axis=0), 1.0)
    by_chance = sorted(
        everyone,
        key=lambda k: (k == known.control, chances.get(known.arms[k].key, 0.0), float(rates[k])),
        reverse=True,
    )
    places = sorted(by_chance[:MOST_ARMS])
    return places, sum(shares.get(known.arms[k].key, 0.0) for k in places) or len(places) / len(everyone)


def _course(experiment: Experiment, control: int, visitors_per_day: float) -> futures.Course:
    return futures.Course(
        control=control,
        control_share=experiment.control_share,
        visitors_per_day=visitors_per_day,
        minimum_exposures=MINIMUM_EXPOSURES,
        top_two=allocation.TOP_TWO.get(experiment.policy),
        equal=experiment.policy == Experiment.Policy.EQUAL,
    )


def _within(days: Floats, part: float) -> float | None:
    """Return the days within which this part of the futures got there; None where that is beyond the horizon."""
    found = float(np.quantile(days, part, method="higher"))
    return found if np.isfinite(found) else None


def _afforded(visitors: float, known: Evidence) -> int:
    rate = float(known.conversions.sum() / known.exposures.sum())
    return affordable(visitors, rate).variants
