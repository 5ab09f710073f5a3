"""The only writer of Experiment.status.

    DRAFT ── start ──▶ RUNNING ◀── pause / resume ──▶ PAUSED
                          ├───────── stop ───────────────┼──▶ FINISHED ── promote ──▶ PROMOTED
                          └───────── conclude ───────────┴────────────────────────────────▲

Each step is one conditional UPDATE, so of two people who click at once, one wins and the other is told what happened.
Steps that take visitors away from a page publish before they return; a failed publication is repeated by the timetable.
Who did what is written down with the step itself, whether it came from the console, the API or the timetable.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from experiments import allocation, deeds, deployment, evidence, misfits, roster, surroundings
from experiments.models import Arm, ControlChange, Experiment, ProofRound
from experiments.rehearsal import page_checks
from experiments.reporting.proofs import proofs
from experiments.reporting.report import build
from experiments.reporting.values import ArmReport, ProofReport
from experiments.splitter.stores import StoreUnavailable
from variants import recheck
from variants.models import Variant

logger = logging.getLogger(__name__)

Status = Experiment.Status
PROMOTABLE = frozenset({Status.FINISHED})
GOING = frozenset({Status.RUNNING, Status.PAUSED})
REASON_LENGTH = 200  # of an allocation
NAME_KEPT = 90  # characters of a variant's name that a date stands behind


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


class FourEyes(WrongStatus):
    """Somebody else has to do it: this person set the experiment up."""


class BadTime(ValueError):
    """The start or end cannot be planned for then; the message says why."""


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
    found += _broken_pages(experiment)
    found += _misfits(experiment)
    waiting = experiment.nursery.variants.filter(is_control=True).exclude(status=Variant.Status.APPROVED).first()
    if waiting is not None:
        reason = f"“{waiting.name}” is chosen as the control: approve it first, or make another variant the control."
        found.append(Fault(field="variants", reason=reason))
    if not _approved(experiment).exists():
        found.append(Fault(field="variants", reason="Approve at least one variant first."))
    return found


def _broken_pages(experiment: Experiment) -> list[Fault]:
    """Refuse pages that were approved before somebody looked at them in a browser, and that do not hold there."""
    return [
        Fault(field="variants", reason=f"“{variant.name}” has a fault that visitors would meet. {findings[0].reason}")
        for variant, findings in page_checks.broken(experiment)
    ]


def _misfits(experiment: Experiment) -> list[Fault]:
    """Refuse pages that were approved before the brief was changed, and that say what it does not cover any more."""
    unfit = misfits.of(experiment)
    if unfit is None:
        return []
    reason = f"{unfit.text} Edit or reject {unfit.them}, or put back into the brief what {unfit.they_rest} on."
    return [Fault(field="variants", reason=reason)]


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


def start(experiment: Experiment, *, by: User | None, wrote: str = "Started.") -> Experiment:
    """Send visitors to the approved variants. Raise NotReady or WrongStatus."""
    refuse_unless(experiment, {Status.DRAFT}, "start")
    _refuse_own_work(experiment, by)
    recheck.hold_all_of(experiment.nursery.brief)
    if missing := faults(experiment):
        raise NotReady(missing)
    now = timezone.now()
    with transaction.atomic():
        _move(experiment, {Status.DRAFT}, Status.RUNNING, "start", started_at=now, starts_at=None, schedule_problem="")
        _choose_control(experiment)
        surroundings.agree(experiment)
        roster.enrol(experiment)
        roster.admit(experiment, now)
        allocation.open_first_epoch(experiment, now)
        deeds.record(experiment, by, wrote)
    logger.info("experiment %s started by %s", experiment.slug, by)
    deployment.request(experiment, reason="started")
    return experiment


def _refuse_own_work(experiment: Experiment, by: User | None) -> None:
    """Hold up the start where two people have to agree on it and there is only one."""
    if reason := own_work(experiment, by):
        raise FourEyes(reason)


def own_work(experiment: Experiment, by: User | None) -> str:
    """Say why somebody else has to start the experiment; nothing where this person may."""
    if not experiment.nursery.brief.brand.asks_four_eyes:
        return ""
    if by is None or by.pk in {experiment.created_by_id, experiment.edited_by_id, *experiment.earlier_authors}:
        return "You set this experiment up or changed its settings last, so somebody else has to start it (four eyes)."
    if by.pk in surroundings.changers(experiment):
        return "You changed the brief or the brand, so somebody else has to start it (four eyes)."
    return ""


def authors(experiment: Experiment) -> list[int]:
    """Return the primary keys of those who set the experiment up or changed it, its brief or its brand since."""
    changed = surroundings.changers(experiment)
    known = {experiment.created_by_id, experiment.edited_by_id, *experiment.earlier_authors, *changed}
    return sorted(pk for pk in known if pk is not None)


def authored(experiment: Experiment, by: User) -> dict[str, Any]:
    """Return what is to be kept of whoever changed settings or goals, beside all who did before.

    What was planned before, was planned for something else.
    """
    return {
        "edited_by": by,
        "earlier_authors": sorted({*experiment.earlier_authors, by.pk}),
        "scheduled_at": None,
    }


def renew(experiment: Experiment, *, by: User | None, read: str | None = None) -> None:
    """Have the live pages made with what brief and brand say now. Raise WrongStatus or FourEyes.

    `read` is surroundings.digest of what the person has seen: what was changed since, nobody has agreed to.
    """
    if experiment.deployment_id is None:
        raise WrongStatus("Nothing is live yet. Start the experiment first.")
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _refuse_own_changes(locked, by)
        if read is not None and read != surroundings.digest(locked):
            raise WrongStatus("The brief or the brand was changed again a moment ago. Read the changes once more.")
        told = surroundings.differences(locked)
        _agree(locked)
        deeds.record(locked, by, "\n".join(["Put the changed brief and brand on the live pages.", *told]))
    deployment.request(experiment, reason="brief or brand changed")


def _agree(experiment: Experiment) -> None:
    try:
        surroundings.agree(experiment)
    except ValidationError as error:
        raise WrongStatus("The brief has a fault: open and save it.") from error


def _refuse_own_changes(experiment: Experiment, by: User | None) -> None:
    if not experiment.nursery.brief.brand.asks_four_eyes:
        return
    if by is None or by.pk in surroundings.changers(experiment):
        raise FourEyes("You changed the brief or the brand, so somebody else has to put it on live pages (four eyes).")


def pause(experiment: Experiment, *, by: User | None) -> Experiment:
    """Take no new visitors; those who know their page keep it."""
    return _step(experiment, {Status.RUNNING}, Status.PAUSED, "pause", by, wrote="Paused.")


def resume(experiment: Experiment, *, by: User | None) -> Experiment:
    """Take new visitors again."""
    return _step(experiment, {Status.PAUSED}, Status.RUNNING, "resume", by, wrote="Resumed.")


def stop(experiment: Experiment, *, by: User | None, wrote: str = "Stopped.") -> Experiment:
    """Send everyone to the control, at once and for good."""
    ended = {"finished_at": timezone.now(), "ends_at": None}
    return _step(experiment, GOING, Status.FINISHED, "stop", by, wrote=wrote, **ended)


def conclude(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Stop, and send everyone to `arm` instead of the control: nobody sees the control in between."""
    ended = {"finished_at": timezone.now(), "ends_at": None, "winner": arm}
    wrote = f"Stopped, and made “{arm.variant}” the variant everyone sees."
    return _step(experiment, GOING, Status.PROMOTED, "conclude", by, wrote=wrote, **ended)


