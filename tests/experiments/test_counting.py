"""Counting: each record exactly once, whatever the stream does."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from django.db.models import Sum

from experiments import counting
from experiments.models import (
    EXPOSURES,
    Conversion,
    EpochCount,
    Experiment,
    Exposure,
    JournalCursor,
    Lead,
    RefusedRecord,
    Tally,
)
from experiments.splitter import records
from experiments.splitter.stores import SHARDS, Chunk, MemoryStore
from tests.factories import make_running

pytestmark = pytest.mark.django_db

NOON_MS = 1_800_014_400_000  # a full hour
HOUR_MS = 3_600_000
JOURNAL = "a" * 32


def exposure(experiment: Experiment, number: int, **changes: Any) -> records.Exposure:
    values = {"arm": "control", "epoch": 1, "exposed_ms": NOON_MS, **changes}
    return records.Exposure(experiment=experiment.pk, visitor=f"{number:032x}", **values)


def conversion(experiment: Experiment, number: int, **changes: Any) -> records.Conversion:
    values = {"arm": "control", "epoch": 1, "exposed_ms": NOON_MS, "at_ms": NOON_MS + 1000, "goal": "signup", **changes}
    return records.Conversion(experiment=experiment.pk, visitor=f"{number:032x}", **values)


def chunks(batches: Sequence[Sequence[records.Record]], journal: str = JOURNAL) -> list[Chunk]:
    """Return one chunk per batch, end to end as in a journal."""
    made, start = [], 0
    for batch in batches:
        data = b"".join(record.encode() for record in batch)
        made.append(Chunk(journal=journal, start=start, end=start + len(data), data=data))
        start += len(data)
    return made


def store_with(*shipped: Chunk) -> MemoryStore:
    store = MemoryStore()
    for chunk in shipped:
        store.ship(chunk)
    return store


def counted(experiment: Experiment, measure: str = EXPOSURES) -> int:
    rows = EpochCount.objects.filter(arm__experiment=experiment, measure=measure)
    return rows.aggregate(total=Sum("count"))["total"] or 0


def test_what_was_shipped_is_counted_and_dropped_from_the_stream():
    experiment = make_running()
    batch: list[records.Record] = [exposure(experiment, 1), exposure(experiment, 2), conversion(experiment, 1)]
    store = store_with(*chunks([batch]))
    counting.count(store)
    assert (counted(experiment), counted(experiment, "signup")) == (2, 1)
    assert (Exposure.objects.count(), Conversion.objects.count()) == (2, 1)
    assert store.entries("", 10) == []
    assert store.cursors() == {JOURNAL: JournalCursor.objects.get().offset}


def test_a_chunk_shipped_twice_is_counted_once():
    experiment = make_running()
    [chunk] = chunks([[exposure(experiment, 1)]])
    counting.count(store_with(chunk, chunk))
    counting.count(store_with(chunk))
    assert counted(experiment) == 1


def test_chunks_that_overlap_are_counted_once():
    experiment = make_running()
    first, second = chunks([[exposure(experiment, 1)], [exposure(experiment, 2)]])
    both = Chunk(journal=JOURNAL, start=0, end=second.end, data=first.data + second.data)
    counting.count(store_with(first, both))
    assert counted(experiment) == 2


def test_a_chunk_behind_a_hole_waits_until_the_hole_is_filled():
    experiment = make_running()
    first, second = chunks([[exposure(experiment, 1)], [exposure(experiment, 2)]])
    store = store_with(second)
    counting.count(store)
    assert counted(experiment) == 0
    assert len(store.entries("", 10)) == 1
    store.ship(first)
    counting.count(store)
    counting.count(store)
    assert counted(experiment) == 2
    assert store.entries("", 10) == []


def test_every_stream_is_counted_and_emptied():
    experiment = make_running()
    store = MemoryStore(shards=SHARDS)
    for number in range(30):
        [chunk] = chunks([[exposure(experiment, number)]], journal=f"{number:032x}")
        store.ship(chunk)
    assert len(store.waiting()) > SHARDS / 2
    counting.count(store, longest_seconds=60)
    assert counted(experiment) == 30
    assert store.waiting() == []
    assert len(store.cursors()) == 30


def test_a_pass_ends_when_its_time_is_over_and_the_next_one_goes_on():
    experiment = make_running()
    store = store_with(*chunks([[exposure(experiment, number)] for number in range(40)]))
    counting.count(store, longest_seconds=0)
    assert counted(experiment) == 0
    counting.count(store)
    assert counted(experiment) == 40


def test_a_conversion_may_be_counted_before_its_exposure():
    experiment = make_running()
    [late] = chunks([[conversion(experiment, 1)]], journal="b" * 32)
    [early] = chunks([[exposure(experiment, 1)]])
    counting.count(store_with(late, early))
    assert (counted(experiment), counted(experiment, "signup")) == (1, 1)


def test_every_order_of_arrival_gives_the_same_counts():
    experiment = make_running()
    everything: list[list[records.Record]] = [[exposure(experiment, n), conversion(experiment, n)] for n in range(40)]
    shuffled = chunks(everything)
    random.Random(7).shuffle(shuffled)
    store = store_with(*shuffled)
    for _ in shuffled:
        counting.count(store)
    assert (counted(experiment), counted(experiment, "signup")) == (40, 40)


def test_a_visitor_counts_once_per_goal_however_often_they_convert():
    experiment = make_running()
    again = [conversion(experiment, 1, at_ms=NOON_MS + n) for n in range(50)]
    counting.count(store_with(*chunks([again[:30], again[30:]])))
    assert counted(experiment, "signup") == 1


def test_revenue_counts_a_visitor_once_and_the_value_of_each_event():
    experiment = make_running(goal_kind="revenue")
    bought = [conversion(experiment, 1, event_id=event, value=10.0) for event in ("a", "b", "b", "c")]
    counting.count(store_with(*chunks([bought[:2], bought[2:]])))
    row = EpochCount.objects.get(measure="signup")
    assert (row.count, row.value, row.value_squares) == (1, 30.0, 300.0)


def test_a_conversion_after_its_window_is_tallied_not_counted():
    experiment = make_running()
    late = conversion(experiment, 1, at_ms=NOON_MS + 169 * HOUR_MS)
    counting.count(store_with(*chunks([[late]])))
    assert counted(experiment, "signup") == 0
    assert Tally.objects.get(kind="late").count == 1


def test_conversions_are_credited_to_the_epoch_and_hour_of_the_exposure():
    experiment = make_running()
    record = conversion(experiment, 1, epoch=3, exposed_ms=NOON_MS + 59 * 60_000, at_ms=NOON_MS + 2 * HOUR_MS)
    counting.count(store_with(*chunks([[record]])))
    row = EpochCount.objects.get(measure="signup")
    assert (row.epoch, int(row.hour.timestamp() * 1000)) == (3, NOON_MS)


def test_leads_are_kept_once_with_and_without_an_arm():
    experiment = make_running()
    lead: dict[str, Any] = {"experiment": experiment.pk, "at_ms": NOON_MS, "fields": {"email": "a@example.org"}}
    known = records.Lead(visitor="1" * 32, arm="control", lead_id="c" * 32, **lead)
    unknown = records.Lead(visitor="", arm="", lead_id="d" * 32, **lead)
    counting.count(store_with(*chunks([[known, unknown, known]])))
    assert [row.arm.key if row.arm else None for row in Lead.objects.order_by("lead_id")] == ["control", None]


@pytest.mark.parametrize(
    "changes", [{"arm": "nobody"}, {"exposed_ms": 10**18}, {"epoch": 2**70}, {"attributes": {"utm_source": "a\0b"}}]
)
def test_a_record_that_cannot_be_counted_stops_none_of_the_others(changes):
    experiment = make_running()
    batch = [exposure(experiment, n) for n in range(100)]
    batch[37] = exposure(experiment, 37, **changes)
    counting.count(store_with(*chunks([batch])))
    refused = RefusedRecord.objects.count()
    # SQLite takes a NUL inside JSON, PostgreSQL does not; either way every record is accounted for.
    assert counted(experiment) + refused == 100
    assert refused <= 1


def test_a_torn_line_is_skipped_and_what_follows_is_counted():
    experiment = make_running()
    whole = exposure(experiment, 1).encode()
    data = whole[:20] + b"\n" + whole
    found = counting.count(store_with(Chunk(journal=JOURNAL, start=0, end=len(data), data=data)))
    assert (counted(experiment), found.torn) == (1, 1)


def test_a_pass_that_dies_before_its_commit_leaves_nothing_behind(monkeypatch):
    experiment = make_running()
    store = store_with(*chunks([[exposure(experiment, 1)]]))

    def die(self: counting._Sums) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(counting._Sums, "save", die)
        with pytest.raises(KeyboardInterrupt):
            counting.count(store)
    assert (Exposure.objects.count(), counted(experiment)) == (0, 0)
    counting.count(store)
    assert (Exposure.objects.count(), counted(experiment)) == (1, 1)


def test_a_store_that_fails_after_the_commit_leaves_repeats_that_are_skipped():
    class Forgetful(MemoryStore):
        def discard(self, ids: object, *, shard: int = 0) -> None:
            return

    experiment = make_running()
    store = Forgetful()
    for chunk in chunks([[exposure(experiment, 1)], [exposure(experiment, 2)]]):
        store.ship(chunk)
    assert counting.count(store).repeats == 0
    assert counting.count(store).repeats == 2
    assert counted(experiment) == 2


def test_an_older_database_makes_the_cursors_go_back():
    experiment = make_running()
    [first, second] = chunks([[exposure(experiment, 1)], [exposure(experiment, 2)]])
    store = store_with(first, second)
    counting.count(store)
    JournalCursor.objects.update(offset=first.end)  # as in a backup taken between the two
    counting.count(store)
    assert store.cursors() == {JOURNAL: first.end}


def test_a_lead_of_an_experiment_that_is_gone_is_set_aside_and_the_rest_counted():
    experiment = make_running()
    lead = records.Lead(
        experiment=experiment.pk + 1000,
        visitor="",
        arm="",
        at_ms=NOON_MS,
        lead_id="e" * 32,
        fields={"email": "a@b.org"},
    )
    counting.count(store_with(*chunks([[exposure(experiment, 1), lead, exposure(experiment, 2)]])))
    assert counted(experiment) == 2
    assert "a@b.org" in RefusedRecord.objects.get().record


def test_an_exposure_that_was_confirmed_twice_counts_once():
    experiment = make_running()
    first, again = (exposure(experiment, 1, attributes={"utm_source": source}) for source in ("mail", "print"))
    for chunk in chunks([[first, again], [again, exposure(experiment, 2)]]):
        counting.count(store_with(chunk))
    assert (counted(experiment), Exposure.objects.count()) == (2, 2)


def test_what_is_done_again_or_replayed_is_tallied():
    experiment = make_running()
    batch: list[records.Record] = [
        exposure(experiment, 1),
        *(conversion(experiment, 1, at_ms=NOON_MS + number) for number in range(3)),
    ]
    counting.count(store_with(*chunks([batch])))
    counting.count_directly(conversion(experiment, 1))
    assert counted(experiment, "signup") == 1
    assert Tally.objects.get(kind="repeated").count == 3


def test_a_visitor_met_again_in_another_journal_is_counted_once_beside_the_new_ones():
    experiment = make_running()
    counting.count(store_with(*chunks([[exposure(experiment, 1)]])))
    again = [exposure(experiment, 1), exposure(experiment, 2), exposure(experiment, 2)]
    counting.count(store_with(*chunks([again], journal="b" * 32)))
    assert counted(experiment) == Exposure.objects.count() == 2


def test_the_order_of_arrival_changes_no_count():
    experiment = make_running(goal_kind="revenue")
    events: list[records.Record] = [
        event
        for number in range(300)
        for event in (
            exposure(experiment, number, exposed_ms=NOON_MS + number * 60_000),
            conversion(experiment, number, exposed_ms=NOON_MS + number * 60_000, value=3.0, event_id=str(number % 7)),
        )
    ]
    found = []
    for seed in range(5):
        for model in (Exposure, Conversion, EpochCount, JournalCursor):
            model.objects.all().delete()
        random.Random(seed).shuffle(events)
        parts = [chunks([events[n::4]], journal=f"{n:032x}") for n in range(4)]
        counting.count(store_with(*(chunk for part in parts for chunk in part)))
        rows = EpochCount.objects.order_by("arm", "epoch", "hour", "measure")
        found.append(list(rows.values_list("arm", "epoch", "hour", "measure", "count", "value", "value_squares")))
    assert all(rows == found[0] for rows in found)
    assert counted(experiment, "signup") == 300


@pytest.mark.parametrize("at_ms", [-1, 0, 1, NOON_MS + 10 * 365 * 24 * HOUR_MS, 253_402_300_799_999, 10**15, 10**40])
def test_a_clock_that_is_far_out_never_breaks_a_batch(at_ms):
    experiment = make_running()
    wrong: list[records.Record] = [
        exposure(experiment, 1, exposed_ms=at_ms),
        conversion(experiment, 1, exposed_ms=at_ms, at_ms=at_ms),
        records.Tally(experiment=experiment.pk, at_ms=at_ms, counts={"bot": 1}),
    ]
    counting.count(store_with(*chunks([[*wrong, exposure(experiment, 2), conversion(experiment, 2)]])))
    assert (Exposure.objects.filter(visitor=f"{2:032x}").count(), counted(experiment, "signup") >= 1) == (1, True)
    assert Exposure.objects.count() + RefusedRecord.objects.filter(record__startswith="ReadExposure").count() == 2


def test_texts_with_tabs_backslashes_and_quotes_come_back_as_they_were():
    experiment = make_running(goal_kind="revenue")
    text = 'a\tb\\c"d\\N\nz\u00e9'
    bought = conversion(experiment, 1, event_id=text, value=1.0)
    counting.count(store_with(*chunks([[exposure(experiment, 1, attributes={"utm_source": text}), bought]])))
    assert Exposure.objects.get().attributes == {"utm_source": text}
    assert Conversion.objects.get(value=1.0).event_id == text
