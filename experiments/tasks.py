"""What workers do for experiments. Each task loads, calls one function and ends; each may run twice without harm."""

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from experiments import (
    allocation,
    breakdown,
    counting,
    delivering,
    deployment,
    digest,
    evolution,
    lag,
    outlook,
    retention,
    roster,
    schedule,
    standing,
    watch,
)
from experiments.models import Experiment
from experiments.rehearsal import page_checks
from experiments.splitter.stores import StoreUnavailable
from experiments.store import store

logger = logging.getLogger(__name__)

OUTLOOK_EXPIRES_SECONDS = 3600
SCHEDULED_EXPIRES_SECONDS = 60
JUDGED_EXPIRES_SECONDS = 600
BREAKDOWN_EXPIRES_SECONDS = 300
# A pass, and one page more than it has time for; less than the broker's patience (VISIBILITY_SECONDS).
LONGEST_PAGES_SECONDS = int(page_checks.PASS_SECONDS + page_checks.LEASE.total_seconds())
DEPLOYED_AFTER = timedelta(seconds=30)  # a start that took longer has lost its worker


@shared_task(time_limit=120)
def count() -> None:
    """Count what visitors did since the last pass."""
    try:
        found = counting.count(store())
    except StoreUnavailable as error:
        logger.warning("counting waits for Redis: %s", error)
        return
    if found.records or found.refused or found.torn:
        logger.info("counted: %s", found)


@shared_task(time_limit=300)
def deploy(experiment_id: int, reason: str) -> None:
    """Render the experiment's arms and publish them."""
    deployment.deploy(Experiment.objects.get(pk=experiment_id), reason=reason)


@shared_task(time_limit=60)
def review() -> None:
    """Have the shares of every running experiment reviewed, each by itself: a fault of one must not hold the others."""
    running = Experiment.objects.filter(status=Experiment.Status.RUNNING, deployment__isnull=False)
    for pk in running.values_list("pk", flat=True):
        review_one.apply_async((pk,), expires=settings.ENVIRONMENT.review_every_seconds)


@shared_task(time_limit=300)
def review_one(experiment_id: int) -> None:
    """Review an experiment's shares, and publish them if they changed."""
    experiment = Experiment.objects.get(pk=experiment_id)
    if roster.enrol(experiment):
        deployment.request(experiment, reason="a variant was approved")  # it goes live once its page is made
    before = allocation.latest(experiment).epoch
    if allocation.reallocate(experiment, now=timezone.now()).epoch != before:
        deployment.publish(experiment)


@shared_task(time_limit=60)
def look_ahead() -> None:
    """Have the outlook of every running experiment renewed."""
    running = Experiment.objects.filter(status=Experiment.Status.RUNNING)
    for pk in running.values_list("pk", flat=True):
        look_ahead_one.apply_async((pk,), expires=OUTLOOK_EXPIRES_SECONDS)


@shared_task(time_limit=300)
def look_ahead_one(experiment_id: int) -> None:
    """Simulate how long an experiment will still take."""
    outlook.renew(Experiment.objects.get(pk=experiment_id), timezone.now())


@shared_task(time_limit=60)
def break_down() -> None:
    """Have visitors counted anew by where they came from, in every experiment that has had any."""
    for pk in Experiment.objects.filter(started_at__isnull=False).values_list("pk", flat=True):
        break_down_one.apply_async((pk,), expires=BREAKDOWN_EXPIRES_SECONDS)


@shared_task(time_limit=300)
def break_down_one(experiment_id: int) -> None:
    """Count an experiment's visitors by where they came from, unless nothing is new or it was done a moment ago."""
    breakdown.renew(Experiment.objects.get(pk=experiment_id), timezone.now())


@shared_task(time_limit=LONGEST_PAGES_SECONDS)
def check_pages() -> None:
    """Look at the pages that are due, in one browser."""
    number = page_checks.check_due()
    if number:
        logger.info("looked at %d pages", number)


@shared_task(time_limit=60)
def evolve() -> None:
    """Have every experiment whose pages breed looked at, each by itself."""
    for pk in evolution.due(timezone.now()):
        evolve_one.apply_async((pk,), expires=settings.ENVIRONMENT.evolve_every_seconds)


@shared_task(time_limit=300)
def evolve_one(experiment_id: int) -> None:
    """Look at how an experiment's pages breed, and do what is to be done."""
    evolution.tick(experiment_id)


@shared_task(time_limit=120)
def republish() -> None:
    """Refill Redis where it lost a snapshot, drop what is over, and repeat deployments and publications that failed."""
    for experiment in deployment.undeployed(before=timezone.now() - DEPLOYED_AFTER):
        deploy.delay(experiment.pk, "started")
    try:
        slugs = deployment.republish_missing()
        lag.forget_counted()
    except StoreUnavailable as error:
        logger.warning("publishing waits for Redis: %s", error)
        return
    if slugs:
        logger.info("published again: %s", ", ".join(slugs))


@shared_task(time_limit=3600)
def enforce_retention() -> None:
    """Make the partitions of the coming months, and forget what is over age."""
    retention.enforce_retention(timezone.now())


@shared_task(time_limit=60)
def keep_to_schedule() -> None:
    """Have every planned start and end whose time has come carried out, each by itself."""
    for pk in schedule.due(timezone.now()):
        keep_to_schedule_one.apply_async((pk,), expires=SCHEDULED_EXPIRES_SECONDS)


@shared_task(time_limit=120)
def keep_to_schedule_one(experiment_id: int) -> None:
    """Start or stop an experiment as planned."""
    schedule.carry_out(Experiment.objects.get(pk=experiment_id), timezone.now())


@shared_task(time_limit=300)
def look_around() -> None:
    """Find what is unhealthy, spent or waits for somebody, and write down what is new."""
    watch.look(timezone.now())
    digest.write_if_due(timezone.now())


@shared_task(time_limit=60)
def judge() -> None:
    """Have every experiment judged whose standing may have changed."""
    for pk in standing.to_judge(timezone.now()):
        judge_one.apply_async((pk,), expires=JUDGED_EXPIRES_SECONDS)


@shared_task(time_limit=300)
def judge_one(experiment_id: int) -> None:
    """Judge one experiment."""
    standing.renew(Experiment.objects.get(pk=experiment_id))


@shared_task(time_limit=60)
def deliver() -> None:
    """Send the notifications that are due."""
    delivering.deliver()
