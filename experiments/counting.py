"""Turn journal chunks into rows and epoch counts, each record exactly once.

One pass reads the stream from its beginning, in batches:

1. Lock the cursors of the journals in the batch.
2. For each chunk: one that ends before its journal's cursor is a repeat; one that starts behind it leaves a hole, so it
   stays in the stream until the shipper has filled the hole; of any other, what lies behind the cursor is counted.
3. Insert the rows, add to the epoch counts what was really inserted, and move the cursors: one transaction.
4. Only then publish the cursors and drop the entries. A crash before this step leaves repeats, which step 2 skips.

All cursors are published, in a pass that found nothing too: after a backup was restored they say less than Redis
remembers, and the shippers ship the difference again.

The cursor makes a chunk count once; the unique keys of Exposure and Conversion make a visitor count once.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DataError, IntegrityError, connection, models, transaction

from experiments.models import (
    EXPOSURES,
    Arm,
    Conversion,
    EpochCount,
    Experiment,
    Exposure,
    Goal,
    JournalCursor,
    Lead,
    RefusedRecord,
    Tally,
)
from experiments.splitter import records
from experiments.splitter.stores import Entry, Store

logger = logging.getLogger(__name__)

ENTRIES_PER_BATCH = 16  # of at most 256 KiB each: a batch stays under about 30,000 records and 100 MB of memory
ROWS_PER_STATEMENT = 1_000  # times nine columns stays under SQLite's 32,766 parameters
KEPT = timedelta(days=7)  # cursors are published for so long; a counted journal is deleted after a day
# The event id of the row that says a visitor reached a revenue goal at all; what visitors send is printable.
FIRST_EVENT = "\t"
LATE = "late_conversion"  # the tally of conversions outside their goal's window


@dataclass(slots=True)
class Counted:
    """What one pass found in the stream."""

    records: int = 0
    repeats: int = 0
    holes: int = 0
    torn: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Batch:
    """The new records of a batch and where they leave the cursors."""

    cursors: dict[str, int]
    found: list[records.Record] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)  # entries that may be dropped after the commit


def count(store: Store) -> Counted:
    """Count everything in the stream; the passes of two workers may overlap."""
    total, after = Counted(), ""
    while entries := store.entries(after, ENTRIES_PER_BATCH):
        after = entries[-1].id
        settled = _count_batch(entries, total)
        store.publish_cursors(_recent_cursors())
        store.discard(settled)
    store.publish_cursors(_recent_cursors())
    return total


def _recent_cursors() -> dict[str, int]:
    recent = JournalCursor.objects.filter(moved_at__gt=datetime.now(UTC) - KEPT)
    return dict(recent.values_list("journal", "offset"))


def count_conversion(conversion: records.Conversion) -> None:
    """Count one conversion that did not come through a journal, in a transaction of its own."""
    with transaction.atomic():
        _apply([conversion])


@transaction.atomic
def _count_batch(entries: Sequence[Entry], total: Counted) -> list[str]:
    """Count what is new in the entries; return those that are settled."""
    batch = _Batch(cursors=_locked_cursors({entry.chunk.journal for entry in entries}))
    for entry in entries:
        _take(entry, batch, total)
    total.records += len(batch.found)
    total.refused += _apply_safely(batch.found, journal=entries[0].chunk.journal)
    now = datetime.now(UTC)
    for journal, offset in batch.cursors.items():
        JournalCursor.objects.filter(journal=journal).update(offset=offset, moved_at=now)
    return batch.settled


def _locked_cursors(journals: set[str]) -> dict[str, int]:
    JournalCursor.objects.bulk_create([JournalCursor(journal=name) for name in sorted(journals)], ignore_conflicts=True)
    rows = JournalCursor.objects.select_for_update().filter(journal__in=journals).order_by("journal")
    return {row.journal: row.offset for row in rows}


def _take(entry: Entry, batch: _Batch, total: Counted) -> None:
    chunk, cursor = entry.chunk, batch.cursors[entry.chunk.journal]
    if chunk.start > cursor:
        total.holes += 1
        return
    batch.settled.append(entry.id)
    if chunk.end <= cursor:
        total.repeats += 1
        return
    found, torn = records.decode_lines(chunk.data[cursor - chunk.start :])
    batch.found += found
    total.torn += torn
    batch.cursors[chunk.journal] = chunk.end


def _apply_safely(batch: list[records.Record], *, journal: str) -> int:
    """Apply the records; where the database refuses one, apply the others and keep that one aside. Return how many."""
    try:
        with transaction.atomic():
            _apply(batch)
    except (DataError, IntegrityError, ValueError, OverflowError, OSError) as error:
        if len(batch) == 1:
            reason = f"{type(error).__name__}: {error}"[:200].replace("\0", "")
            logger.warning("a record of journal %s was refused: %s", journal, reason)
            record = repr(batch[0]).replace("\0", "")
            RefusedRecord.objects.create(journal=journal, record=record, reason=reason)
            return 1
        middle = len(batch) // 2
        halves = (batch[:middle], batch[middle:])
        return sum(_apply_safely(half, journal=journal) for half in halves)
    return 0


def _apply(batch: Iterable[records.Record]) -> None:
    by_type: dict[type, list[Any]] = defaultdict(list)
    for record in batch:
        by_type[type(record)].append(record)
    known = _Known({record.experiment for found in by_type.values() for record in found})
    sums = _Sums()
    _count_exposures(by_type[records.Exposure], known, sums)
    _count_conversions(by_type[records.Conversion], known, sums)
    _keep_leads(by_type[records.Lead], known)
    for tally in by_type[records.Tally]:
        if tally.experiment in known.experiments:
            for kind, number in tally.counts.items():
                sums.tallies[tally.experiment, kind[:40], _hour(_moment(tally.at_ms))] += number
    sums.save()


class _Known:
    """The arms and goals that records may name, by their keys."""

    def __init__(self, experiments: set[int]) -> None:
        arms = Arm.objects.filter(experiment__in=experiments)
        goals = Goal.objects.filter(experiment__in=experiments)
        self.arms = {(arm.experiment_id, arm.key): arm.pk for arm in arms}
        self.goals = {(goal.experiment_id, goal.key): goal for goal in goals}
        self.experiments = set(Experiment.objects.filter(pk__in=experiments).values_list("pk", flat=True))

    def arm(self, record: records.Exposure | records.Conversion) -> int:
        arm = self.arms.get((record.experiment, record.arm))
        if arm is None:
            raise ValueError(f"experiment {record.experiment} has no arm {record.arm!r}")
        return arm

    def goal(self, record: records.Conversion) -> Goal:
        goal = self.goals.get((record.experiment, record.goal))
        if goal is None:
            raise ValueError(f"experiment {record.experiment} has no goal {record.goal!r}")
        return goal


class _Sums:
    """What a batch adds to the epoch counts and tallies, gathered first so that each row is written once."""

    def __init__(self) -> None:
        # (arm, epoch, hour, measure) -> [count, value, value squared]
        self.counts: dict[tuple[int, int, datetime, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        self.tallies: dict[tuple[int, str, datetime], int] = defaultdict(int)

    def add(
        self, arm: int, epoch: int, exposed_at: datetime, measure: str, *, number: int = 1, value: float = 0.0
    ) -> None:
        row = self.counts[arm, epoch, _hour(exposed_at), measure]
        row[0] += number
        row[1] += value
        row[2] += value * value

    def save(self) -> None:
        count_rows = [(*key, int(number), value, squares) for key, (number, value, squares) in self.counts.items()]
        added = ("count", "value", "value_squares")
        _add(EpochCount, ("arm", "epoch", "hour", "measure"), added, sorted(count_rows))
        tally_rows = [(*key, number) for key, number in self.tallies.items()]
        _add(Tally, ("experiment", "kind", "hour"), ("count",), sorted(tally_rows))


def _count_exposures(exposures: Sequence[records.Exposure], known: _Known, sums: _Sums) -> None:
    first = {(record.experiment, record.visitor): record for record in reversed(exposures)}
    rows = [
        (*key, known.arm(record), record.epoch, _moment(record.exposed_ms), dict(record.attributes))
        for key, record in sorted(first.items())
    ]
    columns = ("experiment", "visitor", "arm", "epoch", "exposed_at", "attributes")
    for key in _insert(Exposure, columns, rows, returning=("experiment", "visitor")):
        record = first[key]
        sums.add(known.arm(record), record.epoch, _moment(record.exposed_ms), EXPOSURES)


def _count_conversions(conversions: Sequence[records.Conversion], known: _Known, sums: _Sums) -> None:
    first: dict[tuple[int, str, int, str], records.Conversion] = {}
    for record in conversions:
        goal = known.goal(record)
        if timedelta(milliseconds=record.at_ms - record.exposed_ms) > goal.window:
            sums.tallies[record.experiment, LATE, _hour(_moment(record.at_ms))] += 1
            continue
        visitor = (record.experiment, record.visitor, goal.pk)
        first.setdefault((*visitor, record.event_id), record)
        if goal.kind == Goal.Kind.REVENUE:
            # Who buys three times is one converted visitor with three values: the value is added by each event, the
            # visitor by this row, which only their first event can insert.
            first.setdefault((*visitor, FIRST_EVENT), replace(record, value=None, event_id=FIRST_EVENT))
    for record, goal in _inserted_conversions(first, known):
        measured = 0 if goal.kind == Goal.Kind.REVENUE and record.event_id != FIRST_EVENT else 1
        exposed_at = _moment(record.exposed_ms)
        sums.add(known.arm(record), record.epoch, exposed_at, goal.key, number=measured, value=record.value or 0.0)


def _inserted_conversions(
    keyed: dict[tuple[int, str, int, str], records.Conversion], known: _Known
) -> list[tuple[records.Conversion, Goal]]:
    rows = [
        (*key, known.arm(record), record.epoch, _moment(record.exposed_ms), _moment(record.at_ms), record.value)
        for key, record in sorted(keyed.items())
    ]
    key_columns = ("experiment", "visitor", "goal", "event_id")
    columns = (*key_columns, "arm", "epoch", "exposed_at", "converted_at", "value")
    inserted = _insert(Conversion, columns, rows, returning=key_columns)
    return [(keyed[key], known.goal(keyed[key])) for key in inserted]


def _keep_leads(leads: Sequence[records.Lead], known: _Known) -> None:
    for lead in leads:
        # Foreign keys are checked only at the commit, too late to set one lead apart from the rest of the batch.
        if lead.experiment not in known.experiments:
            raise ValueError(f"there is no experiment {lead.experiment}")
    rows = [
        Lead(
            lead_id=lead.lead_id,
            experiment_id=lead.experiment,
            visitor=lead.visitor,
            arm_id=known.arms.get((lead.experiment, lead.arm)),
            values=dict(lead.fields),
            submitted_at=_moment(lead.at_ms),
        )
        for lead in leads
    ]
    Lead.objects.bulk_create(rows, ignore_conflicts=True)


def _insert(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[tuple[Any, ...]], *, returning: Sequence[str]
) -> set[tuple[Any, ...]]:
    """Insert the rows whose key is new, and return the keys of those.

    bulk_create cannot tell which rows a conflict left out, and only inserted rows may be counted.
    """
    names = ", ".join(_column(model, returned) for returned in returning)
    inserted: set[tuple[Any, ...]] = set()
    for values, parameters in _statements(model, columns, rows):
        sql = f"INSERT INTO {_table(model)} ({_names(model, columns)}) VALUES {values} "  # noqa: S608 - names of ours
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} ON CONFLICT DO NOTHING RETURNING {names}", parameters)
            inserted.update(cursor.fetchall())
    return inserted


def _add(model: type[models.Model], key: Sequence[str], added: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add each row's numbers to the row with its key, which is made if it is not there yet."""
    table = _table(model)
    names = [_column(model, name) for name in added]
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in names)
    for values, parameters in _statements(model, (*key, *added), rows):
        sql = f"INSERT INTO {table} ({_names(model, (*key, *added))}) VALUES {values} "  # noqa: S608 - names of ours
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} ON CONFLICT ({_names(model, key)}) DO UPDATE SET {sums}", parameters)


def _statements(
    model: type[models.Model], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> Iterable[tuple[str, list[Any]]]:
    """Cut rows into statements: the text of VALUES, and its parameters as the database wants them."""
    fields = [model._meta.get_field(name) for name in columns]
    placeholders = f"({', '.join(['%s'] * len(columns))})"
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        part = rows[start : start + ROWS_PER_STATEMENT]
        parameters = [
            column.get_db_prep_save(value, connection)  # type: ignore[union-attr]  # these are all concrete fields
            for row in part
            for column, value in zip(fields, row, strict=True)
        ]
        yield ", ".join([placeholders] * len(part)), parameters


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _column(model: type[models.Model], name: str) -> str:
    return connection.ops.quote_name(str(model._meta.get_field(name).column))  # type: ignore[union-attr]  # as above


def _names(model: type[models.Model], columns: Sequence[str]) -> str:
    return ", ".join(_column(model, name) for name in columns)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
