"""Who is live: pages enter as the traffic affords them, leave when they cannot win, and are stopped by guardrails.

Nobody else is reset when one enters or leaves: the posterior knows epochs in which an arm was not there.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q, QuerySet

from experiments import evidence, evolving, inference
from experiments.affordable import affordable
from experiments.evidence import Floats
from experiments.models import Arm, Evolution, Experiment, Goal
from variants import recheck
from variants.models import Variant

logger = logging.getLogger(__name__)

VISITORS_PER_ARM = 5_000  # about 200 conversions at 4%: fewer cannot be told apart (docs/bandit.md)
# Arms whose genes are pooled learn from one another. A tenth of this still paid in the study of 200 gene-built arms,
# but there every gene was known and mattered.
VISITORS_PER_POOLED_ARM = 2_500
FEWEST_ARMS = 2  # the control and something to compare it with
FEWEST_POOLED = 10  # arms from which genes return often enough to learn from

# An arm makes room for one that waits when it is this much less likely to be best than an equal one would be, ...
HOPELESS = 0.05
# ... and has been seen by as many as it takes for that to be no accident.
FEWEST_EXPOSURES = 500


def affordable_arms(experiment: Experiment) -> int | None:
    """Return how many arms the expected traffic can tell apart; None where there is no limit."""
    if not experiment.has_arm_budget or experiment.visitors_per_day is None:
        return None
    visitors = experiment.visitors_per_day * experiment.planned_days * experiment.traffic_share
    # Bred arms share genes, and it is genes that are learnt of; breeding itself sees to it that losers leave.
    bred = evolving.affordable_live(visitors) if Evolution.objects.filter(experiment=experiment, is_on=True) else 0
    return max(bred, _told_apart(experiment, visitors))


def _told_apart(experiment: Experiment, visitors: float) -> int:
    if experiment.usual_rate is not None:
        return max(FEWEST_ARMS, affordable(visitors, experiment.usual_rate).variants)  # what the marketer was told
    apart, pooled = int(visitors // VISITORS_PER_ARM), int(visitors // VISITORS_PER_POOLED_ARM)
    return max(FEWEST_ARMS, apart, pooled if pooled >= FEWEST_POOLED else 0)


def approved(experiment: Experiment) -> list[Variant]:
    """Return the approved variants: the control first, then in the order they were made."""
    found = experiment.nursery.variants.filter(status=Variant.Status.APPROVED)
    return sorted(found, key=lambda variant: (not variant.is_control, variant.number))


def enrol(experiment: Experiment) -> list[Arm]:
    """Make a waiting arm of every approved variant that has none, and return the new ones."""
    known = set(experiment.arms.values_list("variant_id", flat=True))
    new = [
        Arm(experiment=experiment, variant=variant, key="control" if variant.is_control else f"v{variant.number}")
        for variant in approved(experiment)
        if variant.pk not in known
    ]
    # Two workers may find the same variant at once: the second finds its arm made.
    return list(Arm.objects.bulk_create(new, ignore_conflicts=True))


def admit(experiment: Experiment, now: datetime, *, ready: Sequence[str] | None = None) -> int:
    """Let waiting arms go live while there is room, the control first; of `ready` alone, if given. Return how many.

    One that takes another's place needs no room of its own: the other retires in the same moment.
    """
    most, live = affordable_arms(experiment), experiment.arms.filter(status=Arm.Status.LIVE).count()
    waiting = sorted(may_enter(experiment).select_related("variant"), key=lambda arm: not arm.is_control)
    entering = [arm for arm in waiting if ready is None or arm.key in ready]
    heirs = _succeed(experiment, entering, now) if entering else []
    if most is not None:
        entering = [arm for arm in entering if arm.pk not in heirs][: max(0, most - live)]
    admitted = {arm.pk for arm in entering}.union(heirs)
    return Arm.objects.filter(pk__in=admitted).update(status=Arm.Status.LIVE, entered_at=now)


def may_enter(experiment: Experiment) -> QuerySet[Arm]:
    """Return the waiting arms whose pages fit the brief as it is now; today's page is none of the brief's business.

    One that nobody held against the brief since it was changed waits until that is done: a matter of seconds.
    """
    waiting = experiment.arms.filter(status=Arm.Status.WAITING)
    state = recheck.state_of(experiment.nursery.brief) if waiting.exists() else ""
    is_held = Q(variant__held_against__in=["", state]) if state else Q()
    return waiting.filter(Q(variant__is_control=True) | Q(variant__misfit="") & is_held)


def _succeed(experiment: Experiment, entering: Sequence[Arm], now: datetime) -> list[int]:
    """Retire the live arms whose place one of `entering` takes; return those that take it."""
    heirs = {arm.variant_id: arm for arm in entering}
    leaving = experiment.arms.filter(status=Arm.Status.LIVE, successor__in=heirs, variant__is_control=False)
    taken = []
    for arm in leaving:
        heir = heirs[arm.successor_id or 0]
        reason = f"“{heir.variant}” took its place"[:200]
        Arm.objects.filter(pk=arm.pk).update(status=Arm.Status.RETIRED, retired_at=now, reason=reason)
        taken.append(heir.pk)
    return taken


def retire(experiment: Experiment, arms: Sequence[Arm], best: Floats, exposures: Floats, now: datetime) -> int:
    """Retire live arms that cannot win any more, as many as others wait. Return how many."""
    live = sum(arm.status == Arm.Status.LIVE for arm in arms)
    hopeless = [
        place
        for place, arm in enumerate(arms)
        if arm.status == Arm.Status.LIVE
        and not arm.is_control
        and best[place] < HOPELESS / live
        and exposures[place] >= FEWEST_EXPOSURES
    ]
    room_needed = _waiting_for_room(experiment, live)
    leaving = sorted(hopeless, key=lambda place: best[place])[:room_needed]
    for place in leaving:
        reason = f"probability best {best[place]:.2%} after {exposures[place]:,.0f} visitors, and others wait"
        Arm.objects.filter(pk=arms[place].pk).update(status=Arm.Status.RETIRED, retired_at=now, reason=reason)
        logger.info("experiment %s: %s retires, %s", experiment.slug, arms[place].key, reason)
    return len(leaving)


def _waiting_for_room(experiment: Experiment, live: int) -> int:
    most = affordable_arms(experiment)
    if most is None:
        return 0
    return max(0, may_enter(experiment).count() - max(0, most - live))


def guard(experiment: Experiment, arms: Sequence[Arm], now: datetime) -> int:
    """Pause live arms on which a guardrail goal turned for the worse against the control. Return how many.

    By the same evidence that names a winner, for the same reason: it is looked at every few minutes.
    """
    live = [arm for arm in arms if arm.status == Arm.Status.LIVE]
    guards = [goal for goal in experiment.goals.all() if goal.guard]
    if not guards or not any(arm.is_control for arm in live):
        return 0
    return sum(_guard(experiment, goal, live, now) for goal in guards)


def _guard(experiment: Experiment, goal: Goal, live: Sequence[Arm], now: datetime) -> int:
    counts = evidence.gather(experiment, live, goal=goal.key)
    worse_by = inference.evidence_against if goal.guard == Goal.Guard.RISE else inference.evidence_for
    against = worse_by(counts.control, counts.exposures, counts.conversions)
    threshold = inference.winner_threshold(len(live))
    worse = [arm for arm, evidence_of in zip(live, against, strict=True) if evidence_of > threshold]
    direction = "more" if goal.guard == Goal.Guard.RISE else "less"
    reason = f"its visitors reach {goal.key} {direction} often than those of today's page"
    for arm in worse:
        Arm.objects.filter(pk=arm.pk).update(status=Arm.Status.PAUSED, retired_at=now, reason=reason)
        logger.warning("experiment %s: %s is paused, %s", experiment.slug, arm.key, reason)
    return len(worse)
