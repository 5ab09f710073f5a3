"""The only writer of Experiment.status.

    DRAFT ── start ──▶ RUNNING ◀── pause / resume ──▶ PAUSED
                          └───────── stop ───────────────┴──▶ FINISHED ── promote ──▶ PROMOTED

Each step is one conditional UPDATE, so of two people who click at once, one wins and the other is told what happened.
Steps that take visitors away from a page publish before they return; a failed publication is repeated by the timetable.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from experiments import allocation, deployment
from experiments.models import Arm, Experiment
from experiments.splitter.stores import StoreUnavailable
from variants.models import Variant

logger = logging.getLogger(__name__)

Status = Experiment.Status
PROMOTABLE = frozenset({Status.FINISHED})
VISITORS_PER_ARM = 5_000  # about 200 conversions at 4%: fewer cannot be told apart (docs/bandit.md)
FEWEST_ARMS = 2  # the control and something to compare it with


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What stands in the way, and which field mends it."""

    field: str
    reason: str


class NotReady(Exception):
    """The experiment cannot start yet; `faults` says what is missing."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(" ".join(fault.reason for fault in faults))
        self.faults = faults


class WrongStatus(Exception):
    """The step is not possible from the status the experiment has."""


def faults(experiment: Experiment) -> list[Fault]:
    """Return everything that stands in the way of a start."""
    found = []
    goals = list(experiment.goals.all())
    if not goals:
        found.append(Fault(field="goals", reason="Add a goal: say what counts as a conversion."))
    elif not any(goal.is_primary for goal in goals):
        found.append(Fault(field="goals", reason="Mark one goal as primary: the one that decides."))
    found += _goals_without_a_place(experiment)
    waiting = experiment.nursery.variants.filter(is_control=True).exclude(status=Variant.Status.APPROVED).first()
    if waiting is not None:
        reason = f"“{waiting.name}” is chosen as the control: approve it first, or make another variant the control."
        found.append(Fault(field="variants", reason=reason))
    if not _approved(experiment).exists():
        found.append(Fault(field="variants", reason="Approve at least one variant first."))
    return found


def _goals_without_a_place(experiment: Experiment) -> list[Fault]:
    brief = experiment.nursery.brief.spec()
    found = []
    for goal in experiment.goals.all():
        if goal.kind == goal.Kind.FORM and brief.call_to_action.kind != "form":
            reason = f"The goal {goal.key} counts forms, but the brief asks visitors to follow a link. Choose click."
            found.append(Fault(field="goals", reason=reason))
        if goal.kind == goal.Kind.CLICK and goal.link == "more" and brief.secondary_link is None:
            reason = f"The goal {goal.key} counts clicks on a second link, but the brief has none. Choose cta."
            found.append(Fault(field="goals", reason=reason))
    return found


def start(experiment: Experiment, *, by: User | None) -> Experiment:
    """Send visitors to the approved variants. Raise NotReady or WrongStatus."""
    refuse_unless(experiment, {Status.DRAFT}, "start")
    if missing := faults(experiment):
        raise NotReady(missing)
    now = timezone.now()
    with transaction.atomic():
        _move(experiment, {Status.DRAFT}, Status.RUNNING, "start", started_at=now)
        _choose_control(experiment)
        _enter_arms(experiment, now)
        allocation.open_first_epoch(experiment, now)
    logger.info("experiment %s started by %s", experiment.slug, by)
    deployment.request(experiment, reason="started")
    return experiment


def pause(experiment: Experiment, *, by: User | None) -> Experiment:
    """Take no new visitors; those who know their page keep it."""
    return _step(experiment, {Status.RUNNING}, Status.PAUSED, "pause", by)


def resume(experiment: Experiment, *, by: User | None) -> Experiment:
    """Take new visitors again."""
    return _step(experiment, {Status.PAUSED}, Status.RUNNING, "resume", by)


def stop(experiment: Experiment, *, by: User | None) -> Experiment:
    """Send everyone to the control, at once and for good."""
    now = timezone.now()
    return _step(experiment, {Status.RUNNING, Status.PAUSED}, Status.FINISHED, "stop", by, finished_at=now)


def promote(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Send everyone to `arm`."""
    return _step(experiment, PROMOTABLE, Status.PROMOTED, "promote", by, winner=arm)


def _step(
    experiment: Experiment, allowed: Collection[str], target: str, action: str, by: User | None, **changes: Any
) -> Experiment:
    _move(experiment, allowed, target, action, **changes)
    logger.info("experiment %s: %s by %s", experiment.slug, action, by)
    publish_or_leave_to_timetable(experiment)
    return experiment


def publish_or_leave_to_timetable(experiment: Experiment) -> bool:
    """Publish now if Redis answers. Return False when visitors will follow only once it does."""
    try:
        deployment.publish(experiment)
    except StoreUnavailable:
        logger.exception("experiment %s is not published yet; the timetable will repeat it", experiment.slug)
        return False
    return True


def _move(experiment: Experiment, allowed: Collection[str], target: str, action: str, **changes: Any) -> None:
    moved = Experiment.objects.filter(pk=experiment.pk, status__in=allowed).update(status=target, **changes)
    experiment.refresh_from_db()
    if not moved:
        refuse_unless(experiment, allowed, action)


def refuse_unless(experiment: Experiment, allowed: Collection[str], action: str) -> None:
    """Raise WrongStatus, naming what the experiment would have to be."""
    if experiment.status in allowed:
        return
    wanted = " or ".join(sorted(allowed))
    raise WrongStatus(f"Cannot {action} an experiment that is {experiment.status}; it has to be {wanted}.")


def _approved(experiment: Experiment) -> Any:
    return experiment.nursery.variants.filter(status=Variant.Status.APPROVED)


def _choose_control(experiment: Experiment) -> None:
    """Make sure one approved variant is the control: the oldest, if nobody chose another."""
    if _approved(experiment).filter(is_control=True).exists():
        return
    oldest = _approved(experiment).order_by("number").first()
    _approved(experiment).filter(pk=oldest.pk).update(is_control=True)


def _enter_arms(experiment: Experiment, now: datetime) -> None:
    """Make an arm of each approved variant; the control and as many others as the traffic affords go live."""
    variants = sorted(_approved(experiment), key=lambda variant: (not variant.is_control, variant.number))
    most_live = affordable_arms(experiment) or len(variants)
    Arm.objects.bulk_create(
        Arm(
            experiment=experiment,
            variant=variant,
            key="control" if variant.is_control else f"v{variant.number}",
            status=Arm.Status.LIVE if place < most_live else Arm.Status.WAITING,
            entered_at=now if place < most_live else None,
        )
        for place, variant in enumerate(variants)
    )


def affordable_arms(experiment: Experiment) -> int | None:
    """Return how many arms the expected traffic can tell apart; None where there is no limit."""
    if not experiment.has_arm_budget or experiment.visitors_per_day is None:
        return None
    visitors = experiment.visitors_per_day * experiment.planned_days * experiment.traffic_share
    return max(FEWEST_ARMS, int(visitors // VISITORS_PER_ARM))
