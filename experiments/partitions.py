"""Calendar months of the event tables as PostgreSQL partitions: made ahead, dropped when they are over age.

Each table has besides its months a DEFAULT partition, so that an insert never fails: it takes what a host with a wrong
clock dates in 1970 or 9999, and everything while no month was made. When a month is made, its rows move there.

A change waits for counting, and counting for the change. Both waits are short: a change that cannot get its locks or is
not done in time is given up, with nothing changed, and tried again with the next run. Taking a partition away without
that lock (DETACH … CONCURRENTLY) is refused by PostgreSQL where there is a DEFAULT partition.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

logger = logging.getLogger(__name__)

MONTHS_AHEAD = 3  # the timetable may stand still for so long before rows land in DEFAULT
# Waiting for the locks, moving the rows and checking that DEFAULT is free of them are one such wait each.
PATIENCE_SECONDS = 0.6
A_MONTH = timedelta(days=31)


def is_supported() -> bool:
    """Tell whether the database has partitions."""
    return connection.vendor == "postgresql"


def default_of(table: str) -> str:
    """Return the name of the partition that takes what belongs to no month."""
    return f"{table}_default"


def prepare(table: str, now: datetime, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Make the partitions of this month and the next ones where they are missing."""
    wanted = [_month(now)]
    for _ in range(MONTHS_AHEAD):
        wanted.append(_next(wanted[-1]))
    for month in wanted:
        if month not in _months(table):
            _make(table, month, patience_seconds)


def drop_before(table: str, cutoff: datetime, *, patience_seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Drop the months that ended before the cutoff; return their names."""
    old = [name for month, name in sorted(_months(table).items()) if _next(month) <= cutoff.astimezone(UTC).date()]
    dropped = []
    for name in old:
        with _change(f"{name} cannot be dropped", patience_seconds) as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {_quoted(name)}")
            dropped.append(name)
    return dropped


def _make(table: str, month: date, patience_seconds: float) -> None:
    name, parent, default = f"{table}_{month:%Y_%m}", _quoted(table), _quoted(default_of(table))
    first, end = _text(month), _text(_next(month))
    with _change(f"{name} cannot be made", patience_seconds) as cursor:
        # Attaching takes this lock in any case. It is taken first, so that no row arrives behind those that move.
        cursor.execute(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE")
        if month in _months(table):  # Race: another worker was first.
            return
        cursor.execute(f"CREATE TABLE {_quoted(name)} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {default} WHERE exposed_at >= %s AND exposed_at < %s RETURNING *) "  # noqa: S608 - names of ours
            f"INSERT INTO {_quoted(name)} SELECT * FROM moved",
            [first, end],
        )
        cursor.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {_quoted(name)} FOR VALUES FROM ('{first}') TO ('{end}')"
        )


@contextmanager
def _change(what_failed: str, patience_seconds: float) -> Iterator[CursorWrapper]:
    """Run a change in a transaction of its own; one that takes too long is undone and reported."""
    patience = f"{int(patience_seconds * 1000)}ms"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{patience}'; SET LOCAL statement_timeout = '{patience}'")
            yield cursor
    except OperationalError as error:
        logger.warning("partition %s now and is tried again with the next run: %s", what_failed, str(error).strip())


def _months(table: str) -> dict[date, str]:
    """Return the months that have a partition, and its name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
            "WHERE inhparent = %s::regclass",
            [table],
        )
        names = [str(name) for (name,) in cursor.fetchall()]
    found = [(re.fullmatch(rf"{re.escape(table)}_(\d{{4}})_(\d\d)", name), name) for name in names]
    return {date(int(match[1]), int(match[2]), 1): name for match, name in found if match}


def _month(at: datetime) -> date:
    return at.astimezone(UTC).date().replace(day=1)


def _next(month: date) -> date:
    return (month + A_MONTH).replace(day=1)


def _text(day: date) -> str:
    return f"{day.isoformat()} 00:00:00+00"


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
