"""Turn journal chunks into rows and epoch counts, each record exactly once.

One pass reads each stream that holds something from its beginning, in batches:

1. Lock the stream, and the cursors of the journals in the batch. A worker leaves a stream that another has locked.
2. For each chunk: one that ends before its journal's cursor is a repeat; one that starts behind it leaves a hole, so it
   stays in the stream until the shipper has filled the hole; of any other, what lies behind the cursor is counted.
3. Insert the rows, add to the epoch counts what was really inserted, and move the cursors: one transaction.
4. Only then publish the cursors and drop the entries. A crash before this step leaves repeats, which step 2 skips.

All cursors are published, in a pass that found nothing too: after a backup was restored they say less than Redis
remembers, and the shippers ship the difference again.

The cursor makes a chunk count once; the unique keys of Exposure and Conversion make a visitor count once.
"""

import gc
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import DataError, IntegrityError, connection, transaction

from experiments import erasure, retention, rows
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
from experiments.splitter.tallies import LATE

logger = logging.getLogger(__name__)

ENTRIES_PER_BATCH = 16  # of at most 256 KiB each: a batch stays under about 30,000 records and 100 MB of memory
KEPT = timedelta(days=7)  # cursors are published for so long; a counted journal is deleted after a day
# The event id of the row that says a visitor reached a revenue goal at all; what visitors send is printable.
FIRST_EVENT = "\t"
HOUR_DIGITS = len("2027-01-15 12")
START_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# A pass ends after about so long, so that a large backlog leaves the worker to other tasks now and then; the next tick
# goes on where it ended.
LONGEST_SECONDS = 5.0
SHARD_LOCKS = 0x6772656E  # the class of our advisory locks: "gren", unlikely to be anybody else's in this database
REPEATED = "repeated"  # the tally of conversions that had counted before
FORGOTTEN, AFTER_FORGETTING = "forgotten", "after_forgetting"  # of visitors who took their consent back

EXPOSED = rows.Table(
    name=Exposure._meta.db_table,
    columns=("experiment_id", "exposed_at", "visitor", "arm_id", "epoch", "attributes"),
    identity=(0, 2),
)
CONVERTED = rows.Table(
    name=Conversion._meta.db_table,
    columns=(
        "experiment_id", "exposed_at", "visitor", "goal_id", "event_id",
        "arm_id", "epoch", "converted_at", "value",
    ),
    identity=(0, 2, 3, 4),
)  # fmt: skip


@dataclass(slots=True)
class Counted:
    """What one pass found in the stream."""

    records: int = 0
    repeats: int = 0
    holes: int = 0
    torn: int = 0
    refused: int = 0


class _ReadChunk(NamedTuple):
    """An entry of a stream and the records in it."""

    entry: Entry
    found: list[records.ReadRecord]
    torn: int


@dataclass(slots=True)
class _Batch:
    """The new records of a batch and where they leave the cursors."""

    cursors: dict[str, int]
    found: list[records.ReadRecord] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)  # entries that may be dropped after the commit


def count(store: Store, *, longest_seconds: float = LONGEST_SECONDS) -> Counted:
    """Count what is in the streams, for as long as a pass may last; the passes of several workers may overlap."""
    total, until = Counted(), time.monotonic() + longest_seconds
    shards = store.waiting()
    random.shuffle(shards)  # so that no stream is always the one that time does not suffice for
    for shard in shards:
        _count_shard(store, shard, total, until=until)
    store.publish_cursors(_recent_cursors())
    return total


def _count_shard(store: Store, shard: int, total: Counted, *, until: float) -> None:
    # Optimization: the next batch is read while the database takes in this one.
    with ThreadPoolExecutor(1, "read-ahead") as ahead, _without_collection():
        coming = ahead.submit(_read, store, shard, "")
        while time.monotonic() < until and (chunks := coming.result()):
            coming = ahead.submit(_read, store, shard, chunks[-1].entry.id)
            batch = _count_batch(chunks, total, shard=shard)
            if batch is None:
                return
            store.advance_cursors(batch.cursors)
            store.discard(batch.settled, shard=shard)


