"""The walls within which pages breed: read, moved and kept. Everything a person sets about breeding passes here.

    off ── switch_on ──▶ on ── switch_off, or it stops by itself ──▶ off, with the reason in words

A wall may be moved at any time; the next look at the experiment goes by it. Each move and each switch is written down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from experiments import deeds, outbox
from experiments.models import Evolution, EvolutionStep, Experiment, Notice
from variants import ledger
from variants.breeding import SLOTS
from variants.content import SLOT_WORDS
from variants.models import MICRO_USD, Breeding, Nursery

WEEK = timedelta(days=7)
# Authors draw the walls, approvers answer for what goes live: either may move them, and stop what breeds.
MAY_MOVE = ("experiments.change_experiment", "experiments.start_experiment")
Kind = EvolutionStep.Kind


class BadWall(ValueError):
    """A wall cannot stand there; `field` and the message say which and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What a person sets."""

    genes: tuple[str, ...] | None = None  # that may vary; None: all
    directions: tuple[int, ...] | None = None  # ids of those that may vary; None: all, also later ones
    is_autopilot: bool = False
    usd_per_day: Decimal | None = None  # None: no limit of its own
    rounds_per_week: int = 7
    unproven_share: float = 0.1
    quiet_from: time | None = None
    quiet_until: time | None = None
    time_zone: str = "UTC"


def of(experiment: Experiment) -> Walls:
    """Return the walls of an experiment, as they are when nobody has set any."""
    kept = Evolution.objects.filter(experiment=experiment).first() or Evolution(experiment=experiment)
    spent = experiment.nursery.breeding_micro_usd_per_day
    return Walls(
        genes=None if kept.genes is None else tuple(kept.genes),
        directions=None if kept.directions is None else tuple(kept.directions),
        is_autopilot=kept.is_autopilot,
        usd_per_day=None if spent is None else spent / MICRO_USD,
        rounds_per_week=kept.rounds_per_week,
        unproven_share=kept.unproven_share,
        quiet_from=kept.quiet_from,
        quiet_until=kept.quiet_until,
        time_zone=kept.time_zone,
    )


def move(experiment: Experiment, walls: Walls, *, by: User | None) -> None:
    """Set the walls; raise BadWall where one cannot stand."""
    _refuse(experiment, walls)
    before = words(experiment, of(experiment))
    with transaction.atomic():
        kept, _ = Evolution.objects.select_for_update().get_or_create(experiment=experiment)
        kept.genes = None if walls.genes is None else list(walls.genes)
        kept.directions = None if walls.directions is None else list(walls.directions)
        for name in ("is_autopilot", "rounds_per_week", "unproven_share", "quiet_from", "quiet_until", "time_zone"):
            setattr(kept, name, getattr(walls, name))
        kept.changed_by = by
        kept.save()
        day = None if walls.usd_per_day is None else ledger.micro(walls.usd_per_day)
        Nursery.objects.filter(pk=experiment.nursery_id).update(breeding_micro_usd_per_day=day)
        experiment.nursery.breeding_micro_usd_per_day = day
        if told := deeds.changes(before, words(experiment, walls)):
            _tell(experiment, Kind.WALLS, f"Moved the walls of breeding. {'; '.join(told)}.", by)


def _refuse(experiment: Experiment, walls: Walls) -> None:
    if unknown := sorted(set(walls.genes or ()) - set(SLOTS)):
        raise BadWall("genes", f"There is no part {unknown[0]!r}; the parts are {', '.join(SLOTS)}.")
    there = set(experiment.nursery.directions.values_list("pk", flat=True))
    if strangers := sorted(set(walls.directions or ()) - there):
        raise BadWall("directions", f"This experiment has no direction {strangers[0]}.")
    if walls.genes == ():
        raise BadWall("genes", "Leave at least one part free to vary, or switch breeding off.")
    if walls.usd_per_day is not None and not (walls.usd_per_day.is_finite() and 0 <= walls.usd_per_day <= MOST_USD):
        raise BadWall("usd_per_day", f"Give dollars a day from 0 to {MOST_USD:,}, or nothing for no limit.")
    _refuse_numbers(walls)
    _refuse_hours(walls)


MOST_USD = 1_000_000
MOST_ROUNDS = 10_000
LEAST_SHARE, MOST_SHARE = 0.005, 0.5


def _refuse_numbers(walls: Walls) -> None:
    if not 1 <= walls.rounds_per_week <= MOST_ROUNDS:
        raise BadWall("rounds_per_week", f"Give 1 to {MOST_ROUNDS:,} rounds a week, not {walls.rounds_per_week}.")
    if not LEAST_SHARE <= walls.unproven_share <= MOST_SHARE:
        reason = f"Give a part of new visitors from {LEAST_SHARE} to {MOST_SHARE}, not {walls.unproven_share}."
        raise BadWall("unproven_share", reason)


def _refuse_hours(walls: Walls) -> None:
    if any(at and at.tzinfo for at in (walls.quiet_from, walls.quiet_until)):
        raise BadWall("quiet_from", "Give the time on the clocks of the time zone, such as 22:00, without an offset.")
    if (walls.quiet_from is None) != (walls.quiet_until is None):
        raise BadWall("quiet_until", "Quiet hours need a beginning and an end.")
    if walls.quiet_from is not None and walls.quiet_from == walls.quiet_until:
        raise BadWall("quiet_until", "Quiet hours end when they begin. Switch breeding off instead.")
    try:
        ZoneInfo(walls.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadWall("time_zone", f"There is no time zone {walls.time_zone!r}, such as Europe/Berlin.") from error


def words(experiment: Experiment, walls: Walls) -> dict[str, str]:
    """Return each wall by its name as people read it."""
    every = "all"
    chosen = experiment.nursery.directions.filter(pk__in=walls.directions or ())
    angles = ", ".join(direction.angle for direction in chosen) or "none"
    return {
        "Parts that may vary": every if walls.genes is None else ", ".join(SLOT_WORDS[gene] for gene in walls.genes),
        "Directions": every if walls.directions is None else angles,
        "Before a child goes live": "autopilot" if walls.is_autopilot else "a person approves it",
        "Dollars a day": "no limit" if walls.usd_per_day is None else f"{walls.usd_per_day:.2f}",
        "Rounds a week": str(walls.rounds_per_week),
        "Most new visitors for an unproven page": f"{walls.unproven_share:.1%}".replace(".0%", "%"),
        "Quiet hours": quiet_words(walls),
    }


def quiet_words(walls: Walls) -> str:
    if walls.quiet_from is None or walls.quiet_until is None:
        return "none"
    return f"{walls.quiet_from:%H:%M} to {walls.quiet_until:%H:%M} ({walls.time_zone.replace('_', ' ')})"


def quiet_until(walls: Walls, now: datetime) -> datetime | None:
    """Return when the quiet hours that it is now will end; None outside of them.

    They are read on the clocks of their time zone, so that a night is a night in winter and in summer.
    """
    if walls.quiet_from is None or walls.quiet_until is None:
        return None
    there = now.astimezone(ZoneInfo(walls.time_zone))
    start, end = walls.quiet_from, walls.quiet_until
    at = there.time().replace(tzinfo=None)
    is_quiet = start <= at < end if start < end else at >= start or at < end
    if not is_quiet:
        return None
    ends = there.replace(hour=end.hour, minute=end.minute, second=0, microsecond=0)
    return ends if end > at else ends + timedelta(days=1)


def rounds_in_week(experiment: Experiment, now: datetime) -> list[datetime]:
    """Return when each round of the last seven days began, the oldest first."""
    bred = Breeding.objects.filter(
        generation__nursery=experiment.nursery_id, generation__created_at__gt=now - WEEK
    ).order_by("generation__created_at")
    began: dict[int, datetime] = {}
    for number, at in bred.values_list("round", "generation__created_at"):
        began.setdefault(number, at)
    return list(began.values())


def switch_on(experiment: Experiment, *, by: User | None) -> None:
    """Let pages breed from the next look on."""
    with transaction.atomic():
        kept, _ = Evolution.objects.select_for_update().get_or_create(experiment=experiment)
        if kept.is_on:
            return
        # A round that was asked for before it was stopped is not owed any more.
        changes = {"is_on": True, "stopped_at": None, "stopped_reason": "", "note": "", "is_wanted_now": False}
        Evolution.objects.filter(pk=kept.pk).update(**changes, changed_by=by)
        _tell(experiment, Kind.SWITCHED, "Switched breeding on.", by)


def switch_off(experiment: Experiment, *, by: User | None) -> None:
    """Stop breeding. Pages that are live stay; a child that is still being written is kept, and goes nowhere."""
    _off(experiment, reason="Switched off by hand.", kind=Kind.SWITCHED, told="Switched breeding off.", by=by)


def stop_by_itself(experiment: Experiment, reason: str, numbers: Mapping[str, Any]) -> None:
    """Stop breeding because going on would do harm or nothing; a person may switch it on again."""
    told = f"Breeding stopped by itself: {reason}"
    if _off(experiment, reason=reason, kind=Kind.STOPPED, told=told, by=None, numbers=numbers):
        outbox.tell(
            Notice.Topic.DECISION, f"breeding stopped {timezone.now():%Y-%m-%d %H:%M}", told, experiment=experiment
        )


def _off(
    experiment: Experiment,
    *,
    reason: str,
    kind: EvolutionStep.Kind,
    told: str,
    by: User | None,
    numbers: Mapping[str, Any] | None = None,
) -> bool:
    with transaction.atomic():
        on = Evolution.objects.filter(experiment=experiment, is_on=True)
        changes = {"is_on": False, "stopped_at": timezone.now(), "stopped_reason": reason, "note": ""}
        if not on.update(**changes, is_wanted_now=False, changed_by=by):
            return False
        _tell(experiment, kind, told, by, numbers)
    return True


def want_round(experiment: Experiment, *, by: User | None) -> bool:
    """Ask for a round before it is due; every other wall still stands. Return False while breeding is off."""
    with transaction.atomic():
        kept = Evolution.objects.select_for_update().filter(experiment=experiment, is_on=True).first()
        if kept is None:
            return False
        if kept.is_wanted_now:
            return True
        Evolution.objects.filter(pk=kept.pk).update(is_wanted_now=True)
        _tell(experiment, Kind.SWITCHED, "Asked for a round of breeding now.", by)
    return True


def hold(experiment: Experiment, note: str) -> None:
    """Say what breeding waits for; written down when it changes, not each time somebody looks."""
    with transaction.atomic():
        if Evolution.objects.filter(experiment=experiment, is_on=True).exclude(note=note).update(note=note) and note:
            _tell(experiment, Kind.HELD, f"Breeding waits: {note}", None)


def _tell(
    experiment: Experiment,
    kind: EvolutionStep.Kind,
    what: str,
    by: User | None,
    numbers: Mapping[str, Any] | None = None,
) -> None:
    EvolutionStep.objects.create(experiment=experiment, kind=kind, what=what, numbers=dict(numbers or {}), made_by=by)
    deeds.record(experiment, by, what)