def plan(
    experiment: Experiment,
    *,
    starts_at: datetime | None,
    ends_at: datetime | None,
    zone: str,
    by: User,
) -> Experiment:
    """Have the timetable start and stop the experiment; None for by hand. Raise BadTime, FourEyes or WrongStatus."""
    refuse_unless(experiment, {Status.DRAFT, *GOING}, "plan")
    _refuse_times(experiment, starts_at, ends_at)
    if starts_at:
        _refuse_own_work(experiment, by)
    changes = {"starts_at": starts_at, "ends_at": ends_at, "time_zone": zone, "schedule_problem": ""}
    with transaction.atomic():
        allowed = {Status.DRAFT} if starts_at else {Status.DRAFT, *GOING}
        planned = Experiment.objects.filter(pk=experiment.pk, status__in=allowed)
        if not planned.update(**changes, scheduled_by=by, scheduled_at=timezone.now()):
            experiment.refresh_from_db()
            refuse_unless(experiment, allowed, "plan")
        experiment.refresh_from_db()
        deeds.record(experiment, by, f"Planned: {planned_words(experiment)}.")
    return experiment


def _refuse_times(experiment: Experiment, starts_at: datetime | None, ends_at: datetime | None) -> None:
    now = timezone.now()
    if starts_at and experiment.status != Status.DRAFT:
        raise BadTime("It runs already: only its end can be planned.")
    if starts_at and starts_at <= now:
        raise BadTime("The start lies in the past. Start it now, or choose a later time.")
    if ends_at and ends_at <= (starts_at or now):
        raise BadTime("The end has to come after the start, and after now.")