def _read(store: Store, shard: int, after: str) -> list[_ReadChunk]:
    return [
        _ReadChunk(entry, *records.read_lines(entry.chunk.data))
        for entry in store.entries(after, ENTRIES_PER_BATCH, shard=shard)
    ]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector away. Optimization: it takes a fifth of the time, and records refer to nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _recent_cursors() -> dict[str, int]:
    recent = JournalCursor.objects.filter(moved_at__gt=datetime.now(UTC) - KEPT)
    return dict(recent.values_list("journal", "offset"))


def count_directly(record: records.ReadRecord) -> None:
    """Count one record that did not come through a journal, in a transaction of its own."""
    with transaction.atomic():
        _apply([record])


@transaction.atomic
def _count_batch(chunks: Sequence[_ReadChunk], total: Counted, *, shard: int) -> _Batch | None:
    """Count what is new in the entries of one stream; return None if another worker is counting that stream."""
    if not _locked(shard):
        return None
    batch = _Batch(cursors=_locked_cursors({read.entry.chunk.journal for read in chunks}))
    for read in chunks:
        _take(read, batch, total)
    total.records += len(batch.found)
    total.refused += _apply_safely(batch.found, journal=chunks[0].entry.chunk.journal)
    now = datetime.now(UTC)
    for journal, offset in batch.cursors.items():
        JournalCursor.objects.filter(journal=journal).update(offset=offset, moved_at=now)
    return batch


def _locked(shard: int) -> bool:
    """Lock the stream until the transaction ends, if nobody else has.

    The lock ends with the transaction however its worker dies, and works through a pooler of connections as well.
    SQLite has one writer at a time anyway.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (SHARD_LOCKS, shard))
        return bool(cursor.fetchone()[0])


def _locked_cursors(journals: set[str]) -> dict[str, int]:
    JournalCursor.objects.bulk_create([JournalCursor(journal=name) for name in sorted(journals)], ignore_conflicts=True)
    found = JournalCursor.objects.select_for_update().filter(journal__in=journals).order_by("journal")
    return {cursor.journal: cursor.offset for cursor in found}


def _take(read: _ReadChunk, batch: _Batch, total: Counted) -> None:
    chunk = read.entry.chunk
    cursor = batch.cursors[chunk.journal]
    if chunk.start > cursor:
        total.holes += 1
        return
    batch.settled.append(read.entry.id)
    if chunk.end <= cursor:
        total.repeats += 1
        return
    found, torn = read.found, read.torn
    if chunk.start < cursor:  # its beginning is counted
        found, torn = records.read_lines(chunk.data[cursor - chunk.start :])
    batch.found += found
    total.torn += torn
    batch.cursors[chunk.journal] = chunk.end


def _apply_safely(batch: list[records.ReadRecord], *, journal: str) -> int:
    """Apply the records; where the database refuses one, apply the others and keep that one aside. Return how many."""
    try:
        with transaction.atomic():
            _apply(batch)
    except (DataError, IntegrityError, ValueError, OverflowError, OSError) as error:
        if len(batch) == 1:
            reason = _reason(batch[0], error)
            logger.warning("a record of journal %s was refused: %s", journal, reason)
            record = repr(batch[0]).replace("\0", "")
            RefusedRecord.objects.create(journal=journal, record=record, reason=reason)
            return 1
        # The parts add to the same counts one after the other, so not in the order that keeps workers from deadlocks.
        rows.keep_others_from_adding(EpochCount._meta.db_table, Tally._meta.db_table)
        middle = len(batch) // 2
        halves = (batch[:middle], batch[middle:])
        return sum(_apply_safely(half, journal=journal) for half in halves)
    return 0


def _reason(record: records.ReadRecord, error: Exception) -> str:
    """Say why a record was refused. A database's message quotes the row, and logs must not hold what people wrote."""
    if isinstance(record, records.Lead):
        return type(error).__name__
    return f"{type(error).__name__}: {error}"[:200].replace("\0", "")


def _apply(batch: Sequence[records.ReadRecord]) -> None:
    known = _Known({record.experiment for record in batch})
    sums = _Sums()
    by_type: dict[type, list[Any]] = defaultdict(list)
    for record in _without_forgotten(batch, known, sums):
        by_type[type(record)].append(record)
    _count_exposures(by_type[records.ReadExposure], known, sums)
    _count_conversions(by_type[records.Conversion], known, sums)
    _keep_leads(by_type[records.Lead], known)
    for tally in by_type[records.Tally]:
        if tally.experiment in known.experiments:
            for kind, number in tally.counts.items():
                sums.tallies[tally.experiment, kind[:40], _hour(rows.moment(tally.at_ms))] += number
    # Last: what was done before the visitor asked to be forgotten stays in totals, and its rows go.
    for forget in by_type[records.Forget]:
        _forget(forget, known, sums)
    sums.save()


