"""The only writer of Experiment.status.

    DRAFT ── start ──▶ RUNNING ◀── pause / resume ──▶ PAUSED
                          └───────── stop ───────────────┴──▶ FINISHED ── promote ──▶ PROMOTED

Each step is one conditional UPDATE, so of two people who click at once, one wins and the other is told what happened.
Steps that take visitors away from a page publish before they return; a failed publication is repeated by the timetable.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from experiments import allocation, deployment, roster
from experiments.models import Arm, Experiment, ProofRound
from experiments.splitter.stores import StoreUnavailable
from variants.models import Variant

logger = logging.getLogger(__name__)

Status = Experiment.Status
PROMOTABLE = frozenset({Status.FINISHED})


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
    found += _scripts_without_a_host(experiment)
    waiting = experiment.nursery.variants.filter(is_control=True).exclude(status=Variant.Status.APPROVED).first()
    if waiting is not None:
        reason = f"“{waiting.name}” is chosen as the control: approve it first, or make another variant the control."
        found.append(Fault(field="variants", reason=reason))
    if not _approved(experiment).exists():
        found.append(Fault(field="variants", reason="Approve at least one variant first."))
    return found


def _scripts_without_a_host(experiment: Experiment) -> list[Fault]:
    """Refuse to put somebody else's scripts on the host where people are logged in to the console."""
    if settings.PAGES_URL or not deployment.has_own_scripts(experiment):
        return []
    reason = (
        "The imported page carries its own scripts, which must not run on the console’s address. Set PAGES_HOST to an "
        "address of its own, or import the page without its scripts."
    )
    return [Fault(field="variants", reason=reason)]


def _picked_goals(experiment: Experiment) -> set[str] | None:
    """Return the goals that are picked on every imported page in use; None where there is no such page."""
    used = deployment.imported_in_use(experiment)
    return set.intersection(*(set(page.goals.values()) for page in used)) if used else None


def _goals_without_a_place(experiment: Experiment) -> list[Fault]:
    brief = experiment.nursery.brief.spec()
    picked = _picked_goals(experiment)
    found = []
    for goal in experiment.goals.all():
        if picked is not None and goal.kind in {goal.Kind.CLICK, goal.Kind.FORM} and goal.key not in picked:
            reason = f"The goal {goal.key} could never be reached on the imported page: nothing there is picked for it."
            found.append(Fault(field="import", reason=reason))
        if picked is not None and goal.key in picked:
            continue
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
        roster.enrol(experiment)
        roster.admit(experiment, now)
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


def start_proof(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Run `arm` and the control from zero on a fixed split: its lift then is nobody's best of many."""
    _refuse_proof(experiment, arm)
    now = timezone.now()
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _refuse_proof(locked, arm)
        epoch = allocation.open_proof(locked, arm, now).epoch
        Experiment.objects.filter(pk=experiment.pk).update(proof_arm=arm, proof_epoch=epoch)
        ProofRound.objects.create(experiment=experiment, arm=arm, epoch=epoch)
    return _changed(experiment, f"proof round of {arm.key}", by)


def _refuse_proof(experiment: Experiment, arm: Arm) -> None:
    refuse_unless(experiment, {Status.RUNNING}, "prove a page in")
    if experiment.frozen_at:
        raise WrongStatus("Visitors are not split as planned. Set the numbers aside first.")
    if experiment.proof_arm_id:
        raise WrongStatus("A proof round is running. End it first.")
    if arm.is_control or arm.status != Arm.Status.LIVE:
        raise WrongStatus("Only a live page other than today's can be proved against today's page.")


def end_proof(experiment: Experiment, *, by: User | None) -> Experiment:
    """Send new visitors to all live arms again. What the proof round counted stays evidence like any other."""
    refuse_unless(experiment, {Status.RUNNING, Status.PAUSED}, "end the proof round of")
    if experiment.frozen_at:
        raise WrongStatus(
            "Shares stand still: visitors are not split as planned. Set the numbers aside, which ends it."
        )
    round_epoch, now = experiment.proof_epoch, timezone.now()
    ended = Experiment.objects.filter(pk=experiment.pk, proof_arm__isnull=False)
    if not ended.update(proof_arm=None, proof_epoch=None):
        raise WrongStatus("No proof round is running.")
    experiment.refresh_from_db()
    if allocation.reallocate(experiment, now=now, at_once=True).epoch == round_epoch:
        # Paused, or shares that would stay as they are: what comes from now on must not count to the round.
        allocation.open_afresh(experiment, "the proof round ended; equal shares until the next review", now)
    return _changed(experiment, "proof round ended", by)


def set_aside(experiment: Experiment, *, by: User | None) -> Experiment:
    """Leave out what was counted while visitors were not split as planned, and go on from zero."""
    refuse_unless(experiment, {Status.RUNNING}, "set numbers aside in")
    now = timezone.now()
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if not locked.frozen_at:
            raise WrongStatus("Visitors are split as planned: there is nothing to set aside.")
        epoch = allocation.open_afresh(locked, "numbers set aside; started again with equal shares", now).epoch
        Experiment.objects.filter(pk=experiment.pk).update(
            frozen_at=None, trusted_from_epoch=epoch, proof_arm=None, proof_epoch=None
        )
    return _changed(experiment, "numbers set aside", by)


def _changed(experiment: Experiment, what: str, by: User | None) -> Experiment:
    experiment.refresh_from_db()
    logger.info("experiment %s: %s, by %s", experiment.slug, what, by)
    publish_or_leave_to_timetable(experiment)
    return experiment


def promote(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Send everyone to `arm`."""
    return _step(experiment, PROMOTABLE, Status.PROMOTED, "promote", by, winner=arm)


def _step(
    experiment: Experiment, allowed: Collection[str], target: str, action: str, by: User | None, **changes: Any
) -> Experiment:
    _move(experiment, allowed, target, action, **changes)
    return _changed(experiment, action, by)


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
