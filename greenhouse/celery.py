"""The Celery application and the whole timetable.

Four queues, so that neither a slow model nor a slow browser delays a count: `counting`, `deployment`, `model`, `pages`.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.schedules import schedule
from django.conf import settings
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenhouse.settings")

# kombu looks for the messages of killed workers every `unacked_restore_interval` x `unacked_restore_throttle` seconds
# (10 x 10 by default); with 1 x 1 a killed worker's task is run again about ten seconds after its visibility timeout.
VISIBILITY_SECONDS = 600
SOFT_SHUTDOWN_SECONDS = 10.0  # less than the supervisor's patience before it kills
LOOK_EVERY_SECONDS = 2  # for a Redis that is away
LOOKS: dict[str, Any] = {"interval_start": LOOK_EVERY_SECONDS, "interval_step": 0, "interval_max": LOOK_EVERY_SECONDS}
RETENTION_EVERY_SECONDS = 3600.0
OUTLOOK_EVERY_SECONDS = 3600.0  # a few seconds of computing per experiment
SCHEDULE_EVERY_SECONDS = 10.0  # planned starts and ends are that exact
DELIVER_EVERY_SECONDS = 10.0
JUDGE_EVERY_REVIEWS = 10  # a report's work for each experiment, where a review is a tenth of it
BREAKDOWN_EVERY_SECONDS = 60.0  # each experiment rests for fifty times as long as it took
CHECK_PAGES_EVERY_SECONDS = 5.0  # one query when there is nothing to look at
HOLD_EVERY_SECONDS = 60.0  # two queries and a reading of each brief when nothing was changed
TICK_EXPIRES_SECONDS = 5  # a tick that waited this long is overtaken by the next one

broker_url = settings.REDIS_URL.replace("unix://", "redis+socket://", 1)
STARTED = datetime.now(UTC)
STARTED_SECONDS = time.monotonic()


def steady_now() -> datetime:
    """Return the time, but for what the system's clock was set forward or back since the start."""
    return STARTED + timedelta(seconds=time.monotonic() - STARTED_SECONDS)


def every(seconds: float) -> schedule:
    """Come round by a clock that is never set: by the system's, setting it back an hour would stop all for an hour."""
    return schedule(seconds, nowfun=steady_now)


class SoonBack(Connection):
    """A connection that finds Redis again soon after it is back.

    kombu waits two seconds longer after each look, up to thirty, and Celery has no setting for that: after a minute
    without Redis, counting would stand still for a quarter of another one.
    """

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Look for Redis until it answers."""
        return super().ensure_connection(*args, **(LOOKS | kwargs))


class Messages(AMQP):
    """Celery's messages, over such connections."""

    Connection = SoonBack


app = Celery("greenhouse", amqp=Messages)
app.conf.update(
    broker_url=broker_url,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # for ever; giving up would only have the supervisor start it again
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_keepalive": True,
    },
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    # What is not done this long after SIGTERM goes back to its queue instead of waiting for the visibility timeout.
    worker_soft_shutdown_timeout=SOFT_SHUTDOWN_SECONDS,
    task_routes={
        "experiments.tasks.count": {"queue": "counting"},
        "experiments.tasks.check_pages": {"queue": "pages"},
        "experiments.tasks.*": {"queue": "deployment"},
        "variants.tasks.hold*": {"queue": "deployment"},
        "variants.tasks.*": {"queue": "model"},
    },
    timezone="UTC",
    beat_schedule={
        "count": {
            "task": "experiments.tasks.count",
            "schedule": every(settings.ENVIRONMENT.count_every_seconds),
            "options": {"expires": TICK_EXPIRES_SECONDS},
        },
        "review": {
            "task": "experiments.tasks.review",
            "schedule": every(settings.ENVIRONMENT.review_every_seconds),
            "options": {"expires": settings.ENVIRONMENT.review_every_seconds},
        },
        "look_ahead": {
            "task": "experiments.tasks.look_ahead",
            "schedule": every(OUTLOOK_EVERY_SECONDS),
            "options": {"expires": OUTLOOK_EVERY_SECONDS},
        },
        "break_down": {
            "task": "experiments.tasks.break_down",
            "schedule": every(BREAKDOWN_EVERY_SECONDS),
            "options": {"expires": BREAKDOWN_EVERY_SECONDS},
        },
        "evolve": {
            "task": "experiments.tasks.evolve",
            "schedule": every(settings.ENVIRONMENT.evolve_every_seconds),
            "options": {"expires": settings.ENVIRONMENT.evolve_every_seconds},
        },
        "rescue": {
            "task": "variants.tasks.rescue",
            "schedule": every(10.0),
            "options": {"expires": 10},
        },
        "hold_all": {
            "task": "variants.tasks.hold_all",
            "schedule": every(HOLD_EVERY_SECONDS),
            "options": {"expires": HOLD_EVERY_SECONDS},
        },
        "check_pages": {
            "task": "experiments.tasks.check_pages",
            "schedule": every(CHECK_PAGES_EVERY_SECONDS),
            "options": {"expires": CHECK_PAGES_EVERY_SECONDS},
        },
        "republish": {
            "task": "experiments.tasks.republish",
            "schedule": every(10.0),
            "options": {"expires": 10},
        },
        "keep_to_schedule": {
            "task": "experiments.tasks.keep_to_schedule",
            "schedule": every(SCHEDULE_EVERY_SECONDS),
            "options": {"expires": SCHEDULE_EVERY_SECONDS},
        },
        "look_around": {
            "task": "experiments.tasks.look_around",
            "schedule": every(settings.ENVIRONMENT.review_every_seconds),
            "options": {"expires": settings.ENVIRONMENT.review_every_seconds},
        },
        "judge": {
            "task": "experiments.tasks.judge",
            "schedule": every(JUDGE_EVERY_REVIEWS * settings.ENVIRONMENT.review_every_seconds),
            "options": {"expires": JUDGE_EVERY_REVIEWS * settings.ENVIRONMENT.review_every_seconds},
        },
        "deliver": {
            "task": "experiments.tasks.deliver",
            "schedule": every(DELIVER_EVERY_SECONDS),
            "options": {"expires": DELIVER_EVERY_SECONDS},
        },
        "enforce_retention": {
            # Daily would do, but a timetable that is restarted each day would never come to it.
            "task": "experiments.tasks.enforce_retention",
            "schedule": every(RETENTION_EVERY_SECONDS),
            "options": {"expires": RETENTION_EVERY_SECONDS},
        },
    },
    # Kept in memory: every tick comes round within an hour, and a file could be torn by a kill.
    beat_scheduler="celery.beat:Scheduler",
)
app.autodiscover_tasks(["experiments", "variants"])