def _without_forgotten(
    batch: Sequence[records.ReadRecord], known: "_Known", sums: "_Sums"
) -> Sequence[records.ReadRecord]:
    """Leave out what arrives of visitors who were forgotten by an earlier batch, or did it after asking for that.

    In a batch the times decide: its records come from several journals, and do not stand in their order.
    """
    forgotten, asked_ms = erasure.forgotten_among(known.experiments), _askings(batch)
    if not forgotten and not asked_ms:
        return batch
    kept: list[records.ReadRecord] = []
    for record in batch:
        if isinstance(record, records.Tally):
            kept.append(record)
            continue
        is_forgotten = (record.experiment, erasure.digest_of(record.visitor)) in forgotten
        if not is_forgotten and not _is_after(record, asked_ms.get((record.experiment, record.visitor))):
            kept.append(record)
        elif isinstance(record, records.Conversion):
            sums.tallies[record.experiment, AFTER_FORGETTING, _hour(rows.moment(record.at_ms))] += 1
    return kept


def _askings(batch: Sequence[records.ReadRecord]) -> dict[tuple[int, str], int]:
    """Return when visitors of the batch first asked to be forgotten, by experiment and visitor."""
    found: dict[tuple[int, str], int] = {}
    for record in batch:
        if isinstance(record, records.Forget):
            person = (record.experiment, record.visitor)
            found[person] = min(record.at_ms, found.get(person, record.at_ms))
    return found


def _is_after(
    record: records.ReadExposure | records.Conversion | records.Lead | records.Forget, asked_ms: int | None
) -> bool:
    if asked_ms is None or isinstance(record, records.Forget):
        return False
    done_ms = record.exposed_ms if isinstance(record, records.ReadExposure) else record.at_ms
    return done_ms >= asked_ms


def _forget(forget: records.Forget, known: "_Known", sums: "_Sums") -> None:
    if forget.experiment not in known.experiments:
        return
    exposed_at = _moment(forget.exposed_ms)
    if erasure.forget_visitor(forget.experiment, forget.visitor, exposed=(exposed_at, exposed_at)):
        sums.tallies[forget.experiment, FORGOTTEN, _hour(rows.moment(forget.at_ms))] += 1


class _Known:
    """The arms and goals that records may name, by their keys, and how old a conversion's exposure may be."""

    def __init__(self, experiments: set[int]) -> None:
        arms = Arm.objects.filter(experiment__in=experiments)
        goals = Goal.objects.filter(experiment__in=experiments)
        self.arms = {(arm.experiment_id, arm.key): arm.pk for arm in arms}
        self.goals = {(goal.experiment_id, goal.key): goal for goal in goals}
        self.experiments = set(Experiment.objects.filter(pk__in=experiments).values_list("pk", flat=True))
        self.oldest_ms = retention.cutoff(datetime.now(UTC)).timestamp() * 1000

    def arm(self, experiment: int, key: str) -> int:
        arm = self.arms.get((experiment, key))
        if arm is None:
            raise ValueError(f"experiment {experiment} has no arm {key!r}")
        return arm

    def goal(self, record: records.Conversion) -> Goal:
        goal = self.goals.get((record.experiment, record.goal))
        if goal is None:
            raise ValueError(f"experiment {record.experiment} has no goal {record.goal!r}")
        return goal

    def is_late(self, record: records.Conversion, goal: Goal) -> bool:
        """Tell whether the window has closed, or the rows that would make the conversion unique may be gone."""
        is_outside = timedelta(milliseconds=record.at_ms - record.exposed_ms) > goal.window
        return is_outside or record.exposed_ms < self.oldest_ms


