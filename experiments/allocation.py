"""Where the database meets the bandit: counts in, a dated set of shares out."""

import logging
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction

from experiments import bandit, evidence, inference
from experiments.evidence import Floats
from experiments.models import Allocation, Arm, Experiment

logger = logging.getLogger(__name__)

TOTAL_FLOOR = 0.02  # of all traffic, however many arms: a fixed share each would leave nothing to win at 100 arms
TOP_TWO = 0.9  # of the leader's share in the policy Learn; docs/bandit.md has the comparison
LEAST_CHANGE = 0.001  # shares closer than this to the ones in force are not worth a new epoch


def open_first_epoch(experiment: Experiment, now: datetime) -> Allocation:
    """Start with equal shares: nothing is known yet."""
    arms = _live(experiment)
    shares = _with_control(np.full(len(arms), 1 / len(arms)), arms, experiment)
    return _record(experiment, epoch=1, shares=_keyed(arms, shares), reason="started with equal shares", now=now)


def reallocate(experiment: Experiment, *, now: datetime, at_once: bool = False) -> Allocation:
    """Review the shares of a running experiment and return the allocation in force afterwards.

    Shares stay as they are while they are younger than SHARES_CHANGE_EVERY_SECONDS, unless `at_once`.
    """
    with transaction.atomic():
        # Race: two reviews at once would both add the next epoch; the second waits here and then finds it young.
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        current = latest(locked)
        if locked.status != Experiment.Status.RUNNING or (not at_once and _is_young(current, now)):
            return current
        return _review(locked, current, now)


def latest(experiment: Experiment) -> Allocation:
    """Return the allocation in force."""
    return experiment.allocations.order_by("-epoch")[0]


def _is_young(allocation: Allocation, now: datetime) -> bool:
    least_age = timedelta(seconds=settings.ENVIRONMENT.shares_change_every_seconds)
    # An allocation from the future was dated by a clock that has since been set back: it must not hold for ever.
    return timedelta(0) <= now - allocation.created_at < least_age


def _review(experiment: Experiment, current: Allocation, now: datetime) -> Allocation:
    arms = _live(experiment)
    known = evidence.gather(experiment, arms)
    alpha, beta = inference.stratified_posterior(known.exposures, known.conversions)
    best = bandit.probability_best(alpha, beta)
    shares = _with_control(_policy_shares(experiment, alpha, beta), arms, experiment)
    if _changes_nothing(current, arms, shares):
        return current
    leader = arms[int(np.argmax(best))]
    return _record(
        experiment,
        epoch=current.epoch + 1,
        shares=_keyed(arms, shares),
        counts={
            arm.key: [int(shown), int(converted)]
            for arm, shown, converted in zip(arms, known.total_exposures, known.total_conversions, strict=True)
        },
        probability_best=_keyed(arms, best),
        reason=f"{leader.variant.name} leads with probability {best.max():.0%}"[:200],
        now=now,
    )


def _changes_nothing(current: Allocation, arms: list[Arm], shares: Floats) -> bool:
    if set(current.shares) != {arm.key for arm in arms}:
        return False
    return np.allclose(shares, [current.shares[arm.key] for arm in arms], atol=LEAST_CHANGE, rtol=0)


def _policy_shares(experiment: Experiment, alpha: Floats, beta: Floats) -> Floats:
    count = len(alpha)
    if experiment.policy == Experiment.Policy.EQUAL:
        return np.full(count, 1 / count)
    top_two = TOP_TWO if experiment.policy == Experiment.Policy.LEARN else None
    return bandit.thompson_shares(alpha, beta, floor=TOTAL_FLOOR / count, top_two=top_two)


def _with_control(shares: Floats, arms: list[Arm], experiment: Experiment) -> Floats:
    control = next(place for place, arm in enumerate(arms) if arm.is_control)
    if len(arms) == 1:
        return shares
    return bandit.with_control_share(shares, control=control, control_share=experiment.control_share)


def _live(experiment: Experiment) -> list[Arm]:
    return list(experiment.arms.filter(status=Arm.Status.LIVE).select_related("variant"))


def _keyed(arms: list[Arm], numbers: Floats) -> dict[str, float]:
    return {arm.key: float(number) for arm, number in zip(arms, numbers, strict=True)}


def _record(experiment: Experiment, *, epoch: int, reason: str, now: datetime, **numbers: Any) -> Allocation:
    logger.info("experiment %s, epoch %d: %s", experiment.slug, epoch, reason)
    return Allocation.objects.create(experiment=experiment, epoch=epoch, reason=reason, created_at=now, **numbers)