def planned_words(experiment: Experiment) -> str:
    """Say when it starts and ends, in the time zone it was planned in."""
    start, end = (local_words(at, experiment.time_zone) for at in (experiment.starts_at, experiment.ends_at))
    if experiment.started_at:
        return f"ends {end}" if end else "ends by hand"
    words = f"starts {start}" if start else "starts by hand"
    return f"{words}, ends {end}" if end else words


def local_words(at: datetime | None, zone: str) -> str:
    """Write a time as people in `zone` read it on their clocks, and say which clocks are meant."""
    if at is None:
        return ""
    there = at.astimezone(ZoneInfo(zone))
    return f"{there:%A}, {there.day} {there:%B %Y, %H:%M} ({zone.replace('_', ' ')})"


def retire(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Send no new visitors to `arm`; those who know it keep it, and what was counted stays evidence."""
    refuse_unless(experiment, GOING, "retire a variant of")
    now = timezone.now()
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _refuse_retiring(locked, arm)
        left = locked.arms.filter(pk=arm.pk, status__in=[Arm.Status.LIVE, Arm.Status.WAITING])
        was_live = arm.status == Arm.Status.LIVE
        reason = f"retired by {by}" if by else "retired by hand"
        if not left.update(status=Arm.Status.RETIRED, retired_at=now, reason=reason[:200]):
            raise WrongStatus(f"“{arm.variant}” gets no new visitors already.")
        if was_live and locked.proof_arm_id is None:
            share_out_again(locked, now)
        deeds.record(experiment, by, f"Retired “{arm.variant}”: it gets no new visitors.")
    return _changed(experiment, f"{arm.key} retired", by)


def _refuse_retiring(experiment: Experiment, arm: Arm) -> None:
    if arm.is_control:
        raise WrongStatus("Today's page is what the others are compared with: it cannot retire.")
    if experiment.proof_arm_id == arm.pk:
        raise WrongStatus("A proof round of this variant is running. End it first.")
    others = experiment.arms.filter(status=Arm.Status.LIVE, variant__is_control=False).exclude(pk=arm.pk)
    if arm.status == Arm.Status.LIVE and not others.exists():
        raise WrongStatus("It is the last variant beside today's page. Stop the experiment instead.")


def share_out_again(experiment: Experiment, now: datetime) -> None:
    """Open a new epoch without the arm that left: a share that nobody gets would make the split unlike its plan."""
    before = allocation.latest(experiment).epoch
    if allocation.reallocate(experiment, now=now, at_once=True).epoch == before:
        # Paused, or shares stand still until numbers are set aside.
        allocation.open_afresh(experiment, "a variant was retired; equal shares until the next review", now)


def add_arms(experiment: Experiment) -> int:
    """Make the pages of newly approved variants of a running experiment, so that the next review lets them in.

    Those who were there keep their visitors and their numbers: the posterior knows when an arm was not there.
    """
    if experiment.status != Status.RUNNING:
        return 0
    new = roster.enrol(experiment)
    if new:
        deployment.request(experiment, reason="a variant was approved")
    return len(new)


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
        deeds.record(experiment, by, f"Started a proof round of “{arm.variant}”.")
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
    deeds.record(experiment, by, "Ended the proof round.")
    return _changed(experiment, "proof round ended", by)


def change_control(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Let a page that was proved take today's page's place, and go on: from a new epoch others are compared with it.

    Those who know a page keep it. What was known against the page before stays, as it stood (decision 0016).
    """
    lift = _refuse_control(experiment, arm)
    standing = [_standing_of(known) for known in build(experiment).arms]
    now = timezone.now()
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _refuse_control(locked, arm)
        before = locked.arms.select_related("variant").get(variant__is_control=True)
        _swap_controls(before, arm, now)
        Experiment.objects.filter(pk=experiment.pk).update(proof_arm=None, proof_epoch=None)
        reason = f"{arm.variant.name} takes the place of today's page"[:REASON_LENGTH]
        epoch = allocation.open_with_control(Experiment.objects.get(pk=experiment.pk), reason, now).epoch
        ControlChange.objects.create(
            experiment=experiment, arm=arm, before=before, epoch=epoch, standing=standing, lift=lift, made_by=by
        )
        deeds.record(experiment, by, f"Made “{arm.variant}” today’s page, in place of “{before.variant}”.")
    return _changed(experiment, f"{arm.key} is the control", by)


def provable_controls(experiment: Experiment) -> list[Arm]:
    """Return the arms that may take today's page's place now."""
    if experiment.status != Status.RUNNING or experiment.frozen_at:
        return []
    keys = {proof.arm for proof in _proofs_of_now(experiment)}
    live = experiment.arms.filter(key__in=keys, status=Arm.Status.LIVE, variant__is_control=False)
    return list(live.select_related("variant"))


def _proofs_of_now(experiment: Experiment) -> list[ProofReport]:
    """Return the rounds that proved a page against what is today's page now, the newest first."""
    since = evidence.control_since(experiment)
    return [proof for proof in proofs(experiment) if proof.is_proved and proof.since_epoch >= since]


def _refuse_control(experiment: Experiment, arm: Arm) -> list[float]:
    """Return the lift of the arm's proof round; raise WrongStatus where it may not become the control."""
    refuse_unless(experiment, {Status.RUNNING}, "change today's page of")
    if experiment.frozen_at:
        raise WrongStatus("Visitors are not split as planned. Set the numbers aside first.")
    if arm.is_control or arm.status != Arm.Status.LIVE:
        raise WrongStatus("Only a live page other than today's can take its place.")
    proof = next((proof for proof in _proofs_of_now(experiment) if proof.arm == arm.key), None)
    if proof is None or proof.lift is None or proof.lift_interval is None or proof.lift <= 0:
        raise WrongStatus("A page has to be proved better in a proof round before it takes the place of today’s page.")
    return [proof.lift, *proof.lift_interval]


def _standing_of(known: ArmReport) -> dict[str, Any]:
    kept = ("key", "name", "is_control", "exposures", "conversions", "rate", "lift", "lift_interval")
    return {name: getattr(known, name) for name in kept}


def _swap_controls(before: Arm, arm: Arm, now: datetime) -> None:
    # In this order: the database allows one control at a time.
    named = before.variant.name
    if "today" in named.casefold():
        # It is not any more; without its date, a report would speak of two pages of today.
        named = f"{named[:NAME_KEPT]} (until {now.day} {now:%b %Y})"
    Variant.objects.filter(pk=before.variant_id).update(is_control=False, name=named)
    Variant.objects.filter(pk=arm.variant_id).update(is_control=True)


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
        deeds.record(experiment, by, "Set aside the numbers counted while visitors were not split as planned.")
    return _changed(experiment, "numbers set aside", by)


def _changed(experiment: Experiment, what: str, by: User | None) -> Experiment:
    experiment.refresh_from_db()
    logger.info("experiment %s: %s, by %s", experiment.slug, what, by)
    publish_or_leave_to_timetable(experiment)
    return experiment


def promote(experiment: Experiment, arm: Arm, *, by: User | None) -> Experiment:
    """Send everyone to `arm`."""
    wrote = f"Made “{arm.variant}” the variant everyone sees."
    return _step(experiment, PROMOTABLE, Status.PROMOTED, "promote", by, wrote=wrote, winner=arm)


def _step(
    experiment: Experiment,
    allowed: Collection[str],
    target: str,
    action: str,
    by: User | None,
    *,
    wrote: str,
    **changes: Any,
) -> Experiment:
    with transaction.atomic():
        _move(experiment, allowed, target, action, **changes)
        deeds.record(experiment, by, wrote)
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