class _Sums:
    """What a batch adds to the epoch counts and tallies, gathered first so that each row is written once."""

    def __init__(self) -> None:
        # (arm, epoch, hour, measure) -> [count, value, value squared]
        self.counts: dict[tuple[int, int, str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        self.tallies: dict[tuple[int, str, str], int] = defaultdict(int)

    def add(self, arm: int, epoch: int, hour: str, measure: str, *, number: int = 1, value: float = 0.0) -> None:
        row = self.counts[arm, epoch, hour, measure]
        row[0] += number
        row[1] += value
        row[2] += value * value

    def save(self) -> None:
        rows.add(
            EpochCount._meta.db_table,
            key=("arm_id", "epoch", "hour", "measure"),
            added=("count", "value", "value_squares"),
            rows=[(*key, int(number), value, squares) for key, (number, value, squares) in self.counts.items()],
        )
        rows.add(
            Tally._meta.db_table,
            key=("experiment_id", "kind", "hour"),
            added=("count",),
            rows=[(*key, number) for key, number in self.tallies.items()],
        )


def _count_exposures(exposures: list[records.ReadExposure], known: _Known, sums: _Sums) -> None:
    for experiment, arm in {(record.experiment, record.arm) for record in exposures}:
        known.arm(experiment, arm)  # or raise
    found: list[rows.Row] = [
        (experiment, rows.moment(exposed_ms), visitor, known.arms[experiment, arm], epoch, attributes)
        for experiment, exposed_ms, visitor, arm, epoch, attributes in sorted(exposures)
    ]
    # A visitor is exposed once, and the cursor leaves out what was counted.
    inserted = rows.insert_new(EXPOSED, found, are_mostly_new=True)
    numbers = Counter((arm, epoch, exposed_at[:HOUR_DIGITS]) for _, exposed_at, _, arm, epoch, _ in inserted)
    for (arm, epoch, hour), number in numbers.items():
        sums.add(arm, epoch, _hour(hour), EXPOSURES, number=number)


def _count_conversions(conversions: Sequence[records.Conversion], known: _Known, sums: _Sums) -> None:
    found: list[rows.Row] = []
    goals: dict[int, Goal] = {}
    for record in conversions:
        goal = known.goal(record)
        goals[goal.pk] = goal
        if known.is_late(record, goal):
            sums.tallies[record.experiment, LATE, _hour(rows.moment(record.at_ms))] += 1
            continue
        visitor = (record.experiment, rows.moment(record.exposed_ms), record.visitor, goal.pk)
        credited = (known.arm(record.experiment, record.arm), record.epoch, rows.moment(record.at_ms))
        found.append((*visitor, record.event_id, *credited, record.value))
        if goal.kind == Goal.Kind.REVENUE:
            # Who buys three times is one converted visitor with three values: the value is added by each event, the
            # visitor by this row, which only their first event can insert.
            found.append((*visitor, FIRST_EVENT, *credited, None))
    inserted = rows.insert_new(CONVERTED, found)
    _tally_repeats(found, inserted, sums)
    for _, exposed_at, _, goal_pk, event_id, arm, epoch, _, value in inserted:
        goal = goals[goal_pk]
        measured = 0 if goal.kind == Goal.Kind.REVENUE and event_id != FIRST_EVENT else 1
        sums.add(arm, epoch, _hour(exposed_at), goal.key, number=measured, value=value or 0.0)


def _tally_repeats(found: Sequence[rows.Row], inserted: Sequence[rows.Row], sums: _Sums) -> None:
    """Say how often something was done again, or sent again by somebody who recorded it: it counted before."""

    def events(some: Sequence[rows.Row]) -> Counter[tuple[int, str]]:
        return Counter(
            (experiment, at[:HOUR_DIGITS])
            for experiment, _, _, _, event_id, _, _, at, _ in some
            if event_id != FIRST_EVENT
        )

    for (experiment, hour), number in (events(found) - events(inserted)).items():
        sums.tallies[experiment, REPEATED, _hour(hour)] += number


def _keep_leads(leads: Sequence[records.Lead], known: _Known) -> None:
    for lead in leads:
        # Foreign keys are checked only at the commit, too late to set one lead apart from the rest of the batch.
        if lead.experiment not in known.experiments:
            raise ValueError(f"there is no experiment {lead.experiment}")
    kept = [
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
    Lead.objects.bulk_create(kept, ignore_conflicts=True)


def _moment(at_ms: int) -> datetime:
    return START_OF_TIME + timedelta(milliseconds=at_ms)


def _hour(moment: str) -> str:
    return f"{moment[:HOUR_DIGITS]}:00:00"
