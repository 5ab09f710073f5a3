"""Where the database meets the bandit: counts in, a dated set of shares out."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction

from experiments import bandit, belief, evidence, evolving, pedigree, roster
from experiments.belief import Belief
from experiments.evidence import Floats
from experiments.models import Allocation, Arm, Evolution, Experiment
from variants.models import Operator

logger = logging.getLogger(__name__)

# Part of traffic for the best; the rest is for whoever is best among the others. docs/bandit.md has the comparison.
TOP_TWO: Mapping[str, float] = {Experiment.Policy.LEARN: 0.9, Experiment.Policy.QUICK: 0.8}
PROOF_SPLIT = 0.5  # of the proof round, for each of its two pages: the split that tells most
BRED = frozenset({Operator.CROSSOVER, Operator.MUTATION, Operator.FRESH})
LEADS = 0.5  # probability best from which a page is called the leader; before, it is the first among equals
LEAST_CHANGE = 0.001  # shares closer than this to the ones in force are not worth a new epoch


def open_first_epoch(experiment: Experiment, now: datetime) -> Allocation:
    """Start with equal shares: nothing is known yet."""
    arms = _live(experiment)
    shares = _with_control_share(np.full(len(arms), 1 / len(arms)), arms, experiment)
    return _record(experiment, epoch=1, shares=_keyed(arms, shares), reason="started with equal shares", now=now)


def reallocate(experiment: Experiment, *, now: datetime, at_once: bool = False) -> Allocation:
    """Review the shares of a running experiment and return the allocation in force afterwards.

    Shares stay as they are while they are younger than SHARES_CHANGE_EVERY_SECONDS, unless `at_once`; during a proof
    round; and, from the moment visitors turn out not to be split as planned, until a person has set that right.
    """
    with transaction.atomic():
        # Race: two reviews at once would both add the next epoch; the second waits here and then finds it young.
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        current = latest(locked)
        if locked.status != Experiment.Status.RUNNING or (not at_once and _is_young(current, now)):
            return current
        if not _is_split_as_planned(locked, now) or _is_in_proof(locked, now):
            return current
        return _review(locked, current, now)


def _is_split_as_planned(experiment: Experiment, now: datetime) -> bool:
    """Freeze the shares when visitors did not arrive as they were sent: what they would follow cannot be trusted."""
    if experiment.frozen_at:
        return False
    ratio = evidence.split(evidence.gather(experiment, evidence.entered_arms(experiment)))
    if ratio is None or ratio.ok:
        return True
    logger.warning("experiment %s: visitors are not split as planned (p = %.2g)", experiment.slug, ratio.p_value)
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=now)
    return False


def _is_in_proof(experiment: Experiment, now: datetime) -> bool:
    """Tell whether a proof round goes on; it ends when a guardrail stops its page."""
    if experiment.proof_arm_id is None:
        return False
    roster.guard(experiment, evidence.entered_arms(experiment), now)
    if Arm.objects.filter(pk=experiment.proof_arm_id, status=Arm.Status.LIVE).exists():
        return True
    Experiment.objects.filter(pk=experiment.pk).update(proof_arm=None, proof_epoch=None)
    return False


def open_proof(experiment: Experiment, arm: Arm, now: datetime) -> Allocation:
    """Split new visitors evenly between `arm` and the control."""
    control = next(live for live in _live(experiment) if live.is_control)
    shares = {control.key: 1 - PROOF_SPLIT, arm.key: PROOF_SPLIT}
    reason = f"proof round: {arm.variant.name} against today's page, from zero"
    return _record(experiment, epoch=latest(experiment).epoch + 1, shares=shares, reason=reason[:200], now=now)


def open_afresh(experiment: Experiment, reason: str, now: datetime) -> Allocation:
    """Give every live arm the same share in a new epoch: nothing is known that could be trusted."""
    arms = _live(experiment)
    seen = evidence.gather(experiment, arms).total_exposures
    shares = _even_shares(arms, seen, experiment)
    return _record(experiment, epoch=latest(experiment).epoch + 1, shares=_keyed(arms, shares), reason=reason, now=now)


def open_with_control(experiment: Experiment, reason: str, now: datetime) -> Allocation:
    """Open a new epoch because another page is the control from now on; what is known of each arm stays known."""
    believed = _believed(experiment, now)
    arms = [believed.known.arms[place] for place in believed.live]
    shares = _shares(experiment, believed, arms)
    return _record(experiment, epoch=latest(experiment).epoch + 1, shares=_keyed(arms, shares), reason=reason, now=now)


def latest(experiment: Experiment) -> Allocation:
    """Return the allocation in force."""
    return experiment.allocations.order_by("-epoch")[0]


def _is_young(allocation: Allocation, now: datetime) -> bool:
    least_age = timedelta(seconds=settings.ENVIRONMENT.shares_change_every_seconds)
    # An allocation from the future was dated by a clock that has since been set back: it must not hold for ever.
    return timedelta(0) <= now - allocation.created_at < least_age


def _review(experiment: Experiment, current: Allocation, now: datetime) -> Allocation:
    believed = _renewed(experiment, now)
    arms = [believed.known.arms[place] for place in believed.live]
    best = believed.standing.probability_best[believed.live]
    shares = _shares(experiment, believed, arms)
    if _changes_nothing(current, arms, shares):
        return current
    leader = arms[int(np.argmax(best))]
    counts = zip(arms, believed.live, strict=True)
    shown, converted = believed.known.total_exposures, believed.known.total_conversions
    return _record(
        experiment,
        epoch=current.epoch + 1,
        shares=_keyed(arms, shares),
        counts={arm.key: [int(shown[place]), int(converted[place])] for arm, place in counts},
        probability_best=_keyed(arms, best),
        reason=_reason(leader, best.max(), share=float(shares[arms.index(leader)])),
        now=now,
    )


def _reason(leader: Arm, best: float, *, share: float) -> str:
    if best < LEADS:
        return "no page leads clearly yet"
    leads = f"{leader.variant.name[:100]} leads with probability {best:.0%}"
    # A bred page that leads may be held back; without a word about it its share would look like a mistake.
    is_held = leader.variant.operator in BRED and share < best / 2
    return f"{leads}, and gets {share:.0%} of visitors for now: it is bred, and not proven yet" if is_held else leads


def _renewed(experiment: Experiment, now: datetime) -> Belief:
    """Let arms leave and others enter, and return what is known with them."""
    believed = _believed(experiment, now)
    arms, known = believed.known.arms, believed.known
    left = roster.guard(experiment, arms, now)
    if experiment.policy != Experiment.Policy.EQUAL:
        left += roster.retire(experiment, arms, believed.standing.probability_best, known.total_exposures, now)
    ready = list(experiment.deployment.pages) if experiment.deployment else []
    if roster.admit(experiment, now, ready=ready) or left:
        return _believed(experiment, now)
    return believed


def _believed(experiment: Experiment, now: datetime) -> Belief:
    known = evidence.gather(experiment, evidence.entered_arms(experiment))
    return belief.of(experiment, known, now)


def _shares(experiment: Experiment, believed: Belief, arms: list[Arm]) -> Floats:
    seen = believed.known.total_exposures[believed.live]
    if experiment.policy == Experiment.Policy.EQUAL:
        return _even_shares(arms, seen, experiment)
    is_bred = any(arm.variant.operator in BRED for arm in arms)
    contest = partial(
        evolving.contest,
        *believed.betas,
        seen,
        evidence_counts=evolving.EVIDENCE_COUNTS if is_bred else 1.0,
        top_two=TOP_TWO.get(experiment.policy),
    )
    limits = (
        partial(_on_probation, believed=believed, arms=arms, experiment=experiment),
        partial(_within_walls, seen=seen, arms=arms, experiment=experiment),
    )
    shares = evolving.contested(len(arms), contest, limits)
    return _with_control_share(shares, arms, experiment)


def _on_probation(shares: Floats, *, believed: Belief, arms: list[Arm], experiment: Experiment) -> Floats:
    """Keep bred pages together to a part of the visitors until one way to breed has shown that it does no harm."""
    is_bred = np.array([arm.variant.operator in BRED for arm in arms])
    bred = pedigree.bred_for(experiment) if is_bred.any() else ()
    if not bred:
        return shares
    credits_ = pedigree.operator_credits(believed, bred, pedigree.open_operators(experiment))
    return evolving.on_probation(shares, is_bred, credits_.values())


def _within_walls(shares: Floats, *, seen: Floats, arms: list[Arm], experiment: Experiment) -> Floats:
    """Cut what bred pages get that few have seen to the most that the marketer lets an unproven one have.

    After everything that can raise them, so that no floor, no newcomer's part and no lucky draw passes this wall. The
    control's share comes later: it only lowers theirs, and before it would be what grows by all that is cut.
    """
    wall = Evolution.objects.filter(experiment=experiment).first()
    is_bred = np.array([arm.variant.operator in BRED for arm in arms])
    if wall is None or not is_bred.any():
        return shares
    # Pages that people put in were never held to it.
    return evolving.capped(shares, np.where(is_bred, seen, np.inf), control=_control(arms), most=wall.unproven_share)


def _changes_nothing(current: Allocation, arms: list[Arm], shares: Floats) -> bool:
    if set(current.shares) != {arm.key for arm in arms}:
        return False
    return np.allclose(shares, [current.shares[arm.key] for arm in arms], atol=LEAST_CHANGE, rtol=0)


def _even_shares(arms: list[Arm], seen: Floats, experiment: Experiment) -> Floats:
    even = np.full(len(arms), 1 / len(arms))
    limited = _within_walls(even, seen=seen, arms=arms, experiment=experiment)
    return _with_control_share(limited, arms, experiment)


def _with_control_share(shares: Floats, arms: list[Arm], experiment: Experiment) -> Floats:
    return bandit.with_control_share(shares, control=_control(arms), control_share=experiment.control_share)


def _control(arms: list[Arm]) -> int:
    return next(place for place, arm in enumerate(arms) if arm.is_control)


def _live(experiment: Experiment) -> list[Arm]:
    return list(experiment.arms.filter(status=Arm.Status.LIVE).select_related("variant"))


def _keyed(arms: list[Arm], numbers: Floats) -> dict[str, float]:
    return {arm.key: float(number) for arm, number in zip(arms, numbers, strict=True)}


def _record(experiment: Experiment, *, epoch: int, reason: str, now: datetime, **numbers: Any) -> Allocation:
    logger.info("experiment %s, epoch %d: %s", experiment.slug, epoch, reason)
    return Allocation.objects.create(experiment=experiment, epoch=epoch, reason=reason, created_at=now, **numbers)
