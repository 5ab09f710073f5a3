"""Forget what is over age: exposures and conversions by the time of exposure, leads by when they were sent, and what
people were told.

Totals stay: reports stand on EpochCount, which knows nobody, so they do not change when rows go. On PostgreSQL whole
months are dropped, so a row may stay up to 31 days longer than the setting; what lies in the DEFAULT partition, and
everything on SQLite, is deleted row by row, in batches.

What was forgotten cannot be counted again. Exposures come from journals alone, whose cursors are kept; a conversion of
somebody who was exposed before the cutoff is refused by counting, because the row that would make it unique may be
gone. No goal's window is longer than a year, so with the default nobody notices.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from experiments import partitions
from experiments.erasure import COOKIE_LIFE
from experiments.models import (
    Conversion,
    Delivery,
    Exposure,
    ForgottenVisitor,
    KeyedVisitor,
    Lead,
    Notice,
    RefusedRecord,
)
from experiments.outbox import NOTICES_KEPT

logger = logging.getLogger(__name__)

ROWS_PER_STATEMENT = 10_000
REFUSED_KEPT = timedelta(days=30)  # long enough for a person to look; a refused lead holds what somebody wrote
TABLES = (Exposure._meta.db_table, Conversion._meta.db_table)


def cutoff(now: datetime) -> datetime:
    """Return the time of exposure before which events are forgotten."""
    return now - timedelta(days=settings.EVENT_RETENTION_DAYS)


def enforce_retention(now: datetime, *, patience_seconds: float = partitions.PATIENCE_SECONDS) -> None:
    """Make the partitions that come next, and forget what is over age. May run at any time, and twice."""
    for table in TABLES:
        if partitions.is_supported():
            partitions.prepare(table, now, patience_seconds=patience_seconds)
            dropped = partitions.drop_before(table, cutoff(now), patience_seconds=patience_seconds)
            deleted = _delete_before(partitions.default_of(table), "ctid", cutoff(now))
        else:
            dropped, deleted = [], _delete_before(table, "rowid", cutoff(now))
        if dropped or deleted:
            logger.info("forgotten of %s: %d rows, and the months %s", table, deleted, ", ".join(dropped) or "none")
    _forget_people(now)


def _forget_people(now: datetime) -> None:
    """Delete what people wrote or were told once it is over age, and the memory of those whose cookies have died."""
    over_age: list[QuerySet[Any]] = [
        _old_notices(now - NOTICES_KEPT),
        RefusedRecord.objects.filter(refused_at__lt=now - REFUSED_KEPT),
        ForgottenVisitor.objects.filter(forgotten_at__lt=now - COOKIE_LIFE),
        # Whom an app knows by a key is known no longer than a browser with a cookie, nor than their events are kept.
        KeyedVisitor.objects.filter(assigned_at__lt=max(cutoff(now), now - COOKIE_LIFE)),
    ]
    if settings.LEAD_RETENTION_DAYS:
        over_age.append(Lead.objects.filter(submitted_at__lt=now - timedelta(days=settings.LEAD_RETENTION_DAYS)))
    for rows in over_age:
        deleted, _ = rows.delete()
        if deleted:
            logger.info("forgotten of %s: %d rows", rows.model._meta.db_table, deleted)


def _old_notices(before: datetime) -> QuerySet[Notice]:
    """Return the notices that are over; their deliveries go with them.

    What lasts stays, however old: it says that people were told already. Plans and digests tell of a moment, and end
    with it.
    """
    moments = Q(topic__in=[Notice.Topic.SCHEDULE, Notice.Topic.DIGEST], created_at__lt=before)
    over = Notice.objects.filter(moments | Q(ended_at__lt=before))
    return over.exclude(pk__in=Delivery.objects.filter(status=Delivery.Status.WAITING).values("notice"))


def _delete_before(table: str, row_address: str, before: datetime) -> int:
    """Delete a batch at a time, so that no transaction is long; return how many rows went."""
    name = connection.ops.quote_name(table)
    sql = (
        f"DELETE FROM {name} WHERE {row_address} IN "  # noqa: S608 - names of ours
        f"(SELECT {row_address} FROM {name} WHERE exposed_at < %s LIMIT {ROWS_PER_STATEMENT})"
    )
    deleted, found = 0, ROWS_PER_STATEMENT
    while found == ROWS_PER_STATEMENT:
        with connection.cursor() as cursor:
            cursor.execute(sql, [connection.ops.adapt_datetimefield_value(before)])
            found = int(cursor.rowcount)
        deleted += found
    return deleted
