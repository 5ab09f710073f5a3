"""Carry out planned starts and ends when their time has come.

The plan stands in the database, so a worker that was down catches up, and each step is the conditional UPDATE of
lifecycle.py, so two workers do it once. A start that is refused is not tried again: the plan is taken off, and the
people who should know are told why.
"""

import logging
from collections.abc import Iterator
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from experiments import deeds, lifecycle, outbox
from experiments.models import Experiment

logger = logging.getLogger(__name__)

Status = Experiment.Status
Topic = outbox.Topic
MAY_START = "experiments.start_experiment"


class CannotStart(Exception):
    """The plan cannot be carried out; the message says why."""


def due(now: datetime) -> list[int]:
    """Return the experiments whose planned start or end has come."""
    starting = Q(status=Status.DRAFT, starts_at__lte=now)
    ending = Q(status__in=lifecycle.GOING, ends_at__lte=now)
    return list(Experiment.objects.filter(starting | ending).values_list("pk", flat=True))


def carry_out(experiment: Experiment, now: datetime) -> None:
    """Start or stop the experiment if it is time to. Doing it twice changes nothing."""
    if experiment.status == Status.DRAFT and experiment.starts_at and experiment.starts_at <= now:
        _start(experiment, now)
    elif experiment.status in lifecycle.GOING and experiment.ends_at and experiment.ends_at <= now:
        _stop(experiment)


def _start(experiment: Experiment, now: datetime) -> None:
    planned = experiment.starts_at
    try:
        by = _planner(experiment, now)
        with transaction.atomic():
            lifecycle.start(experiment, by=by, wrote="Started, as planned.")
            outbox.tell(Topic.SCHEDULE, f"started {planned}", "It has started, as planned.", experiment=experiment)
    except (CannotStart, lifecycle.NotReady, lifecycle.WrongStatus) as error:
        _refuse(experiment, planned, str(error))


def _planner(experiment: Experiment, now: datetime) -> User:
    """Return who planned the start, if that person may still start it."""
    if experiment.ends_at and experiment.ends_at <= now:
        raise CannotStart("Its planned end has passed as well, so it would have started only to stop.")
    by = experiment.scheduled_by
    if by is None or not by.is_active or not by.has_perm(MAY_START):
        raise CannotStart("Whoever planned it may not start experiments any more.")
    _refuse_what_nobody_read(experiment, by)
    return by


def _refuse_what_nobody_read(experiment: Experiment, planner: User) -> None:
    """Under four eyes a plan holds for what the planner could read."""
    brief = experiment.nursery.brief
    if not brief.brand.asks_four_eyes:
        return
    if experiment.scheduled_at is None:
        raise CannotStart("Its settings or goals were changed after it was planned. Read them, and plan it again.")
    if deeds.changers(brief, brief.brand, since=experiment.scheduled_at) - {planner.pk}:
        raise CannotStart("The brief or the brand was changed after it was planned. Read it, and plan it again.")


def _refuse(experiment: Experiment, planned: datetime | None, reason: str) -> None:
    when = lifecycle.local_words(planned, experiment.time_zone)
    text = f"It should have started {when}, and could not: {reason}"
    with transaction.atomic():
        mine = Experiment.objects.filter(pk=experiment.pk, status=Status.DRAFT, starts_at=planned)
        if not mine.update(starts_at=None, schedule_problem=text):
            return  # somebody started it, or planned anew, a moment ago
        deeds.record(experiment, experiment.scheduled_by, f"The planned start did not happen: {reason}")
        outbox.tell(Topic.SCHEDULE, f"not started {planned}", text, experiment=experiment)
    logger.warning("experiment %s: %s", experiment.slug, text)


def _stop(experiment: Experiment) -> None:
    planned, by = experiment.ends_at, experiment.scheduled_by
    try:
        with transaction.atomic():
            text = "It has ended, as planned: everyone sees the control. Choose the variant everybody sees from now on."
            outbox.tell(Topic.SCHEDULE, f"ended {planned}", text, experiment=experiment)
            lifecycle.stop(experiment, by=by, wrote="Stopped, as planned.")
    except lifecycle.WrongStatus:
        logger.info("experiment %s was stopped by hand a moment ago", experiment.slug)


def coming(experiment: Experiment) -> Iterator[str]:
    """Say what is planned, and what of the plan did not happen."""
    if experiment.schedule_problem:
        yield experiment.schedule_problem
    if experiment.starts_at or experiment.ends_at:
        words = lifecycle.planned_words(experiment)
        yield f"{words[:1].upper()}{words[1:]}."
